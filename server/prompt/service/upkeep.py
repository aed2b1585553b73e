"""The end of templates: those deleted long ago, and those of people who are removed for good."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from server.db.database import Database, Tx
from server.db.removal import purge_all
from server.prompt.ports import AuditLog, ForgetAnswers
from server.prompt.service.templates import purge_templates
from server.prompt.store import templates as store
from server.prompt.store import versions


class PromptUpkeep:
    """Removes, tenant by tenant and in batches, what was deleted long ago."""

    def __init__(self, database: Database, audit: AuditLog, forget: ForgetAnswers) -> None:
        self._database = database
        self._audit = audit
        self._forget = forget

    async def sweep(self, tenant_id: UUID, retention_days: int) -> None:
        """What was deleted longer ago than that."""
        await purge_all(
            self._database,
            tenant_id,
            partial(store.deleted_before, days=retention_days),
            store.lock_any,
            partial(purge_templates, audit=self._audit, forget=self._forget),
        )


class PromptBelongings:
    """What of the slice belongs to people."""

    def __init__(self, forget: ForgetAnswers) -> None:
        self._forget = forget

    async def remove(self, tx: Tx, user_id: UUID) -> dict[str, list[str]]:
        """The person is removed for good: what was theirs alone goes with them, and what they shared stays, made by
        nobody. Says which templates those were.
        """
        removed, shared = await store.disown(tx, user_id)
        await versions.forget_person(tx, user_id)
        await self._forget(tx, removed)
        found = {"templates_removed": removed, "templates_without_owner": shared}
        return {name: [str(one) for one in ids] for name, ids in found.items() if ids}
