"""Brings a database to the schema that this version needs, over its owner's connection."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from server.db.errors import DatabaseRefused
from server.db.owner import connect_as_owner
from server.db.partitions import ensure_months

# Long enough for what changes a catalogue. A migration that walks over rows asks for its own, for itself alone:
# `SET LOCAL statement_timeout`, in its transaction.
_TURN_SECONDS = 60
_STATEMENT_TIMEOUT = "30s"
_IN_THE_WAY = {"55P03", "57014"}  # a lock that did not come, a statement that took too long
_SCHEMA_CHANGE = re.compile(
    r"\s*((?:CREATE(?: OR REPLACE)?|ALTER|DROP)(?: UNIQUE| EVENT)? \w+|GRANT|REVOKE)", re.IGNORECASE
)

_PREPARED = text(
    "SELECT has_schema_privilege(current_user, 'public', 'CREATE') AND to_regnamespace('jobs') IS NOT NULL "
    "AND EXISTS (SELECT FROM pg_extension WHERE extname = 'vector')"
)


def _config() -> Config:
    spec = find_spec("migrations")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    config = Config()
    config.set_main_option("script_location", next(iter(spec.submodule_search_locations)))
    config.set_main_option("path_separator", "os")
    return config


def head_revision() -> str:
    """The last migration's revision."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


async def up(dsn: str, revision: str = "head") -> None:
    """Runs what is missing, each migration in a transaction of its own, and makes the months ahead.

    Of two that run at once the second waits for the first. To a schema that a newer version has made nothing is done:
    it serves this version too. Raises DatabaseRefused.
    """

    def work(config: Config, found: str | None) -> None:
        if revision != "head" or found is None or found <= head_revision():
            command.upgrade(config, revision)

    await _run(dsn, work)
    await ensure_months(dsn)


async def down(dsn: str, revision: str) -> None:
    """Undoes the migrations after `revision` (`base`: all of them), and what they hold with them.

    Raises DatabaseRefused.
    """
    await _run(dsn, lambda config, _: command.downgrade(config, revision))


async def status(dsn: str) -> tuple[str | None, str]:
    """The database's revision (None: it has none), and the one that this version needs. Raises DatabaseRefused."""
    async with _connected(dsn) as connection:
        found = await connection.run_sync(_revision)
    return found, head_revision()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _run(dsn: str, work: Callable[[Config, str | None], None]) -> None:
    def migrate(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        changes = _changes(connection)
        found = _revision(connection)
        _check_prepared(connection)
        connection.rollback()  # each migration begins a transaction of its own
        work(config, found)
        _record(connection, changes)
        connection.commit()

    async with _connected(dsn) as connection:
        try:
            await connection.run_sync(migrate)
        except CommandError as error:
            raise DatabaseRefused(
                f"There is no such way for the schema: {error}. `atrium migrate status` says where it is; from a "
                "revision that this version does not know, the version that made it goes back."
            ) from None
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _IN_THE_WAY:
                raise
            raise DatabaseRefused(
                f"A migration was given up, so as not to hold up others: {error.orig}. The ones before it are done and "
                "nothing of it is; see in pg_stat_activity who holds its tables, and run this again."
            ) from None


def _check_prepared(connection: Connection) -> None:
    """Roles are the cluster's: that the owner is there does not say that this database was made ready for it."""
    if not connection.execute(_PREPARED).scalar_one():
        raise DatabaseRefused(
            "The database of ATRIUM_ADMIN_DATABASE_URL is not prepared: run `atrium migrate bootstrap` first."
        )


def _changes(connection: Connection) -> list[tuple[str, str]]:
    """Fills with each schema change that the connection makes: its kind, and its text."""
    changes: list[tuple[str, str]] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if kind := _SCHEMA_CHANGE.match(statement):
            changes.append((kind[1].upper(), statement.strip()))

    event.listen(connection, "after_cursor_execute", note)
    return changes


def _record(connection: Connection, changes: list[tuple[str, str]]) -> None:
    """Writes the changes into ddl_audit_logs, where no event trigger has done so."""
    logged, recorded = connection.execute(
        text(
            "SELECT to_regclass('public.ddl_audit_logs') IS NOT NULL, "
            "EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'atrium_ddl_command_end' AND evtenabled <> 'D')"
        )
    ).one()
    if changes and logged and not recorded:
        connection.execute(
            text(
                'INSERT INTO public.ddl_audit_logs (command_tag, command, "session_user", application_name) '
                "VALUES (:kind, :command, session_user, current_setting('application_name'))"
            ),
            [{"kind": kind, "command": statement} for kind, statement in changes],
        )


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[AsyncConnection]:
    async with connect_as_owner(dsn, "atrium migrate", statement_timeout=_STATEMENT_TIMEOUT) as driver:
        try:
            # The one that holds it holds up nobody but this, and may have the whole schema to make.
            await driver.execute(f"SET lock_timeout = '{_TURN_SECONDS}s'")
            await driver.execute("SELECT pg_advisory_lock(hashtext('atrium migrate'))")
            await driver.execute("RESET lock_timeout")
        except asyncpg.LockNotAvailableError:
            raise DatabaseRefused("Another migration is running: wait for its end, and run this again.") from None

        async def given() -> Any:
            return driver

        # asyncpg has read the address: it knows forms (socket folders, several hosts) that SQLAlchemy's URL does not.
        engine = create_async_engine("postgresql+asyncpg://", async_creator=given, poolclass=NullPool)
        async with engine.connect() as connection:
            yield connection
