"""A database to serve from: the one that is named, or the embedded one, brought to the schema of this version."""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ParamSpec, TypeVar

from pydantic import SecretStr

from server.db.bootstrap import bootstrap
from server.db.partitions import ensure_months
from server.db.rules import SERVING_ROLE
from server.kernel.refusal import CommandRefused
from server.settings import Settings, SettingsError

P = ParamSpec("P")
Result = TypeVar("Result")


@contextmanager
def located(settings: Settings) -> Iterator[Settings]:
    """The settings with a database in them: the embedded one runs as long as the context lasts.

    Raises SettingsError where a part of one's own is named, and not the whole.
    """
    if settings.database_url is not None:
        yield settings
        return
    from server.embedded.postgres import (
        as_role,
        embedded_postgres,
    )  # a package that a database of one's own never loads

    with embedded_postgres(_folder(settings)) as dsn:
        # Made once, before there are processes that would each make one.
        key = SecretStr(base64.b64encode(settings.master_key_bytes).decode())
        found = {"database_url": as_role(dsn, SERVING_ROLE), "admin_database_url": dsn, "master_key": key}
        yield settings.model_copy(update=found)


def bring_up(asked: Settings, found: Settings) -> None:
    """Makes the months ahead where the database's owner is known. One of one's own is migrated by `atrium migrate`,
    when one decides to; the embedded one here and now. `found`: what `located` made of what was asked.
    """
    if found.admin_database_url is None:
        return
    if asked.database_url is None:
        asyncio.run(_make_ready(found.admin_database_url))
    else:
        asyncio.run(ensure_months(found.admin_database_url))


@contextmanager
def prepared(settings: Settings) -> Iterator[Settings]:
    """The settings with a database in them that is brought up. Raises SettingsError, as `located` does."""
    with located(settings) as ready:
        bring_up(settings, ready)
        yield ready


@contextmanager
def apart(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Iterator[Callable[[], Result]]:
    """Has a process of its own do it, with which the memory goes that it takes. What is yielded waits for it, and
    returns or raises what the function does; who does not wait for it ends it.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_apart, args=(sender, function, args, kwargs), daemon=True)
    process.start()
    sender.close()

    def result() -> Result:
        try:
            made, error = receiver.recv()
        except EOFError:
            raise CommandRefused("A process that prepares the database ended before it was done.") from None
        if error is not None:
            raise error
        returned: Result = made
        return returned

    try:
        yield result
    finally:
        process.terminate()
        process.join()


def _apart(sender: Connection, function: Callable[..., object], args: object, kwargs: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the whole group: it is for the first one
    assert isinstance(args, tuple)
    assert isinstance(kwargs, dict)
    try:
        sender.send((function(*args, **kwargs), None))
    except CommandRefused as error:
        sender.send((None, error))


@contextmanager
def existing(settings: Settings) -> Iterator[Settings]:
    """The settings with a database in them that is there before, for what is done to one beside its servers.

    A server that runs on the embedded one shares it. Raises SettingsError where there is none yet: a folder that is
    not the one that was meant is no place for another.
    """
    if settings.database_url is not None:
        yield settings
        return
    if not (_folder(settings) / "PG_VERSION").exists():
        raise SettingsError(
            f"ATRIUM_DATA_DIR: {settings.data_dir} holds no database yet: `atrium serve` makes it; one of your own is "
            "named by ATRIUM_DATABASE_URL"
        )
    with prepared(settings) as ready:
        yield ready


def _folder(settings: Settings) -> Path:
    """Where the embedded database lies. Raises SettingsError where another is named beside it, which it is not."""
    beside = {
        "ATRIUM_ADMIN_DATABASE_URL": settings.admin_database_url,
        "ATRIUM_LISTEN_DATABASE_URL": settings.listen_database_url,
    }
    problems = [
        f"{name}: is of no use to the embedded database: set ATRIUM_DATABASE_URL too, or unset this one"
        for name, url in beside.items()
        if url is not None
    ]
    if problems:
        raise SettingsError("\n".join(problems))
    return settings.data_dir.resolve() / "postgres"


async def _make_ready(dsn: str) -> None:
    from server.db.migrate import up  # alembic and every migration, which what serves does without

    await bootstrap(dsn)
    await up(dsn)
