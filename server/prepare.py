"""A database to serve from: the one that is named, or the embedded one, brought to the schema of this version."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from server.db.bootstrap import bootstrap
from server.db.migrate import up
from server.db.partitions import ensure_months
from server.db.rules import SERVING_ROLE
from server.settings import Settings, SettingsError


@contextmanager
def prepared(settings: Settings) -> Iterator[Settings]:
    """The settings with a database in them, whose months ahead are made where its owner is known.

    A database of one's own is migrated by `atrium migrate`, when one decides to; the embedded one here and now. Raises
    SettingsError where a part of one's own is named, and not the whole.
    """
    if settings.database_url is not None:
        if settings.admin_database_url is not None:
            asyncio.run(ensure_months(settings.admin_database_url))
        yield settings
        return
    from server.embedded.postgres import (
        as_role,
        embedded_postgres,
    )  # a package that a database of one's own never loads

    with embedded_postgres(_folder(settings)) as dsn:
        asyncio.run(_bring_up(dsn))
        # Made once, before there are processes that would each make one.
        key = SecretStr(base64.b64encode(settings.master_key_bytes).decode())
        found = {"database_url": as_role(dsn, SERVING_ROLE), "admin_database_url": dsn, "master_key": key}
        yield settings.model_copy(update=found)


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


async def _bring_up(dsn: str) -> None:
    await bootstrap(dsn)
    await up(dsn)
