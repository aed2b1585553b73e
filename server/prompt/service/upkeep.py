"""The end of templates: those deleted long ago, and those of people who are removed for good."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from server.db.database import Database, Tx
from server.db.removal import purge_all
from server.prompt.ports import AuditLog
from server.prompt.service.templates import purge_templates
from server.prompt.store import templates as store


class PromptUpkeep:
    """Removes, tenant by tenant and in batches, what was deleted long ago."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def sweep(self, tenant_id: UUID, retention_days: int) -> None:
        """What was deleted longer ago than that."""
        await purge_all(
            self._database,
            tenant_id,
            partial(store.deleted_before, days=retention_days),
            store.lock_any,
            partial(purge_templates, audit=self._audit),
        )


class PromptBelongings:
    """What of the slice belongs to people."""

    async def remove(self, tx: Tx, user_id: UUID) -> dict[str, list[str]]:
        """The person is removed for good: what was theirs alone goes with them, and what they shared stays. Says which
        templates those were.
        """
        removed, shared = await store.disown(tx, user_id)
        found = {"templates_removed": removed, "templates_without_owner": shared}
        return {name: [str(one) for one in ids] for name, ids in found.items() if ids}
