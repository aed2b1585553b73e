"""Jobs that should be there and are not: asked for again."""

from __future__ import annotations

import structlog

from server.db.database import Database
from server.jobs.backlog import Backlog

_log = structlog.get_logger("atrium.jobs")

# Not the same ones first each time, of which some may be those that it fails for.
_AT_WORK = "SELECT tenant_id FROM atrium_tenants_at_work() AS tenant_id ORDER BY random()"
_MOST_FAILED = 10


async def reconcile(database: Database, backlog: Backlog) -> int:
    """Looks through the backlog of each tenant that has one; how many jobs no job in the queue stood for any more.

    Raises ReconcileIncomplete where it failed for some, once it was done for the others; of many that it fails for the
    rest is left for the next time.
    """
    async with database.global_tx() as tx:
        tenants = [row["tenant_id"] for row in await tx.run(_AT_WORK)]
    lost, failed = 0, 0
    for tenant_id in tenants:
        try:
            async with database.tenant_tx(tenant_id) as tx:
                lost += await backlog.reconcile(tx)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one tenant is not with the others
            failed += 1
            _log.error("jobs of a tenant not reconciled", tenant_id=tenant_id, exc_info=error)
            if failed == _MOST_FAILED:
                break
    if failed:
        raise ReconcileIncomplete(f"failed for {failed} tenants")
    return lost


class ReconcileIncomplete(Exception):
    """The jobs of some tenants were not looked through; the log says whose, and why."""
