"""Documents of knowledge bases: found, changed, processed again, deleted and brought back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.jobs.backlog import Backlog, goes_on
from server.kernel.audit import Change
from server.kernel.deletion import Deleted, NotDeleted, check_deleted
from server.kernel.errors import check_etag
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.knowledge.documents import (
    PART_BYTES,
    Document,
    DocumentBusy,
    DocumentExists,
    DocumentNotFound,
)
from server.knowledge.domain import KnowledgeBase
from server.knowledge.ports import AuditLog, Embeddings, ForgetAnswers
from server.knowledge.service.bases import check_key, check_public
from server.knowledge.service.ingestion import INGEST, asked_for
from server.knowledge.service.sight import Sight
from server.knowledge.service.values import document_values
from server.knowledge.store import bases, blobs, documents, statistics


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a document's original; its bytes, or None at the end."""

    seq: int
    data: bytes | None


class DocumentService:
    """Keeps the documents of the caller's tenant."""

    def __init__(
        self,
        database: Database,
        sight: Sight,
        embeddings: Embeddings,
        backlog: Backlog,
        audit: AuditLog,
        forget: ForgetAnswers,
    ) -> None:
        self._database = database
        self._sight = sight
        self._embeddings = embeddings
        self._backlog = backlog
        self._audit = audit
        self._forget = forget

    async def get(self, document_id: UUID, deleted: Deleted) -> Document:
        """Raises DocumentNotFound, PermissionMissing."""
        check_deleted(current_call().caller, deleted)
        _, document = await self._sight.document(document_id, deleted)
        return document

    async def page(
        self, base_id: UUID, request: PageRequest, filters: Mapping[str, Any], deleted: Deleted
    ) -> Page[Document]:
        """Those of a base, newest first, and in other tenants than its own the live ones. `filters`: status, file_hash.

        Raises KnowledgeBaseNotFound, PermissionMissing.
        """
        caller = current_call().caller
        check_deleted(caller, deleted)
        base = await self._sight.base(base_id, "exclude" if deleted == "exclude" else "include")
        abroad = base.tenant_id != caller.tenant_id
        if abroad and deleted == "only":
            return Page([], None)
        async with self._sight.reading(base) as tx:
            page = await documents.page(tx, base_id, request, filters, "exclude" if abroad else deleted)
        if not abroad:
            return page
        return Page([document.abroad() for document in page.items], page.next_cursor)

    async def update(self, document_id: UUID, values: Mapping[str, Any], etag: str) -> Document:
        """Changes what its people say of it. `values`: title, author, version, metadata.

        Raises DocumentNotFound, EtagMismatch, PermissionMissing.
        """
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            _, old = await self._live(tx, document_id)
            check_etag(etag, old.revision, "document")
            new = await documents.change(tx, document_id, values) if values else old
            await self._record(tx, "documents.update", old, new)
        return new

    async def retry(self, document_id: UUID) -> Document:
        """Has it processed again, as the base says by now, and fetched anew where it is from an address; what is found
        of it stays until then.

        Raises DocumentNotFound, DocumentBusy, KnowledgeBaseArchived, PermissionMissing, and what is wrong with the
        caller's key.
        """
        call = current_call()
        _, found = await self._sight.document(document_id)
        await check_key(self._database, self._embeddings, found.knowledge_base_id)
        async with self._database.tenant_tx(call.caller.tenant_id) as tx:
            base, old = await self._live(tx, document_id)
            base.check_active()
            # One whose job was put aside, since its workers ended again and again, is as it was left.
            if not old.over and await goes_on(tx, INGEST, {"document_id": str(document_id)}):
                raise DocumentBusy(old.name)
            new = await documents.again(tx, document_id)
            await self._take(tx, new)
            if new.source_type == "url":
                await blobs.fetch_anew(tx, base.id, document_id)
            await self._record(tx, "documents.retry", old, new)
            await self._backlog.add(tx, *asked_for(new, call))
        return new

    async def delete(self, document_id: UUID, etag: str) -> None:
        """Hides the document; nothing is found of it. Raises DocumentNotFound, EtagMismatch, PermissionMissing."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            base, old = await self._live(tx, document_id)
            check_etag(etag, old.revision, "document")
            new = await documents.mark_deleted(tx, document_id, caller.member_id)
            await statistics.remove(tx, base, old)
            await bases.add_counts(tx, base.id, -1, -old.chunk_count, -old.file_size)
            await self._record(tx, "documents.delete", old, new)

    async def restore(self, document_id: UUID) -> Document:
        """Brings the document back, and goes on with one that was being processed. One that was deleted while its base
        came to another generation is processed for that.

        Raises DocumentNotFound, NotDeleted, DocumentExists, KnowledgeBaseDeleted, PermissionMissing.
        """
        call = current_call()
        async with self._database.tenant_tx(call.caller.tenant_id) as tx:
            base, old = await self._deleted(tx, document_id)
            base.check_live()
            same = await documents.same(tx, base.id, old.file_hash)
            if same is not None:
                raise DocumentExists(document_id=same)
            new = await documents.restore(tx, document_id)
            await statistics.add(tx, base, new)
            await bases.add_counts(tx, base.id, 1, new.chunk_count, new.file_size)
            await self._record(tx, "documents.restore", old, new)
            if new.over and new.chunk_count == 0 and new.active_revision > 1:  # found once, in a former generation
                new = await documents.again(tx, document_id)
            if not new.over:  # whoever was to process it found it deleted
                await self._take(tx, new)
                await self._backlog.add(tx, *asked_for(new, call))
        return new

    async def purge(self, document_id: UUID) -> None:
        """Removes a deleted document for good. Raises DocumentNotFound, NotDeleted."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            _, old = await self._deleted(tx, document_id)
            await purge_documents(tx, [old], self._audit, self._forget)

    async def original(self, document_id: UUID, after_seq: int) -> AsyncGenerator[Part, None]:
        """The document's original, part by part, from the one after `after_seq` on. Raises DocumentNotFound."""
        base, document = await self._sight.document(document_id)
        async with self._sight.reading(base) as tx:
            blob = await blobs.of_document(tx, base.id, document.id)
        parts = ceil(document.file_size / PART_BYTES)
        for seq in range(after_seq, parts):
            async with self._sight.reading(base) as tx:
                data = await blobs.part(tx, blob.id, seq)
            if data is None:  # purged meanwhile: what came before is not the whole
                raise DocumentNotFound(document_id)
            yield Part(seq + 1, data)
        yield Part(parts + 1, None)

    async def _live(self, tx: Tx, document_id: UUID) -> tuple[KnowledgeBase, Document]:
        base, document = await own_document(tx, document_id)
        if document.deleted_at is not None or base.deleted_at is not None:
            raise DocumentNotFound(document_id)
        return base, document

    async def _deleted(self, tx: Tx, document_id: UUID) -> tuple[KnowledgeBase, Document]:
        base, document = await own_document(tx, document_id)
        if document.deleted_at is None:
            raise NotDeleted(f"document {document.name}")
        return base, document

    async def _take(self, tx: Tx, document: Document) -> None:
        caller = current_call().caller
        await blobs.take(tx, document.knowledge_base_id, document.id, caller.user_id, caller.api_key_id)

    async def _record(self, tx: Tx, action: str, old: Document, new: Document) -> None:
        change = Change(action, "document", old.id, old=document_values(old), new=document_values(new))
        await self._audit.record(tx, change)


async def own_document(tx: Tx, document_id: UUID) -> tuple[KnowledgeBase, Document]:
    """A document of the tenant's, live or deleted, whose base the caller sees and may change; both are held, the base
    first, as everybody does.
    """
    found = await documents.get(tx, document_id, "include")
    if found is None:
        raise DocumentNotFound(document_id)
    base = await bases.lock_any(tx, found.knowledge_base_id)
    caller = current_call().caller
    if not base.seen_by(caller):
        raise DocumentNotFound(document_id)
    check_public(caller, public=base.visibility == "public")
    return base, await documents.lock_any(tx, document_id)


async def purge_documents(tx: Tx, gone: Sequence[Document], audit: AuditLog, forget: ForgetAnswers) -> None:
    """Removes documents with their originals and their chunks, and tells what there was of them."""
    for document in gone:
        await documents.purge(tx, document.id)
        await audit.record(tx, Change("documents.purge", "document", document.id, old=document_values(document)))
    await forget(tx, [document.id for document in gone])
