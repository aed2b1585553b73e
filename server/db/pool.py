"""The connections of one process, and whether the database behind them is one to serve from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson

from server.db.errors import DatabaseRefused
from server.db.revision import SCHEMA_REVISION
from server.settings import Settings

_SERVER_SETTINGS = {
    "application_name": "atrium",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
}


@asynccontextmanager
async def open_pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    """A pool as the serving role, after the checks. Raises DatabaseRefused."""
    try:
        pool = await asyncpg.create_pool(
            settings.database_url,
            min_size=1,
            max_size=settings.pool_size,
            init=_prepare,
            reset=_reset,
            server_settings=_SERVER_SETTINGS,
            statement_cache_size=500,
            timeout=10,
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseRefused(f"Cannot connect to ATRIUM_DATABASE_URL: {error}") from None
    try:
        async with pool.acquire() as connection:
            await check(connection)
        yield pool
    finally:
        await pool.close()


async def _prepare(connection: Any) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads, schema="pg_catalog"
        )


async def _reset(connection: Any) -> None:
    """Instead of asyncpg's reset, which costs every use of a connection a round trip.

    Nothing that outlives a transaction is ever set (a test reads our SQL for it), so a connection that is in none is
    clean. One that is still in one was left by something that went wrong: it is thrown away.
    """
    if connection.is_in_transaction():
        connection.terminate()


async def check(connection: Any) -> None:
    """Raises DatabaseRefused where this is no database to serve from, or the role is not one to serve as."""
    version = connection.get_server_version()
    if version.major < 15:
        raise DatabaseRefused(
            f"ATRIUM_DATABASE_URL is PostgreSQL {version.major}; Atrium needs 15 or newer. Upgrade the server."
        )
    vector = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    if vector is None or tuple(map(int, vector.split(".")[:2])) < (0, 8):
        raise DatabaseRefused(
            f"The database has {'no pgvector' if vector is None else 'pgvector ' + vector}; Atrium needs 0.8 or newer. "
            "Install it, then run `atrium migrate bootstrap`."
        )
    role = await connection.fetchrow(
        """
        SELECT current_user AS name, rolsuper, rolbypassrls,
               EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
                         AND pg_has_role(current_user, c.relowner, 'USAGE')) AS owns
        FROM pg_roles WHERE rolname = current_user
        """
    )
    if role["rolsuper"] or role["rolbypassrls"] or role["owns"]:
        raise DatabaseRefused(
            f"ATRIUM_DATABASE_URL connects as {role['name']}, a role that row security does not bind. Connect as "
            "atrium_app, which `atrium migrate bootstrap` makes; the owner belongs in ATRIUM_ADMIN_DATABASE_URL."
        )
    found = None
    if await connection.fetchval("SELECT to_regclass('public.alembic_version') IS NOT NULL"):
        found = await connection.fetchval("SELECT version_num FROM public.alembic_version")
    if found != SCHEMA_REVISION:
        raise DatabaseRefused(
            f"The database's schema is {found or 'not there'}; this version needs {SCHEMA_REVISION}. "
            "Run `atrium migrate up` with ATRIUM_ADMIN_DATABASE_URL set."
        )
