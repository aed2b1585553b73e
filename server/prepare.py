"""A database to serve from: the one that is named, or the embedded one, brought to the schema of this version."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from server.db.bootstrap import bootstrap
from server.db.migrate import up
from server.db.partitions import ensure_months
from server.db.rules import SERVING_ROLE
from server.settings import Settings


@contextmanager
def prepared(settings: Settings) -> Iterator[Settings]:
    """The settings with a database in them, whose months ahead are made where its owner is known.

    A database of one's own is migrated by `atrium migrate`, when one decides to; the embedded one here and now.
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

    with embedded_postgres(settings.data_dir.resolve() / "postgres") as dsn:
        asyncio.run(_bring_up(dsn))
        # Made once, before there are processes that would each make one.
        key = SecretStr(base64.b64encode(settings.master_key_bytes).decode())
        found = {"database_url": as_role(dsn, SERVING_ROLE), "admin_database_url": dsn, "master_key": key}
        yield settings.model_copy(update=found)


async def _bring_up(dsn: str) -> None:
    await bootstrap(dsn)
    await up(dsn)
