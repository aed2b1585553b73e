"""The end of templates: those deleted long ago, and those of people who are removed for good."""

from __future__ import annotations

from uuid import UUID

from server.db.database import Database, Tx
from server.db.removal import BATCH
from server.prompt.ports import AuditLog
from server.prompt.service.templates import purge_template
from server.prompt.store import templates as store


class PromptUpkeep:
    """Removes, tenant by tenant and in batches, what was deleted long ago."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def sweep(self, tenant_id: UUID, retention_days: int) -> None:
        """What was deleted longer ago than that."""
        while True:
            async with self._database.tenant_tx(tenant_id) as tx:
                found = await store.deleted_before(tx, retention_days)
                for template_id in found:
                    template = await store.lock_any(tx, template_id)
                    if template.deleted_at is not None:  # it may have been restored a moment ago
                        await purge_template(tx, self._audit, template)
            if len(found) < BATCH:
                return


class PromptBelongings:
    """What of the slice belongs to people."""

    async def remove(self, tx: Tx, user_id: UUID) -> dict[str, list[str]]:
        """The person is removed for good: what was theirs alone goes with them, and what they shared stays. Says which
        templates those were.
        """
        removed, shared = await store.disown(tx, user_id)
        found = {"templates_removed": removed, "templates_without_owner": shared}
        return {name: [str(one) for one in ids] for name, ids in found.items() if ids}
