"""The owner's connection: for migrations and maintenance, never for a request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from server.db.errors import CONNECT_ERRORS, DatabaseRefused
from server.db.pool import CONNECT_SECONDS
from server.db.rules import OWNER_ROLE

# Whoever waits for a lock holds up everybody behind it: these give up instead, and are run again.
_LOCK_TIMEOUT = "5s"


@asynccontextmanager
async def connect_as_owner(dsn: str, application: str, statement_timeout: str = "0") -> AsyncIterator[Any]:
    """A connection with the owner's rights. `dsn`: the owner's, or that of a role that may become it.

    Raises DatabaseRefused where it cannot be had.
    """
    settings = {
        "application_name": application,
        "role": OWNER_ROLE,  # so that everything made belongs to it, whoever connects
        "search_path": "public",
        "lock_timeout": _LOCK_TIMEOUT,
        "statement_timeout": statement_timeout,
    }
    try:
        connection: Any = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, server_settings=settings)
    except CONNECT_ERRORS as error:
        raise refused(error) from None
    try:
        yield connection
    finally:
        await connection.close()


def refused(error: BaseException) -> DatabaseRefused:
    """What to do about an owner's connection that cannot be made."""
    match error:
        case asyncpg.InvalidParameterValueError():
            return DatabaseRefused(f"The role {OWNER_ROLE} is missing: run `atrium migrate bootstrap` first.")
        case asyncpg.InsufficientPrivilegeError():
            return DatabaseRefused(
                f"ATRIUM_ADMIN_DATABASE_URL may not act as {OWNER_ROLE}: connect as that role, or as one that "
                "`atrium migrate bootstrap` was run with."
            )
        case _:
            return DatabaseRefused(
                f"Cannot connect to ATRIUM_ADMIN_DATABASE_URL: {str(error) or type(error).__name__}."
            )
