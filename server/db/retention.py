"""What tenants keep for as long as they have set: removed over the owner's connection, the only one that may."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import Table

from server.db.owner import connect_as_owner
from server.db.partitions import drop_months
from server.db.removal import BATCH
from server.kernel.clock import now
from server.kernel.errors import NotFound
from server.kernel.ids import uuid7_floor

_log = structlog.get_logger("atrium.upkeep")

Expire = Callable[[Any, UUID, UUID], Awaitable[int]]
"""Removes, over the owner's connection, what a tenant has from before an id; how many rows there were. There is no row
security on that connection: each statement names its tenant.
"""


class RetentionIncomplete(Exception):
    """What is not kept any more was not removed for every tenant; the log says for which, and why."""


class Retention:
    """Removes rows of a table that is divided by months, which their tenants do not keep any more."""

    def __init__(
        self,
        table: Table,
        owner_url: str | None,
        days: Callable[[UUID], Awaitable[int]],
        expire: Expire,
        *,
        whole_months: bool,
        part_of: Table | None = None,
    ) -> None:
        """`owner_url`: the database as its owner; None: all are kept, and the log says so. `days`: for how many a
        tenant keeps them. `whole_months`: one that nobody keeps goes with all that is in it; otherwise once nothing is.
        `part_of`: what the rows belong to, of which nothing may be left then either: it may get more of them.
        """
        self.table = table
        self._owner_url = owner_url
        self._days = days
        self._expire = expire
        self._whole_months = whole_months
        self._empty = () if whole_months else tuple(one.name for one in (table, part_of) if one is not None)

    async def __call__(self, tenants: AsyncIterable[UUID]) -> None:
        """`tenants`: every one there is. Raises DatabaseRefused; RetentionIncomplete where it failed for some."""
        if self._owner_url is None:
            _log.warning("rows are kept for ever: set ATRIUM_ADMIN_DATABASE_URL", table=self.table.name)
            return
        moment, before = now(), {}
        async for tenant in tenants:
            with suppress(NotFound):  # half purged by now, or gone
                before[tenant] = moment - timedelta(days=await self._days(tenant))
        rows, failed = 0, 0
        async with connect_as_owner(self._owner_url, "atrium retention") as connection:
            months = await self._drop(connection, before.values()) if self._whole_months else []
            for tenant, end in before.items():
                try:
                    rows += await self._expire(connection, tenant, uuid7_floor(end))
                except asyncpg.PostgresError as error:  # a lock that another tenant's purge holds is not the others'
                    failed += 1
                    _log.error("retention failed", table=self.table.name, tenant_id=tenant, exc_info=error)
            if not self._whole_months:
                months = await self._drop(connection, before.values())
        _log.info("rows removed that are not kept any more", table=self.table.name, months=months, count=rows)
        if failed:
            raise RetentionIncomplete(f"retention failed for {failed} tenants")

    async def _drop(self, connection: Any, before: Iterable[datetime]) -> Sequence[str]:
        return await drop_months(connection, self.table.name, min(before).date(), empty=self._empty)


async def remove_before(connection: Any, table: str, tenant_id: UUID, before: UUID, only: str = "true") -> int:
    """Removes the tenant's rows with smaller ids, batch after batch; how many there were. `only`: which, as SQL."""
    # The condition on the id stands twice, so that only the months in question are looked into for either.
    statement = (
        f"DELETE FROM {table} WHERE tenant_id = $1 AND id < $2 AND id IN "
        f"(SELECT id FROM {table} WHERE tenant_id = $1 AND id < $2 AND {only} ORDER BY id LIMIT {BATCH})"
    )
    total = 0
    while (count := int((await connection.execute(statement, tenant_id, before)).rpartition(" ")[2])) > 0:
        total += count
    return total
