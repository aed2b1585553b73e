"""Brings a database to the schema that this version needs, over its owner's connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from server.db.errors import DatabaseRefused
from server.db.partitions import ensure_months
from server.db.revision import SCHEMA_REVISION
from server.db.rules import OWNER_ROLE

# A migration that waits for a lock holds up everyone behind it: it gives up instead, and is run again.
_LOCK_TIMEOUT = "5s"
_STATEMENT_TIMEOUT = "10min"


def _config() -> Config:
    spec = find_spec("migrations")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    config = Config()
    config.set_main_option("script_location", next(iter(spec.submodule_search_locations)))
    config.set_main_option("path_separator", "os")
    return config


async def up(dsn: str, revision: str = "head") -> None:
    """Runs what is missing, each migration in a transaction of its own, and makes the months ahead."""
    await _run(dsn, lambda config: command.upgrade(config, revision))
    if revision == "head":
        await ensure_months(dsn)


async def down(dsn: str, revision: str) -> None:
    """Undoes the migrations after `revision` (`base`: all of them), and what they hold with them."""
    await _run(dsn, lambda config: command.downgrade(config, revision))


async def status(dsn: str) -> tuple[str | None, str]:
    """The database's revision (None: it has none), and the one that this version needs."""
    found: list[str | None] = []

    async def look(connection: Any) -> None:
        await connection.run_sync(lambda sync: found.append(MigrationContext.configure(sync).get_current_revision()))

    await _connected(dsn, look)
    return found[0], SCHEMA_REVISION


async def _run(dsn: str, work: Callable[[Config], None]) -> None:
    config = _config()

    def migrate(connection: Any) -> None:
        config.attributes["connection"] = connection
        work(config)

    async def run(connection: Any) -> None:
        await connection.run_sync(migrate)

    await _connected(dsn, run)


async def _connected(dsn: str, work: Callable[[Any], Any]) -> None:
    settings = {
        "lock_timeout": _LOCK_TIMEOUT,
        "statement_timeout": _STATEMENT_TIMEOUT,
        "application_name": "atrium migrate",
    }
    # asyncpg reads the address itself: it knows forms (socket folders, several hosts) that SQLAlchemy's URL does not.
    engine = create_async_engine("postgresql+asyncpg://", connect_args={"dsn": dsn, "server_settings": settings})
    try:
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            if not await driver.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", OWNER_ROLE):
                raise DatabaseRefused("The roles are missing: run `atrium migrate bootstrap` first.")
            await driver.execute(f"SET ROLE {OWNER_ROLE}")  # so that everything belongs to the owner, whoever connects
            await work(connection)
            await connection.commit()
    finally:
        await engine.dispose()
    await asyncio.sleep(0)  # lets the driver's transports close before the loop does
