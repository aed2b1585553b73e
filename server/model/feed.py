"""The events of a stream as its process holds them: for those who read them here, and until they are written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from server.kernel.errors import DomainError, Unavailable
from server.model.store.generations import Key

_AROUND_AN_EVENT = 64
"""Bytes that an event takes up beside its own, about."""


@dataclass(slots=True)
class Feed:
    """The events of a stream that this process writes. `confirm`: raises where its caller has lost the right to it.
    `messages`: its events, but for the first ones, `dropped`, which are written down. `ending`: why it is being ended;
    `refused`: why it came to nothing before its first event.
    """

    key: Key
    row_id: UUID
    asked: bytes
    confirm: Callable[[], Awaitable[None]] | None
    most_held: int
    messages: list[bytes] = field(default_factory=list)
    dropped: int = 0
    written: int = 0
    held: int = 0
    unwritten: int = 0
    ended: bool = False
    ending: DomainError | None = None
    refused: Exception | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.room.set()

    @property
    def last_seq(self) -> int:
        """The number of the last event so far."""
        return self.dropped + len(self.messages)

    def after(self, seq: int) -> list[bytes]:
        """What is held from behind that event on."""
        return self.messages[seq - self.dropped :]

    def add(self, messages: Sequence[bytes]) -> None:
        """Takes what came. Who writes it waits for `room` before more."""
        self.messages.extend(messages)
        size = _size(messages)
        self.held += size
        self.unwritten += size
        if self.unwritten > self.most_held:
            self.room.clear()
        self.wake()

    def wrote(self, messages: Sequence[bytes]) -> None:
        """Says that these are written down, and lets go of the oldest that are where they are too many to hold."""
        self.written += len(messages)
        self.unwritten -= _size(messages)
        self.room.set()
        if self.held > self.most_held:
            count = 0
            while self.held > self.most_held // 2 and self.dropped + count < self.written:
                self.held -= _size(self.messages[count : count + 1])
                count += 1
            del self.messages[:count]
            self.dropped += count

    def wake(self) -> None:
        """Wakes everyone who waits for more."""
        self.changed.set()
        self.changed = asyncio.Event()

    def end(self, why: DomainError) -> None:
        """Ends it, where it has not ended."""
        if self.task is not None and not self.ended:
            self.ending = self.ending or why
            self.task.cancel(why)

    async def changes(self, seconds: float) -> None:
        """Waits for more, no longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()

    async def look(self) -> None:
        """Ends it where its caller has lost the right to it."""
        if self.confirm is None:
            return
        try:
            await self.confirm()
        except Unavailable:  # the database's being away takes no right from anybody
            pass
        except DomainError as error:
            self.end(error)


def _size(messages: Sequence[bytes]) -> int:
    return sum(map(len, messages)) + _AROUND_AN_EVENT * len(messages)
