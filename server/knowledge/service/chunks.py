"""Chunks: what documents are found by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change
from server.kernel.errors import DomainError, check_etag
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.knowledge import worker
from server.knowledge.documents import Chunk, Document, DocumentNotFound
from server.knowledge.domain import KnowledgeBase
from server.knowledge.ports import AuditLog, Embeddings, Offload
from server.knowledge.service.documents import own_document
from server.knowledge.service.making import vector_of
from server.knowledge.service.sight import Sight
from server.knowledge.service.values import chunk_values
from server.knowledge.store import chunks, statistics


class ChunkService:
    """Keeps the chunks of the caller's tenant."""

    def __init__(
        self, database: Database, sight: Sight, embeddings: Embeddings, offload: Offload, audit: AuditLog
    ) -> None:
        self._database = database
        self._sight = sight
        self._embeddings = embeddings
        self._offload = offload
        self._audit = audit

    async def page(self, document_id: UUID, request: PageRequest) -> Page[Chunk]:
        """What the document is found by, in its order. Raises DocumentNotFound."""
        base, document = await self._sight.document(document_id)
        async with self._sight.reading(base) as tx:
            return await chunks.page(tx, base, document, request)

    async def update(self, document_id: UUID, chunk_id: UUID, values: Mapping[str, Any], etag: str) -> Chunk:
        """Changes its text, which is embedded anew, or whether searches find it. `values`: content, enabled.

        Raises DocumentNotFound, ChunkNotFound, EtagMismatch, KnowledgeBaseArchived, EmbeddingsDiffer,
        PermissionMissing, and what is wrong with the call of the model.
        """
        tenant_id = current_call().caller.tenant_id
        made = dict(values)
        if "content" in values:
            # Before anything is held: the model is waited for. Whether the caller may is looked at before as after.
            async with self._database.tenant_tx(tenant_id) as tx:
                base, _, _ = await _held(tx, document_id, chunk_id, etag)
            count, words = await self._offload.run(tenant_id, worker.indexed, values["content"])
            (vector,) = (await self._embeddings.embed(base.embedding_model, [values["content"]], None)).vectors
            if isinstance(vector, DomainError):
                raise vector
            made |= {"token_count": count, "embedding": vector_of(base.generation, vector), "search_vector": words}
        async with self._database.tenant_tx(tenant_id) as tx:
            base, document, old = await _held(tx, document_id, chunk_id, etag)
            await statistics.remove_chunk(tx, base, document, chunk_id)
            new = await chunks.change(tx, old, made) if made else old
            await statistics.add_chunk(tx, base, document, chunk_id)
            change = Change("chunks.update", "chunk", chunk_id, old=chunk_values(old), new=chunk_values(new))
            await self._audit.record(tx, change)
        return new


async def _held(tx: Tx, document_id: UUID, chunk_id: UUID, etag: str) -> tuple[KnowledgeBase, Document, Chunk]:
    """The chunk, which may be changed, with its base and its document; all are held."""
    base, document = await own_document(tx, document_id)
    if document.deleted_at is not None or base.deleted_at is not None:
        raise DocumentNotFound(document_id)
    base.check_active()
    chunk = await chunks.lock(tx, base, document, chunk_id)
    check_etag(etag, chunk.revision, "chunk")
    return base, document, chunk
