"""Whether what stands between a process and PostgreSQL lets everything through that Atrium counts on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg

from server.db.errors import CONNECT_ERRORS, LOST, DatabaseRefused
from server.db.pool import CONNECT_SECONDS, Connection
from server.settings import Settings


async def check_passage(settings: Settings, connection: Connection) -> None:
    """Raises DatabaseRefused where what is told in the database is not heard: a revoked session would be taken as good
    for half a minute. And where prepared statements are lost on the way. `connection`: to ATRIUM_DATABASE_URL.

    A pooler of transactions is found out by holding, in a transaction, the server that another use had a moment ago.
    """
    channel = f"atrium_check_{uuid4().hex}"
    heard: list[object] = []
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(_another(settings.database_url, "ATRIUM_DATABASE_URL"))
        listener, holder = other, connection
        if settings.listen_database_url is not None:
            listener, holder = [
                await stack.enter_async_context(_another(settings.listen_database_url, "ATRIUM_LISTEN_DATABASE_URL"))
                for _ in range(2)
            ]
        try:
            await listener.add_listener(channel, lambda *told: heard.append(told))
            prepared = await other.prepare("SELECT 1")
            await prepared.fetchval()  # a statement that was prepared and never used holds its server
            async with connection.transaction(), holder.transaction():
                await other.execute(f"NOTIFY {channel}")
                await listener.execute("SELECT 1")  # notifications go out before the answer to what is asked after them
                if not heard:
                    raise DatabaseRefused(_unheard(settings))
                await prepared.fetchval()
        except TimeoutError:
            raise DatabaseRefused(
                "Two connections to ATRIUM_DATABASE_URL get no answer at once: see that its pooler has room for all of "
                "ATRIUM_POOL_SIZE, of every process."
            ) from None
        except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError):
            raise DatabaseRefused(
                "The pooler of ATRIUM_DATABASE_URL does not keep prepared statements: PgBouncer does from version 1.21 "
                "on, with `max_prepared_statements`."
            ) from None
        except LOST as error:
            raise DatabaseRefused(
                f"Nothing is told through ATRIUM_DATABASE_URL, or heard: {str(error) or type(error).__name__}. "
                "Neither it nor ATRIUM_LISTEN_DATABASE_URL may lead to a standby."
            ) from None


def _unheard(settings: Settings) -> str:
    if settings.listen_database_url is None:
        return (
            "ATRIUM_DATABASE_URL leads through a pooler of transactions, where nothing that is told would be heard: "
            "set ATRIUM_LISTEN_DATABASE_URL to the same database, past the pooler."
        )
    return (
        "ATRIUM_LISTEN_DATABASE_URL leads to another database than ATRIUM_DATABASE_URL, or through a pooler of "
        "transactions: nothing that is told there would be heard."
    )


@asynccontextmanager
async def _another(dsn: str | None, setting: str) -> AsyncIterator[Any]:
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=CONNECT_SECONDS,
            server_settings={"application_name": "atrium check"},
        )
    except CONNECT_ERRORS as error:
        raise DatabaseRefused(
            f"Cannot connect to {setting}: {str(error) or type(error).__name__}. See that the server runs, and that "
            "address, role and password are right."
        ) from None
    try:
        yield connection
    finally:
        connection.terminate()
