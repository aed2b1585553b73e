"""Bases, documents and chunks as ingestion leaves them, for tests of what finds them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from server.db.database import Database
from server.kernel.ids import uuid7
from server.knowledge.store.words import add_words, counts_of
from server.knowledge.words import tsvector_of, words

DIMENSIONS = 256

_BASE = """
INSERT INTO knowledge_bases (
    tenant_id, id, name, default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap
)
VALUES ($1, $2, $2::uuid, 'm', 256, 512, 0)
"""
_DOCUMENT = """
INSERT INTO knowledge_documents (
    tenant_id, knowledge_base_id, id, title, source_type, source_uri, file_size, file_mime_type, file_hash, metadata,
    chunk_count
)
VALUES ($1, $2, $3, 'T', 'text', 'blob:1', 1, 'text/plain', $3::uuid, $4::text::jsonb, $5)
"""
_CHUNK = """
INSERT INTO knowledge_chunks (
    tenant_id, knowledge_base_id, id, document_id, document_revision, generation, chunk_index, content, start_offset,
    end_offset, page, heading, embedding, dimensions, embedding_model, search_vector
)
VALUES (
    $1, $2, $3, $4, $7, $8, $9, $5, 0, length($5), 3, 'H', $6::real[]::halfvec, cardinality($6), 'm',
    $10::text::tsvector
)
"""


def vector(*angles: float, dimensions: int = DIMENSIONS) -> list[float]:
    """A vector with these numbers, and zeros."""
    return [*angles, *[0.0] * (dimensions - len(angles))]


class Shelf:
    """A tenant's bases. `admin`: a connection past row security."""

    def __init__(self, admin: Any, database: Database, tenant_id: UUID) -> None:
        self._admin = admin
        self._database = database
        self.tenant_id = tenant_id

    @classmethod
    async def make(cls, admin: Any, database: Database, slug: str) -> Shelf:
        tenant_id = uuid7()
        await admin.execute("INSERT INTO tenants (id, name, slug) VALUES ($1, 'T', $2)", tenant_id, slug)
        return cls(admin, database, tenant_id)

    async def base(self) -> UUID:
        base_id = uuid7()
        await self._admin.execute(_BASE, self.tenant_id, base_id)
        return base_id

    async def document(
        self,
        base_id: UUID,
        *texts: str,
        vectors: list[list[float]] | None = None,
        metadata: str | None = None,
        revision: int = 1,
        generation: int = 1,
    ) -> tuple[UUID, list[UUID]]:
        """A document with a chunk a text, and these. Its words count if that is what searches look at."""
        document_id, ids = uuid7(), [uuid7() for _ in texts]
        await self._admin.execute(_DOCUMENT, self.tenant_id, base_id, document_id, metadata, len(texts))
        for place, (chunk_id, text) in enumerate(zip(ids, texts, strict=True)):
            numbers = vector(1.0, place) if vectors is None else vectors[place]
            of = (self.tenant_id, base_id, chunk_id, document_id, text, numbers, revision, generation, place)
            await self._admin.execute(_CHUNK, *of, tsvector_of(words(text)))
        async with self._database.tenant_tx(self.tenant_id) as tx:
            counts = await counts_of(tx, base_id, document_id, 1, generation)
            await add_words(tx, base_id, generation, counts)
        return document_id, ids
