"""The connections of one process: lent out for one use each, clean when they are lent again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import asyncpg
import structlog

from server.db.errors import LOST
from server.kernel.tasks import Background

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_SECONDS = 10.0
"""How long any connection to PostgreSQL may take to be there."""

ACQUIRE_SECONDS = 5.0
"""How long a use waits for a connection while all are lent."""

_CLEAN_SECONDS = 2.0
"""How long one may take to be clean. PostgreSQL drops a cancellation that comes before it has read the statement: the
end of such a one is not waited for, since a new connection costs some milliseconds."""

_CLOSE_SECONDS = 1.0

_log = structlog.get_logger("atrium.db")


class Pool:
    """At most `size` connections, each opened when it is first needed and opened anew when it is lost.

    asyncpg's own pool makes a proxy, a task and a shield for every use, which cost more time than a read by key does:
    123 microseconds of CPU against 71 for a read with this one. Its reset on every release, a round trip, is not needed
    either: nothing that outlives a transaction is ever set (a test holds our SQL to that), so a connection in no
    transaction is clean. One that is in a transaction, or whose use failed or was cancelled, is rolled back before
    anybody else gets it, and thrown away where that does not work.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], size: int, wait_seconds: float = ACQUIRE_SECONDS
    ) -> None:
        self._connect = connect
        self._wait_seconds = wait_seconds
        self._free_places = size
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        # What a waiter is given: a connection, or None for the place to open one.
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._background = Background()

    async def acquire(self) -> Connection:
        """A clean connection, which the caller gives back with `release`.

        Raises TimeoutError where none came free in time, and whatever connecting raises.
        """
        while self._idle:
            connection = (
                self._idle.pop()
            )  # the last one used: its caches are warm, and the rest may be closed by idleness
            if not connection.is_closed():
                return connection
            self._forget(connection)
        if self._free_places:
            self._free_places -= 1
            return await self._opened()
        return await self._waited()

    def release(self, connection: Connection, *, failed: bool = False) -> None:
        """Takes the connection back. `failed`: its use did not come to its end, it may be in the midst of something."""
        if connection.is_closed():
            self._forget(connection)
        elif failed or connection.is_in_transaction():
            self._background.start(self._clean(connection), "rollback")
        else:
            self._give(connection)

    async def close(self) -> None:
        """Closes what is idle, and ends what is still lent."""
        await self._background.close(_CLOSE_SECONDS)
        for connection in self._open.difference(self._idle):
            connection.terminate()
        # Those that are gone already, or do not answer, are dropped by asyncpg itself.
        closing = (connection.close(timeout=_CLOSE_SECONDS) for connection in self._idle)
        for outcome in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, LOST):
                raise outcome
        self._idle.clear()
        self._open.clear()

    async def _opened(self) -> Connection:
        try:
            connection = await self._connect()
        except BaseException:
            self._give(None)
            raise
        self._open.add(connection)
        return connection

    async def _waited(self) -> Connection:
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._wait_seconds):
                given = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():  # it came in the moment in which it was given up
                self._give(waiter.result())
            else:
                with suppress(ValueError):  # passed over already
                    self._waiters.remove(waiter)
            raise
        if given is not None and given.is_closed():  # between being given and being taken
            self._open.discard(given)
            given = None
        return given or await self._opened()

    def _give(self, given: Connection | None) -> None:
        """Hands a connection, or the place to open one, to whoever waits longest; else it stays here."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(given)
                return
        if given is None:
            self._free_places += 1
        else:
            self._idle.append(given)

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._give(None)

    async def _clean(self, connection: Connection) -> None:
        clean = False  # until it has answered: one that is silent may say that it is open and in no transaction
        try:
            async with asyncio.timeout(_CLEAN_SECONDS):
                # Either waits for the cancellation of what was running. asyncpg stumbles over a query that is empty.
                await connection.execute("ROLLBACK" if connection.is_in_transaction() else "SELECT")
            clean = not (connection.is_closed() or connection.is_in_transaction())
        except LOST as error:
            _log.warning("a connection was thrown away", error=type(error).__name__)
        finally:
            if clean:
                self._give(connection)
            else:
                connection.terminate()
                self._forget(connection)
