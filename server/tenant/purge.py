"""The end of a tenant: everything that is its own, removed over the owner's connection, children first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Table

from server.db.base import metadata
from server.db.database import Database, Tx, owner_tx
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

_TO_THE_END = "audit_checkpoints"
"""By what its log was sealed: a purge that goes on with one that was interrupted tells it too."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A purge under way. `checkpoint`: what the newest seal over the tenant's log says; None: there is none."""

    tenant: Tenant
    checkpoint: Mapping[str, Any] | None


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

    async def _begin(self, tx: Tx) -> _Begun:
        """The transaction's tenant, which nobody restores any more.

        Removing its rows takes longer than a lock may be held: what keeps it from being restored is this mark.
        """
        tenant = await store.begin_purge(tx, tx.tenant_id)
        begun = _Begun(tenant, await self._audit.last_checkpoint(tx))
        # Before as well as after: whoever looks for the tenant finds out, whatever comes in between.
        await tx.enter(PLATFORM_TENANT_ID)
        await self._record(tx, "tenants.purge_begin", begun)
        return begun

    async def _finish(self, owner_url: str, begun: _Begun) -> None:
        """Removes the tenant and every row of it, in batches, and tells how many there were, by table.

        What is interrupted is gone on with by the next call, which tells what was left: its settings go last but one,
        then the tenant itself, with all that names it, in one transaction. Raises DatabaseUnavailable.
        """
        tenant_id = begun.tenant.id
        tables = [table for table in reversed(metadata.sorted_tables) if "tenant_id" in table.c]
        tables.sort(key=lambda table: table is tenant_configs)
        try:
            with reachable():
                async with connect_as_owner(owner_url, "atrium purge") as connection:
                    batches = [table for table in tables if table.name != _TO_THE_END]
                    removed = await _empty(connection, tenant_id, batches)
                    async with owner_tx(connection, PLATFORM_TENANT_ID) as tx:
                        # Nobody adds a row while this is held: what came meanwhile, of a refused sign-in, goes too.
                        await connection.execute("SELECT FROM tenants WHERE id = $1 FOR UPDATE", tenant_id)
                        removed += await _empty(connection, tenant_id, tables)
                        gone = await connection.fetchval("DELETE FROM tenants WHERE id = $1 RETURNING id", tenant_id)
                        if gone is None:  # another, at the same time, was first: it tells
                            return
                        await connection.execute(_FORGET_ANSWERS, PLATFORM_TENANT_ID, f"%{tenant_id}%".encode())
                        await self._record(tx, "tenants.purge", begun, {"rows": dict(+removed)})
        except DatabaseRefused as error:
            raise DatabaseUnavailable from error

    async def _record(self, tx: Tx, action: str, begun: _Begun, details: Mapping[str, Any] | None = None) -> None:
        told = {name: value for name, value in asdict(begun.tenant).items() if name not in _PERSONAL}
        details = {**(details or {}), "last_checkpoint": begun.checkpoint}
        await self._audit.record(tx, Change(action, "tenant", begun.tenant.id, old=plain(told), details=details))


def _is_due(tenant: Tenant, retention_days: int) -> bool:
    if tenant.purge_started_at is not None:
        return True
    return tenant.deleted_at is not None and tenant.deleted_at + timedelta(days=retention_days) <= now()


async def _empty(connection: Any, tenant_id: UUID, tables: Iterable[Table]) -> Counter[str]:
    """Removes every row of the tenant's in these, and what is left of its jobs; how many there were, by table."""
    removed: Counter[str] = Counter()
    for table in tables:
        key = ", ".join(f'"{column.name}"' for column in table.primary_key)
        statement = (
            f"DELETE FROM {table.name} WHERE ({key}) IN "
            f"(SELECT {key} FROM {table.name} WHERE tenant_id = $1 LIMIT {_BATCH})"
        )
        while (count := int((await connection.execute(statement, tenant_id)).rpartition(" ")[2])) > 0:
            removed[str(table.name)] += count
    await connection.execute(_FORGET_JOBS, f"{tenant_id}/%")
    return removed
