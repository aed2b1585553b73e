"""Passwords: argon2id off the event loop, as many at a time as there are cores, and the surplus shed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.identity.password_policy import normalized
from server.kernel.errors import ResourceExhausted

Result = TypeVar("Result")

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB of memory, two passes, one lane.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hashes_at_once(cores: int, processes: int) -> int:
    """How many of them each of so many processes computes at a time, which share the cores.

    One in each at least: where there are more processes than cores, as many hash at once. A lock over all of them would
    have a login wait for another process, and not end any sooner.
    """
    return max(1, cores // processes)


class LoginBusy(ResourceExhausted):
    """As many passwords are being checked as the server takes at once: try again shortly."""


class Passwords:
    """Hashes and checks passwords on threads of its own; argon2 lets go of the interpreter's lock while it works."""

    def __init__(self, parallel: int, waiting: int = 32) -> None:
        """`parallel`: hashes computed at a time. `waiting`: how many more may wait for their turn, each some 30 ms."""
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="password")
        self._room = parallel + waiting
        # What a login without an account is checked against, so that it takes as long as one with.
        self._nobody = HASHER.hash(secrets.token_urlsafe())

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A place among those who may have a hash computed, for whoever has to be sure of it. Raises LoginBusy."""
        if self._room <= 0:
            raise LoginBusy(subject="password checks at once", retry_after=1.0)
        self._room -= 1
        place = Place(self._pool, self._nobody)
        try:
            yield place
        finally:
            # Given back when the thread is done, not when the caller stops waiting: who goes away frees no core.
            place.when_idle(self._leave)

    async def hash(self, password: str) -> str:
        """The password's argon2id hash in PHC string format. Raises LoginBusy."""
        with self.place() as place:
            return await place.hash(password)

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the hash's. Raises LoginBusy."""
        with self.place() as place:
            return await place.matches(password_hash, password)

    def close(self) -> None:
        """Ends the threads once what they compute is done."""
        self._pool.shutdown(cancel_futures=True)

    def _leave(self) -> None:
        self._room += 1


class Place:
    """Computes one hash after the other for whoever holds it."""

    def __init__(self, pool: ThreadPoolExecutor, nobody: str) -> None:
        self._pool = pool
        self._nobody = nobody
        self._running: Future[Any] | None = None

    async def hash(self, password: str) -> str:
        """The password's argon2id hash in PHC string format."""
        return await self._run(lambda: HASHER.hash(normalized(password)))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the hash's; with no hash it takes as long and is not."""
        known = password_hash is not None
        return await self._run(lambda: _matches(password_hash or self._nobody, password)) and known

    def when_idle(self, then: Callable[[], None]) -> None:
        """Calls back in the event loop's thread, now or when what is being computed is done."""
        if self._running is None or self._running.done():
            then()
            return
        loop = asyncio.get_running_loop()
        self._running.add_done_callback(lambda _: loop.call_soon_threadsafe(then))

    async def _run(self, work: Callable[[], Result]) -> Result:
        future = self._running = self._pool.submit(work)
        return await asyncio.wrap_future(future)


class Queues:
    """Lets in so many at a time of those who come under one name; the others wait, in their order."""

    def __init__(self, at_once: int, waiting: int) -> None:
        """`waiting`: how many may wait under one name."""
        self._at_once = at_once
        self._most = at_once + waiting
        self._queues: dict[Hashable, _Queue] = {}

    @asynccontextmanager
    async def taken(self, name: Hashable) -> AsyncIterator[None]:
        """Waits for the turn, and has it until the context ends. Raises LoginBusy."""
        queue = self._queues.setdefault(name, _Queue(asyncio.Semaphore(self._at_once)))
        if queue.length >= self._most:
            raise LoginBusy(subject="password checks of one account or address at once", retry_after=1.0)
        queue.length += 1
        try:
            async with queue.turns:
                yield
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[name]


@dataclass(slots=True)
class _Queue:
    turns: asyncio.Semaphore
    length: int = 0


def _matches(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, normalized(password))
    except (VerificationError, InvalidHashError):
        return False
