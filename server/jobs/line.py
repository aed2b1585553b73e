"""The connection that a worker takes its jobs over: one statement at a time, each of which is waited for so long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.ports.driver import NotifyCallback

from server.db.pool import CONNECT_SECONDS
from server.settings import Settings

# Later than the server's own limits: it ends what waits for a server that does not answer at all.
_COMMAND_SECONDS = 10.0
_SERVER_SETTINGS = {
    "application_name": "atrium worker",
    "statement_timeout": "8s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
}


async def connect(settings: Settings) -> Any:
    """The connection. LISTEN does not work through a pooler of transactions. Raises what asyncpg raises."""
    return await asyncpg.connect(
        settings.listen_database_url or settings.database_url,
        timeout=CONNECT_SECONDS,
        command_timeout=_COMMAND_SECONDS,
        server_settings=_SERVER_SETTINGS,
    )


class Line(AsyncpgDriver):
    """The engine's way to the database. `lost`: set once it is of no use any more."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.lost = asyncio.Event()
        self._listeners: list[NotifyCallback] = []
        connection.add_termination_listener(lambda _: self.lost.set())

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        try:
            async with self._alone() as connection:
                return [dict(row) for row in await connection.fetch(query, *args)]
        except Exception:
            self.lost.set()  # the engine's loops end with what they cannot read
            raise

    async def execute(self, query: str, *args: object) -> str:
        async with self._alone() as connection:
            outcome: str = await connection.execute(query, *args)
            return outcome

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        await super().add_listener(channel, callback)
        self._listeners.append(callback)

    def wake(self, payload: str) -> None:
        """Tells the engine, and no other worker, what a notification would."""
        for callback in self._listeners:
            callback(payload)

    async def notify(self, channel: str, payload: str) -> None:
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Any]:
        async with self._lock:
            if self.lost.is_set():
                raise ConnectionResetError
            try:
                yield self._connection
            except TimeoutError:
                self.lost.set()  # asyncpg would wait, without a limit, for the end of what was not answered
                raise
