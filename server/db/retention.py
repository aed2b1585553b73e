"""What tenants keep for as long as they have set: removed over the owner's connection, the only one that may."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from server.db.owner import connect_as_owner
from server.db.removal import BATCH
from server.kernel.clock import now
from server.kernel.errors import NotFound

_log = structlog.get_logger("atrium.upkeep")


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed: whole months by their names, and rows besides."""

    months: Sequence[str]
    rows: int


Expire = Callable[[Any, Mapping[UUID, datetime]], Awaitable[Removed]]
"""Removes, over the owner's connection, what each tenant does not keep any more: from before that moment. There is
no row security on that connection: each statement names its tenant.
"""


class Retention:
    """Removes rows of a kind that their tenants do not keep any more."""

    def __init__(
        self, rows: str, owner_url: str | None, days: Callable[[UUID], Awaitable[int]], expire: Expire
    ) -> None:
        """`rows`: what the log calls them. `owner_url`: the database as its owner; None: all are kept, and the log says
        so. `days`: for how many a tenant keeps them.
        """
        self._rows = rows
        self._owner_url = owner_url
        self._days = days
        self._expire = expire

    async def __call__(self, tenants: AsyncIterable[UUID]) -> None:
        """`tenants`: every one there is. Raises DatabaseRefused."""
        if self._owner_url is None:
            _log.warning("what is not kept any more stays: set ATRIUM_ADMIN_DATABASE_URL", rows=self._rows)
            return
        moment, before = now(), {}
        async for tenant in tenants:
            with suppress(NotFound):  # half purged by now, or gone
                before[tenant] = moment - timedelta(days=await self._days(tenant))
        async with connect_as_owner(self._owner_url, "atrium retention") as connection:
            removed = await self._expire(connection, before)
        _log.info("removed what is not kept any more", rows=self._rows, months=removed.months, count=removed.rows)


async def remove_before(connection: Any, table: str, tenant_id: UUID, before: UUID) -> int:
    """Removes the tenant's rows with smaller ids, batch after batch; how many there were."""
    # The condition on the id stands twice, so that only the months in question are looked into for either.
    statement = (
        f"DELETE FROM {table} WHERE tenant_id = $1 AND id < $2 AND id IN "
        f"(SELECT id FROM {table} WHERE tenant_id = $1 AND id < $2 ORDER BY id LIMIT {BATCH})"
    )
    total = 0
    while (count := int((await connection.execute(statement, tenant_id, before)).rpartition(" ")[2])) > 0:
        total += count
    return total
