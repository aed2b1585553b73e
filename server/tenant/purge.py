"""The end of a tenant: everything that is its own, removed over the owner's connection, children first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Table

from server.db.base import metadata
from server.db.database import Database, Tx
from server.db.errors import DatabaseRefused, reachable
from server.db.owner import connect_as_owner
from server.kernel.audit import Change, plain
from server.kernel.clock import now
from server.kernel.errors import DatabaseUnavailable
from server.kernel.ids import PLATFORM_TENANT_ID
from server.tenant import store
from server.tenant.domain import OwnerUnknown, Tenant
from server.tenant.ports import AuditLog
from server.tenant.tables import tenant_configs

_BATCH = 10_000

# What the platform's people were answered of it, to be given again.
_FORGET_ANSWERS = "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND response LIKE $2"

# What is left in the queue of its jobs: the leases of those that ended with their rows, and those that were put aside.
_FORGET_JOBS = """
WITH gone AS (DELETE FROM jobs.pgqueuer WHERE dedupe_key LIKE $1 RETURNING id),
    told AS (DELETE FROM jobs.pgqueuer_log WHERE job_id IN (SELECT id FROM gone))
DELETE FROM jobs.runs WHERE job_id IN (SELECT id FROM gone)
"""

_PERSONAL = frozenset({"contact_email", "contact_phone", "contact_person"})
"""What is of a person, and does not outlive the tenant in the platform's audit log."""


class TenantPurge:
    """Removes deleted tenants; the platform's audit log says how much of each there was."""

    def __init__(self, database: Database, owner_url: str | None, audit: AuditLog) -> None:
        """`owner_url`: the database as its owner; None: nothing is purged."""
        self._database = database
        self._owner_url = owner_url
        self._audit = audit

    async def __call__(self, tenant_id: UUID) -> None:
        """Raises TenantNotFound, NotDeleted, OwnerUnknown."""
        if self._owner_url is None:
            raise OwnerUnknown("purge of a tenant")
        async with self._database.tenant_tx(tenant_id) as tx:
            await store.lock_deleted(tx, tenant_id)
            begun = await self._begin(tx)
        await self._finish(self._owner_url, begun)

    async def due(self, tenant: Tenant, retention_days: int) -> bool:
        """Purges the tenant where it was deleted longer ago than that, or a purge of it was begun; whether it did.

        Raises TenantNotFound where another was first, OwnerUnknown where it is due and cannot be.
        """
        if not _is_due(tenant, retention_days):
            return False
        if self._owner_url is None:
            raise OwnerUnknown("purge of a tenant")
        async with self._database.tenant_tx(tenant.id) as tx:
            # What the caller read may be old by now: it may have been restored, and deleted once more.
            if not _is_due(await store.lock_any(tx, tenant.id), retention_days):
                return False
            begun = await self._begin(tx)
        await self._finish(self._owner_url, begun)
        return True

    async def _begin(self, tx: Tx) -> Tenant:
        """The transaction's tenant, which nobody restores any more.

        Removing its rows takes longer than a lock may be held: what keeps it from being restored is this mark.
        """
        tenant = await store.begin_purge(tx, tx.tenant_id)
        # Before as well as after: whoever looks for the tenant finds out, whatever comes in between.
        await tx.enter(PLATFORM_TENANT_ID)
        await self._record(tx, "tenants.purge_begin", tenant, None)
        return tenant

    async def _finish(self, owner_url: str, tenant: Tenant) -> None:
        removed = await _purge_rows(owner_url, tenant.id)
        if removed is None:  # another, at the same time, was first: it tells
            return
        async with self._database.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await self._record(tx, "tenants.purge", tenant, {"rows": removed})

    async def _record(self, tx: Tx, action: str, old: Tenant, details: Mapping[str, Any] | None) -> None:
        told = {name: value for name, value in asdict(old).items() if name not in _PERSONAL}
        await self._audit.record(tx, Change(action, "tenant", old.id, old=plain(told), details=details))


def _is_due(tenant: Tenant, retention_days: int) -> bool:
    if tenant.purge_started_at is not None:
        return True
    return tenant.deleted_at is not None and tenant.deleted_at + timedelta(days=retention_days) <= now()


async def _purge_rows(owner_url: str, tenant_id: UUID) -> dict[str, int] | None:
    """Removes the tenant and every row of it, in batches; how many there were, by table. None where another removed the
    tenant itself.

    What is interrupted is gone on with by the next call: its settings go last but one, then the tenant itself. Raises
    DatabaseUnavailable.
    """
    removed: Counter[str] = Counter()
    tables = [table for table in reversed(metadata.sorted_tables) if "tenant_id" in table.c]
    tables.sort(key=lambda table: table is tenant_configs)
    try:
        with reachable():
            async with connect_as_owner(owner_url, "atrium purge") as connection:
                for table in tables:
                    removed[table.name] += await _empty(connection, table, tenant_id)
                async with connection.transaction():
                    # Nobody adds a row while this is held: what came meanwhile, of a refused sign-in, goes too.
                    await connection.execute("SELECT FROM tenants WHERE id = $1 FOR UPDATE", tenant_id)
                    for table in tables:
                        removed[table.name] += await _empty(connection, table, tenant_id)
                    gone = await connection.fetchval("DELETE FROM tenants WHERE id = $1 RETURNING id", tenant_id)
                await connection.execute(_FORGET_JOBS, f"{tenant_id}/%")
                await connection.execute(_FORGET_ANSWERS, PLATFORM_TENANT_ID, f"%{tenant_id}%".encode())
    except DatabaseRefused as error:
        raise DatabaseUnavailable from error
    return None if gone is None else {str(name): count for name, count in removed.items() if count}


async def _empty(connection: Any, table: Table, tenant_id: UUID) -> int:
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    statement = (
        f"DELETE FROM {table.name} WHERE ({key}) IN "
        f"(SELECT {key} FROM {table.name} WHERE tenant_id = $1 LIMIT {_BATCH})"
    )
    total = 0
    while (count := int((await connection.execute(statement, tenant_id)).rpartition(" ")[2])) > 0:
        total += count
    return total
