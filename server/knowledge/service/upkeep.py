"""The end of knowledge bases: those deleted long ago, and those of people who are removed for good."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from uuid import UUID

from server.db.database import Database, Tx
from server.db.removal import PURGED_AT_ONCE, purge_all, remove_all
from server.knowledge.domain import KnowledgeBaseNotFound
from server.knowledge.ports import AuditLog, ForgetAnswers
from server.knowledge.service.bases import purge_base
from server.knowledge.service.documents import purge_documents
from server.knowledge.service.rebuilding import sweep
from server.knowledge.store import bases, blobs, documents, generations, queries


class KnowledgeUpkeep:
    """Removes, tenant by tenant and in batches, what was deleted long ago, and uploads that nobody went on with."""

    def __init__(self, database: Database, audit: AuditLog, forget: ForgetAnswers) -> None:
        self._database = database
        self._audit = audit
        self._forget = forget

    async def sweep(self, tenant_id: UUID, retention_days: int) -> None:
        """What was deleted longer ago than that, and what has expired."""
        await remove_all(self._database, tenant_id, blobs.EXPIRED)
        async with self._database.tenant_tx(tenant_id) as tx:
            await generations.expire(tx)
        await sweep(self._database, tenant_id)
        await purge_all(
            self._database,
            tenant_id,
            partial(documents.deleted_before, days=retention_days),
            documents.lock_any,
            partial(purge_documents, audit=self._audit, forget=self._forget),
        )
        while True:
            async with self._database.tenant_tx(tenant_id) as tx:
                due = await bases.deleted_before(tx, retention_days)
            for base_id in due:
                with suppress(KnowledgeBaseNotFound):  # others are at it too
                    await purge_base(self._database, tenant_id, base_id, self._audit, self._forget)
            if len(due) < PURGED_AT_ONCE:
                return


class KnowledgeBelongings:
    """What of the slice belongs to people."""

    def __init__(self, forget: ForgetAnswers) -> None:
        self._forget = forget

    async def remove(self, tx: Tx, user_id: UUID) -> dict[str, list[str]]:
        """The person is removed for good: what was theirs alone goes with them, and what they shared stays, made by
        nobody. Says which bases those were.
        """
        removed, shared = await bases.disown(tx, user_id)
        await documents.forget_person(tx, user_id)
        await blobs.forget_person(tx, user_id)
        await generations.forget_person(tx, user_id)
        await queries.forget_person(tx, user_id)
        await self._forget(tx, removed)
        found = {"knowledge_bases_removed": removed, "knowledge_bases_without_owner": shared}
        return {name: [str(one) for one in ids] for name, ids in found.items() if ids}
