"""The database as the slices see it: a transaction that is one tenant's, and nothing around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar, Token
from functools import partial
from types import TracebackType
from typing import Any
from uuid import UUID

import asyncpg

from server.db.connect import check, connect, teach_json
from server.db.errors import CONNECT_ERRORS, DatabaseRefused, reachable, serving
from server.db.passage import check_passage
from server.db.pool import Connection, Pool
from server.db.statements import HotStatement, Statement
from server.settings import Settings


class Tx:
    """A running transaction. Every method raises DatabaseUnavailable where the database does not answer, and TenantGone
    where its tenant was purged meanwhile.
    """

    __slots__ = ("_connection", "_tenant_id", "told")

    def __init__(self, connection: Connection, tenant_id: UUID | None) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self.told: list[tuple[str, str]] = []
        """Channel and payload of each notification that goes out when it commits."""

    @property
    def tenant_id(self) -> UUID:
        """The one tenant whose rows it sees. A transaction over global tables has none and must not be asked."""
        assert self._tenant_id is not None, "a transaction over global tables has no tenant"
        return self._tenant_id

    async def fetch(self, statement: Statement, **values: Any) -> list[asyncpg.Record]:
        """Every row."""
        with serving():
            return await self._connection.fetch(statement.sql, *statement.arguments(values))

    async def fetchrow(self, statement: Statement, **values: Any) -> asyncpg.Record | None:
        """The first row; None where there is none."""
        with serving():
            return await self._connection.fetchrow(statement.sql, *statement.arguments(values))

    async def fetch_hot(self, statement: HotStatement, **values: Any) -> asyncpg.Record | None:
        """The first row of a statement that sets its tenant by itself: here the transaction's own."""
        with serving():
            return await self._connection.fetchrow(statement.sql, *statement.arguments_of(self.tenant_id, values))

    async def fetchone(self, statement: Statement, **values: Any) -> asyncpg.Record:
        """The one row of a statement that always gives one."""
        row = await self.fetchrow(statement, **values)
        assert row is not None, f"no row from {statement.sql}"
        return row

    async def fetchval(self, statement: Statement, **values: Any) -> Any:
        """The first value of the first row; None where there is no row."""
        with serving():
            return await self._connection.fetchval(statement.sql, *statement.arguments(values))

    async def execute(self, statement: Statement, **values: Any) -> None:
        """Runs the statement for what it does."""
        with serving():
            await self._connection.execute(statement.sql, *statement.arguments(values))

    async def run(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Every row of SQL that a library has written."""
        with serving():
            return await self._connection.fetch(sql, *arguments)

    def tell_here(self, channel: str) -> None:
        """Tells this process alone, once the transaction has committed."""
        self.told.append((channel, ""))

    async def notify(self, channel: str, payload: str) -> None:
        """Tells every listener, once the transaction has committed. `payload`: under 8,000 bytes."""
        with serving():
            await self._connection.execute("SELECT pg_notify($1, $2)", channel, payload)
        self.told.append((channel, payload))

    async def enter(self, tenant_id: UUID) -> None:
        """Sees another tenant's rows from now on."""
        with serving():
            await self._connection.execute(_set_tenant(tenant_id))
        self._tenant_id = tenant_id


@asynccontextmanager
async def owner_tx(connection: Any, tenant_id: UUID) -> AsyncIterator[Tx]:
    """A transaction with the owner's rights, on their connection, for what is written in it as in one of the tenant's.

    Row security does not bind it: it is for statements that name their tenant themselves.
    """
    await teach_json(connection)
    async with connection.transaction():
        yield Tx(connection, tenant_id)


class Transaction:
    """Opens a transaction in one round trip, and ends it in one: it commits, unless what it surrounds raises."""

    __slots__ = ("_connection", "_hear", "_opening", "_pool", "_tenant_id", "_tx")

    _connection: Connection
    _tx: Tx

    def __init__(self, pool: Pool, opening: str, tenant_id: UUID | None, hear: Callable[[str, str], None]) -> None:
        self._pool = pool
        self._opening = opening
        self._tenant_id = tenant_id
        self._hear = hear

    async def __aenter__(self) -> Tx:
        with reachable():
            connection = await self._pool.acquire()
            try:
                await connection.execute(self._opening)
            except BaseException:
                self._pool.release(connection, failed=True)
                raise
        self._connection = connection
        self._tx = Tx(connection, self._tenant_id)
        return self._tx

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._pool.release(self._connection, failed=True)  # which rolls back, without the caller waiting for it
            return
        with reachable():
            try:
                outcome = await self._connection.execute("COMMIT")
            except BaseException:
                self._pool.release(self._connection, failed=True)
                raise
        self._pool.release(self._connection)
        # PostgreSQL answers the COMMIT of a failed transaction with a rollback, and calls that a success.
        if outcome != "COMMIT":
            raise RuntimeError("a statement's error was caught inside the transaction, and all of it is rolled back")
        for channel, payload in self._tx.told:
            self._hear(channel, payload)


class _Whole:
    """A transaction that those begun within it, by the same task, are a part of. It begins with the first of them."""

    __slots__ = ("_begun", "_task", "_token", "_transaction", "tx")

    _token: Token[_Whole | None]

    def __init__(self, transaction: Transaction, begun: Callable[[Tx], Awaitable[None]]) -> None:
        self._transaction = transaction
        self._begun = begun
        self._task = asyncio.current_task()
        self.tx: Tx | None = None
        """None until it has begun: what waits for something slow before that holds no connection."""

    @property
    def is_here(self) -> bool:
        """A task that was started inside outlives it, and has transactions of its own."""
        return self._task is asyncio.current_task()

    async def begin(self) -> Tx:
        if self.tx is None:
            self.tx = await self._transaction.__aenter__()
            await self._begun(self.tx)
        return self.tx

    async def __aenter__(self) -> None:
        self._token = _whole.set(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _whole.reset(self._token)
        if self.tx is not None:
            await self._transaction.__aexit__(kind, error, traceback)


_whole: ContextVar[_Whole | None] = ContextVar("whole", default=None)


def _whole_here() -> _Whole | None:
    whole = _whole.get()
    return whole if whole is not None and whole.is_here else None


class _Part:
    """A transaction inside a whole one: it neither begins nor ends, and the whole fails with it."""

    __slots__ = ("_former", "_tenant_id", "_tx", "_whole")

    _former: UUID
    _tx: Tx

    def __init__(self, whole: _Whole, tenant_id: UUID) -> None:
        self._whole = whole
        self._tenant_id = tenant_id

    async def __aenter__(self) -> Tx:
        self._tx = await self._whole.begin()
        self._former = self._tx.tenant_id
        if self._tenant_id != self._former:
            await self._tx.enter(self._tenant_id)
        return self._tx

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self._tenant_id != self._former:
            await self._tx.enter(self._former)


class Database:
    """The pool of one process, and the only door to it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._hearers: dict[str, Callable[[str], None]] = {}

    def hear(self, channel: str, callback: Callable[[str], None]) -> None:
        """Calls back with what this process tells on the channel, as soon as it has committed.

        The notification itself comes a moment later, here as in every other process; but whoever changed something must
        find it changed when their call returns.
        """
        self._hearers[channel] = callback

    def tell_here(self, channel: str) -> None:
        """Tells this process alone, of what has been committed."""
        self._heard(channel, "")

    def _heard(self, channel: str, payload: str) -> None:
        if channel in self._hearers:
            self._hearers[channel](payload)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Database]:
        """Connects, and checks that this is a database to serve from. Raises DatabaseRefused."""
        pool = Pool(partial(connect, settings), settings.pool_size)
        try:
            try:
                connection = await pool.acquire()
            except CONNECT_ERRORS as error:
                raise DatabaseRefused(
                    f"Cannot connect to ATRIUM_DATABASE_URL: {str(error) or type(error).__name__}. "
                    "See that the server runs, and that address, role and password are right."
                ) from None
            await check(connection)
            await check_passage(settings, connection)
            pool.release(connection)
            yield cls(pool)
        finally:
            await pool.close()

    def tenant_tx(
        self, tenant_id: UUID, *, durable: bool = True, read_only: bool = False
    ) -> AbstractAsyncContextManager[Tx]:
        """A transaction under the tenant's row security: `async with database.tenant_tx(tenant_id) as tx`.

        The tenant is set for the transaction alone: what ends it ends the setting too. One that is not `durable` does
        not wait until its commit is on disk: a crash of the database may take it back. One that is `read_only` refuses
        to write, and sees all at one moment, unless it is a part of a whole, which it does not begin. Raises
        DatabaseUnavailable.
        """
        whole = _whole_here()
        if whole is not None and (whole.tx is not None or not read_only):
            return _Part(whole, tenant_id)
        if read_only:
            begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            return Transaction(self._pool, f"{begin}; {_set_tenant(tenant_id)}", tenant_id, self._heard)
        begin = "BEGIN" if durable else "BEGIN; SET LOCAL synchronous_commit = off"
        return Transaction(self._pool, f"{begin}; {_set_tenant(tenant_id)}", tenant_id, self._heard)

    def whole_tx(self, tenant_id: UUID, begun: Callable[[Tx], Awaitable[None]]) -> AbstractAsyncContextManager[None]:
        """Each transaction that this task begins within is a part of one, whichever tenant's: all of them are
        committed, or none. It begins with the first, and `begun` is awaited with it then; nothing is held before.
        """
        transaction = Transaction(self._pool, f"BEGIN; {_set_tenant(tenant_id)}", tenant_id, self._heard)
        return _Whole(transaction, begun)

    def global_tx(self) -> Transaction:
        """A transaction over global tables: no tenant is set, so none's row is seen. Raises DatabaseUnavailable."""
        return Transaction(self._pool, "BEGIN", None, self._heard)

    async def hot(self, tenant_id: UUID, statement: HotStatement, **values: Any) -> asyncpg.Record | None:
        """The first row of a read under the tenant's row security, in one round trip. Raises DatabaseUnavailable."""
        whole = _whole_here()
        if whole is not None and whole.tx is not None:
            # It holds a connection: who waits for a second one with it waits for others who do the same.
            async with self.tenant_tx(tenant_id) as tx:
                return await tx.fetch_hot(statement, **values)
        return await self._only(statement.sql, statement.arguments_of(tenant_id, values))

    async def at_once(self, statement: Statement, **values: Any) -> Any:
        """What a function gives that sets its tenant by itself: a whole transaction in one round trip.

        Raises DatabaseUnavailable.
        """
        whole = _whole_here()
        assert whole is None or whole.tx is None, "what is a transaction by itself is no part of another"
        row = await self._only(statement.sql, statement.arguments(values))
        assert row is not None, f"no row from {statement.sql}"
        return row[0]

    async def _only(self, sql: str, arguments: list[Any]) -> asyncpg.Record | None:
        with serving():
            connection = await self._pool.acquire()
            try:
                row = await connection.fetchrow(sql, *arguments)
            except BaseException:
                self._pool.release(connection, failed=True)
                raise
        self._pool.release(connection)
        return row


def _set_tenant(tenant_id: UUID) -> str:
    # The simple protocol takes several statements and no parameters; whatever `int` gives is digits.
    return f"SELECT set_config('app.tenant_id', '{UUID(int=tenant_id.int)}', true)"
