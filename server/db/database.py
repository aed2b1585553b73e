"""The database as the slices see it: a transaction that is one tenant's, and nothing around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from server.db.errors import reachable
from server.db.pool import open_pool
from server.db.statements import HotStatement, Statement
from server.settings import Settings

ACQUIRE_SECONDS = 5.0


class Tx:
    """A running transaction. `tenant_id`: the one tenant whose rows it sees, None for global tables only."""

    __slots__ = ("_connection", "_tenant_id")

    def __init__(self, connection: Any, tenant_id: UUID | None) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    @property
    def tenant_id(self) -> UUID:
        assert self._tenant_id is not None, "a transaction over global tables has no tenant"
        return self._tenant_id

    async def fetch(self, statement: Statement, **values: Any) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._connection.fetch(statement.sql, *statement.arguments(values))
        return rows

    async def fetchrow(self, statement: Statement, **values: Any) -> asyncpg.Record | None:
        """The first row; None where there is none."""
        row: asyncpg.Record | None = await self._connection.fetchrow(statement.sql, *statement.arguments(values))
        return row

    async def fetchone(self, statement: Statement, **values: Any) -> asyncpg.Record:
        """The one row of a statement that always gives one."""
        row = await self.fetchrow(statement, **values)
        assert row is not None, f"no row from {statement.sql}"
        return row

    async def execute(self, statement: Statement, **values: Any) -> None:
        await self._connection.execute(statement.sql, *statement.arguments(values))

    async def notify(self, channel: str, payload: str) -> None:
        """Tells every listener, once the transaction has committed."""
        await self._connection.execute("SELECT pg_notify($1, $2)", channel, payload)


class Database:
    """The pool of one process, and the only door to it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Database]:
        """Connects, and checks that this is a database to serve from. Raises DatabaseRefused."""
        async with open_pool(settings) as pool:
            yield cls(pool)

    @asynccontextmanager
    async def tenant_tx(self, tenant_id: UUID) -> AsyncIterator[Tx]:
        """A transaction under the tenant's row security. Raises DatabaseUnavailable.

        It opens in one round trip, and the tenant is set for it alone: what ends it ends the setting too.
        """
        # The simple protocol takes no parameters; a UUID's text is digits, letters a to f and hyphens.
        opening = f"BEGIN; SELECT set_config('app.tenant_id', '{UUID(int=tenant_id.int)}', true)"
        async with self._transaction(opening) as connection:
            yield Tx(connection, tenant_id)

    @asynccontextmanager
    async def global_tx(self) -> AsyncIterator[Tx]:
        """A transaction over global tables: no tenant is set, so none's row is seen. Raises DatabaseUnavailable."""
        async with self._transaction("BEGIN") as connection:
            yield Tx(connection, None)

    async def hot(self, tenant_id: UUID, statement: HotStatement, **values: Any) -> asyncpg.Record | None:
        """The first row of a read in one round trip, under the tenant's row security. Raises DatabaseUnavailable."""
        arguments = statement.arguments({**values, "tenant_id": tenant_id})
        with reachable():
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                row: asyncpg.Record | None = await connection.fetchrow(statement.sql, *arguments)
                return row

    @asynccontextmanager
    async def _transaction(self, opening: str) -> AsyncIterator[Any]:
        with reachable():
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                await connection.execute(opening)
                try:
                    yield connection
                except BaseException:
                    if not connection.is_closed():
                        await connection.execute("ROLLBACK")
                    raise
                await connection.execute("COMMIT")
