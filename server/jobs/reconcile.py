"""Jobs that should be there and are not: asked for again."""

from __future__ import annotations

from server.db.database import Database
from server.jobs.backlog import Backlog

_AT_WORK = "SELECT tenant_id FROM atrium_tenants_at_work() AS tenant_id"


async def reconcile(database: Database, backlog: Backlog) -> int:
    """Looks through the backlog of each tenant that has one; how many jobs no job in the queue stood for any more."""
    async with database.global_tx() as tx:
        tenants = [row["tenant_id"] for row in await tx.run(_AT_WORK)]
    lost = 0
    for tenant_id in tenants:
        async with database.tenant_tx(tenant_id) as tx:
            lost += await backlog.reconcile(tx)
    return lost
