"""Which knowledge bases are there for a caller: what they see of their tenant's, and the platform's public ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.deletion import Deleted
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.knowledge.documents import Document, DocumentNotFound
from server.knowledge.domain import KnowledgeBase, KnowledgeBaseNotFound
from server.knowledge.generations import Reindex
from server.knowledge.store import bases as store
from server.knowledge.store import documents, generations


class Sight:
    """Finds bases for callers. One that they do not see is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def base(self, base_id: UUID, deleted: Deleted = "exclude", *, whole: bool = False) -> KnowledgeBase:
        """`whole`: with what is told of its generations, where it is the caller's tenant's. Raises
        KnowledgeBaseNotFound.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            found = await store.get(tx, base_id, deleted)
            if found is not None and whole:
                (found,) = await told(tx, [found])
        if found is None and caller.tenant_id != PLATFORM_TENANT_ID:
            async with self._library() as tx:
                found = await store.get_public(tx, base_id)
        if found is None or not found.seen_by(caller):
            raise KnowledgeBaseNotFound(base_id)
        return found if found.tenant_id == caller.tenant_id else found.abroad()

    async def bases(self, base_ids: Sequence[UUID]) -> list[KnowledgeBase]:
        """Live ones, in that order. Raises KnowledgeBaseNotFound where one of them is none that the caller sees."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            found = {base.id: base for base in await store.many(tx, base_ids)}
        missing = [one for one in base_ids if one not in found]
        if missing and caller.tenant_id != PLATFORM_TENANT_ID:
            async with self._library() as tx:
                found |= {base.id: base.abroad() for base in await store.many(tx, missing)}
        for base_id in base_ids:
            if base_id not in found or not found[base_id].seen_by(caller):
                raise KnowledgeBaseNotFound(base_id)
        return [found[base_id] for base_id in base_ids]

    async def document(self, document_id: UUID, deleted: Deleted = "exclude") -> tuple[KnowledgeBase, Document]:
        """The document, and its base. In its tenant one deleted with its base is shown where deleted ones are.

        Raises DocumentNotFound.
        """
        caller = current_call().caller
        for tenant_id in dict.fromkeys((caller.tenant_id, PLATFORM_TENANT_ID)):
            abroad = tenant_id != caller.tenant_id
            among: Deleted = "exclude" if abroad else deleted
            # Its base may live while it was deleted, and the other way round.
            of_base: Deleted = "exclude" if among == "exclude" else "include"
            async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
                found = await documents.get(tx, document_id, among)
                base = None if found is None else await store.get(tx, found.knowledge_base_id, of_base)
            if found is not None and base is not None and base.seen_by(caller):
                return (base.abroad(), found.abroad()) if abroad else (base, found)
        raise DocumentNotFound(document_id)

    async def documents(self, document_ids: Sequence[UUID]) -> list[Document]:
        """Live ones, in that order. Raises DocumentNotFound where one of them is none that the caller sees."""
        caller = current_call().caller
        found: dict[UUID, Document] = {}
        for tenant_id in dict.fromkeys((caller.tenant_id, PLATFORM_TENANT_ID)):
            missing = [one for one in document_ids if one not in found]
            if missing:
                async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
                    there = await documents.many(tx, missing)
                    of = await store.many(tx, list({one.knowledge_base_id for one in there}))
                seen_bases = {base.id for base in of if base.seen_by(caller)}
                abroad = tenant_id != caller.tenant_id
                for one in there:
                    if one.knowledge_base_id in seen_bases:
                        found[one.id] = one.abroad() if abroad else one
        for document_id in document_ids:
            if document_id not in found:
                raise DocumentNotFound(document_id)
        return [found[document_id] for document_id in document_ids]

    async def public_page(self, request: PageRequest) -> Page[KnowledgeBase]:
        """The platform's public ones, newest first; whole for the platform."""
        async with self._library() as tx:
            page = await store.page(tx, request, None, {"visibility": "public"}, personal=True)
            if current_call().caller.tenant_id == PLATFORM_TENANT_ID:
                return Page(await told(tx, page.items), page.next_cursor)
        return Page([base.abroad() for base in page.items], page.next_cursor)

    def reading(self, base: KnowledgeBase) -> AbstractAsyncContextManager[Tx]:
        """A transaction that reads what belongs to a base which was found here."""
        if base.tenant_id == PLATFORM_TENANT_ID:
            return self._library()
        return self._database.tenant_tx(base.tenant_id, read_only=True)

    def _library(self) -> AbstractAsyncContextManager[Tx]:
        """The one door past a tenant's own rows: to the platform's, and to read them."""
        return self._database.tenant_tx(PLATFORM_TENANT_ID, read_only=True)


def seen(base: KnowledgeBase) -> KnowledgeBase:
    """The same. Raises KnowledgeBaseNotFound where the caller does not see it."""
    if not base.seen_by(current_call().caller):
        raise KnowledgeBaseNotFound(base.id)
    return base


async def told(tx: Tx, bases: Sequence[KnowledgeBase]) -> list[KnowledgeBase]:
    """Bases of the transaction's tenant with what is told of their generations."""
    found = await generations.of_bases(tx, [base.id for base in bases])
    return [_told(base, found.get(base.id, [])) for base in bases]


def _told(base: KnowledgeBase, of: Sequence[Reindex]) -> KnowledgeBase:
    asked = [one for one in of if one.started_at is not None]
    # One that is gone back to stays what can be gone back to, where that fails.
    former = [one for one in of if one.kept_until is not None and one.status in ("kept", "building")]
    return replace(
        base,
        reindex=max(asked, key=lambda one: one.started_at or base.created_at, default=None),
        former=next(iter(former), None),
    )
