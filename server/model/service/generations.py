"""Streams that go on where their caller's connection is lost, and are taken up again on any server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from server.db.database import Database
from server.kernel.errors import DatabaseUnavailable, DeadlineExceeded, DomainError, Unavailable
from server.kernel.principal import current_call
from server.kernel.tasks import Background
from server.model.domain import GenerationCancelled, GenerationLost, GenerationNotFound, TooManyGenerations
from server.model.store import generations as store

MOST_SECONDS = 600.0
"""The longest that a stream goes on without its caller."""

_LIFE_SECONDS = 3600.0
_GATHER_SECONDS = 0.1
_KEEP_SECONDS = 1.0

# A stream whose caller has lost the right to it ends within five seconds, as it does where they read it themselves.
_LOOK_SECONDS = 2.0
_RETRY_SECONDS = 1.0

MOST = 1_000
MOST_OF_TENANT = 100
"""How many streams are being written at once in a process, and how many of these are one tenant's."""

Source = AsyncGenerator[Sequence[bytes], None]
Failed = Callable[[int, DomainError], bytes]
"""The last event of a stream that failed, with its number."""


@dataclass(slots=True)
class _Feed:
    """The events of a stream that this process writes. `confirm`: raises where its caller has lost the right to it.
    `ending`: why it is being ended.
    """

    tenant_id: UUID
    user_id: UUID
    messages: list[bytes]
    confirm: Callable[[], Awaitable[None]] | None
    written: int = 0
    ended: bool = False
    ending: DomainError | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def add(self, messages: Sequence[bytes]) -> None:
        self.messages.extend(messages)
        self.wake()

    def wake(self) -> None:
        """Wakes everyone who waits for more."""
        self.changed.set()
        self.changed = asyncio.Event()

    def end(self, why: DomainError) -> None:
        """Ends it, where it has not ended."""
        if self.task is not None and not self.ended:
            self.ending = self.ending or why
            self.task.cancel()


class Generations:
    """Writes streams down as they come, so that they can be read again from any event on.

    Those who read in the process that writes read its memory; others read the database, some moments later.
    """

    def __init__(
        self,
        database: Database,
        background: Background,
        failed: Failed,
        *,
        most: int = MOST,
        most_of_tenant: int = MOST_OF_TENANT,
    ) -> None:
        """`most`, `most_of_tenant`: how many are written at once. They go on without a call that could be counted."""
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._running: Counter[UUID] = Counter()
        self._database = database
        self._background = background
        self._failed = failed
        self._feeds: dict[UUID, _Feed] = {}

    async def start(self, generation_id: UUID, source: Source) -> None:
        """Goes on with the source until its end, or until the caller has lost the right to it, whoever leaves.

        Raises what it fails with before its first events, and TooManyGenerations.
        """
        call = current_call()
        caller, tenant_id = call.caller, call.caller.tenant_id
        self._check_room(tenant_id)
        self._running[tenant_id] += 1
        try:
            first = await anext(source)
            async with self._database.tenant_tx(tenant_id) as tx:
                await store.create(tx, generation_id, caller.user_id, _LIFE_SECONDS)
        except BaseException:
            self._ended(tenant_id)
            await source.aclose()  # nobody will know of it, so the model's work ends
            raise
        feed = self._feeds[generation_id] = _Feed(tenant_id, caller.user_id, list(first), call.confirm)
        feed.task = self._background.start(self._run(feed, source), "generation")
        feed.task.add_done_callback(lambda _: self._ended(tenant_id))
        self._background.start(self._write(generation_id, feed), "generation events")

    async def follow(self, generation_id: UUID, after_seq: int) -> Source:
        """The caller's stream from behind that event on, until its last. Raises GenerationNotFound."""
        caller = current_call().caller
        state = await store.state(self._database, caller.tenant_id, generation_id)
        if state is None or state.user_id != caller.user_id:
            raise GenerationNotFound(generation_id)
        feed = self._feeds.get(generation_id)
        source = self._stored(generation_id, caller.tenant_id, after_seq) if feed is None else _read(feed, after_seq)
        async with aclosing(source):
            async for batch in source:
                yield batch

    async def cancel(self, generation_id: UUID) -> None:
        """Ends the caller's stream, where it has not ended. Raises GenerationNotFound."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            if not await store.cancel(tx, generation_id, caller.user_id):
                raise GenerationNotFound(generation_id)
        if feed := self._feeds.get(generation_id):
            feed.end(GenerationCancelled())

    def _check_room(self, tenant_id: UUID) -> None:
        for subject, running, most in (
            ("tenant", self._running[tenant_id], self._most_of_tenant),
            ("server", self._running.total(), self._most),
        ):
            if running >= most:
                raise TooManyGenerations(subject, _RETRY_SECONDS)

    def _ended(self, tenant_id: UUID) -> None:
        self._running[tenant_id] -= 1
        if not self._running[tenant_id]:
            del self._running[tenant_id]

    async def close(self, seconds: float) -> None:
        """Lets the streams that this process writes come to their end within that time; the rest are lost with it."""
        running = [feed.task for feed in self._feeds.values() if feed.task is not None and not feed.ended]
        if running:
            _, late = await asyncio.wait(running, timeout=seconds)
            for task in late:
                task.cancel()

    async def _run(self, feed: _Feed, source: Source) -> None:
        failure: DomainError | None = None
        try:
            async with asyncio.timeout(MOST_SECONDS), aclosing(source):
                async for batch in source:
                    feed.add(batch)
        except TimeoutError:
            failure = DeadlineExceeded()
        except asyncio.CancelledError:
            # Ended from here, or with the server: whoever reads is told which.
            failure = feed.ending or GenerationLost()
        except DomainError as error:
            failure = error
        except Exception:
            failure = GenerationLost()
            raise
        finally:
            if failure is not None:
                feed.messages.append(self._failed(len(feed.messages) + 1, failure))
            feed.ended = True
            feed.wake()

    async def _write(self, generation_id: UUID, feed: _Feed) -> None:
        """Writes down what came, all of some moments at a time, and that this server is there."""
        looked_at = monotonic()
        try:
            while True:
                ended = feed.ended
                new = feed.messages[feed.written :]
                try:
                    async with self._database.tenant_tx(feed.tenant_id) as tx:
                        if new:
                            await store.add(tx, generation_id, feed.written + 1, new)
                        cancelled = await store.keep(tx, generation_id, ended=ended)
                except DatabaseUnavailable:
                    cancelled = False
                else:
                    feed.written += len(new)
                    if ended:
                        return
                if cancelled:
                    feed.end(GenerationCancelled())
                if not feed.ended and monotonic() - looked_at >= _LOOK_SECONDS:
                    await _look(feed)
                    looked_at = monotonic()
                if feed.written == len(feed.messages) and not feed.ended:
                    await _changed(feed, _KEEP_SECONDS)
                await asyncio.sleep(_GATHER_SECONDS)
        finally:
            del self._feeds[generation_id]
            feed.end(GenerationLost())  # what is not written down is not gone on with

    async def _stored(self, generation_id: UUID, tenant_id: UUID, seq: int) -> Source:
        while True:
            # The state is read first: what is there when the stream has ended is all of it.
            state = await store.state(self._database, tenant_id, generation_id)
            if state is None:
                raise GenerationNotFound(generation_id)
            async with self._database.tenant_tx(tenant_id) as tx:
                runs = await store.events(tx, generation_id, seq)
            for first, messages in runs:
                new = messages[max(0, seq - first + 1) :]
                seq = first + len(messages) - 1
                yield new
            if runs:
                continue
            if state.lost:
                yield (self._failed(seq + 1, GenerationLost()),)
            if state.ended or state.lost:
                return
            await asyncio.sleep(_GATHER_SECONDS)


async def _read(feed: _Feed, seq: int) -> Source:
    while True:
        changed = feed.changed
        if new := feed.messages[seq:]:
            seq += len(new)
            yield new
        elif feed.ended:
            return
        else:
            await changed.wait()


async def _changed(feed: _Feed, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await feed.changed.wait()
    except TimeoutError:
        pass


async def _look(feed: _Feed) -> None:
    """Ends what its caller has lost the right to."""
    if feed.confirm is None:
        return
    try:
        await feed.confirm()
    except Unavailable:  # the database's being away takes no right from anybody
        pass
    except DomainError as error:
        feed.end(error)
