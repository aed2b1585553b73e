"""Passwords: argon2id off the event loop, as many at a time as there are cores, and the surplus shed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.identity.password_policy import normalized
from server.kernel.errors import ResourceExhausted

Result = TypeVar("Result")

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB of memory, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class LoginBusy(ResourceExhausted):
    """As many passwords are being checked as the server takes at once: try again shortly."""


class Passwords:
    """Hashes and checks passwords on threads of its own; argon2 lets go of the interpreter's lock while it works."""

    def __init__(self, parallel: int, waiting: int = 32) -> None:
        """`parallel`: hashes computed at a time. `waiting`: how many more may wait for their turn, each some 30 ms."""
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="password")
        self._room = parallel + waiting
        # What a login without an account is checked against, so that it takes as long as one with.
        self._nobody = _HASHER.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """The password's argon2id hash in PHC string format. Raises LoginBusy."""
        return await self._run(lambda: _HASHER.hash(normalized(password)))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the hash's; with no hash it takes as long and is not. Raises LoginBusy."""
        known = password_hash is not None
        return await self._run(lambda: _matches(password_hash or self._nobody, password)) and known

    def close(self) -> None:
        """Ends the threads once what they compute is done."""
        self._pool.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._room <= 0:
            raise LoginBusy(subject="password checks at once", retry_after=1.0)
        self._room -= 1
        future = self._pool.submit(work)
        # Given back when the thread is done, not when the caller stops waiting: a caller who goes away frees no core.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        return await asyncio.wrap_future(future)

    def _leave(self) -> None:
        self._room += 1


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, normalized(password))
    except (VerificationError, InvalidHashError):
        return False
