"""What a database needs done while it is served from: the months ahead, and a look at what all months hold, daily."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import structlog

from server.db.errors import LOST, DatabaseRefused
from server.db.owner import connect_as_owner
from server.db.partitions import ensure_months, months_ahead, present_months
from server.db.pool import CONNECT_SECONDS
from server.kernel.tasks import going_on
from server.settings import Settings

_log = structlog.get_logger("atrium.upkeep")

_DAY_SECONDS = 86_400.0
_FEWEST_MONTHS_AHEAD = 2
_ANALYZE_ONLY = 18


@asynccontextmanager
async def months_kept(settings: Settings) -> AsyncIterator[None]:
    """Makes the months ahead now and every day, where the owner is known, and raises the alarm when they run out.

    What could not be made is tried again soon: in a day there might be no month to write into.
    """
    outages = (*LOST, DatabaseRefused)
    async with going_on(partial(_keep, settings), "months", every=_DAY_SECONDS, outages=outages):
        yield


async def _keep(settings: Settings) -> None:
    try:
        await keep_months(settings)
    except DatabaseRefused as error:  # it says what to do about it
        _log.error("the months ahead could not be made", error=str(error))
        raise


async def keep_months(settings: Settings) -> int:
    """Does it once; how many months lie ahead now. Fewer than two are an error in the log, told in time."""
    if settings.admin_database_url is not None:
        await ensure_months(settings.admin_database_url)
    connection = await asyncpg.connect(settings.database_url, timeout=CONNECT_SECONDS)
    try:
        ahead = await months_ahead(connection)
    finally:
        await connection.close()
    if ahead < _FEWEST_MONTHS_AHEAD:
        _log.error(
            "too few months lie ahead: set ATRIUM_ADMIN_DATABASE_URL, or run `atrium partitions ensure`", months=ahead
        )
    return ahead


async def analyze_divided(settings: Settings) -> list[str]:
    """Has PostgreSQL look at the tables that are divided by months as wholes; their names.

    Autovacuum looks at the months alone, and plans over all of them would be guesses. Only the owner may: without it
    nothing is done. Raises DatabaseRefused.
    """
    if settings.admin_database_url is None:
        return []
    async with connect_as_owner(settings.admin_database_url, "atrium analyze") as connection:
        tables = list(await present_months(connection))
        # Before version 18 there is no other way to the whole than through all of its parts.
        only = "ONLY " if connection.get_server_version().major >= _ANALYZE_ONLY else ""
        for table in tables:
            await connection.execute(f"ANALYZE {only}public.{table}")
    return tables
