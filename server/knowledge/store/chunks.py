"""Chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Text, and_, bindparam, cast, select, update
from sqlalchemy.dialects.postgresql import TSVECTOR

from server.db.database import Tx
from server.db.queries import load
from server.db.removal import BATCH
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.knowledge.documents import Chunk, ChunkNotFound, Document, NewChunk
from server.knowledge.domain import KnowledgeBase
from server.knowledge.generations import Generation
from server.knowledge.tables import knowledge_chunks as chunks

_QUERIES = load("server.knowledge.store", "chunks.sql")

_COLUMNS = (
    *(chunks.c[name] for name in ("id", "knowledge_base_id", "document_id", "chunk_index", "content", "token_count")),
    *(chunks.c[name] for name in ("start_offset", "end_offset", "page", "heading")),
    chunks.c.embedding.is_not(None).label("embedded"),
    *(chunks.c[name] for name in ("embedding_model", "enabled", "metadata", "revision", "created_at", "updated_at")),
)
_OF_BASE = chunks.c.knowledge_base_id == bindparam("base_id")
_THIS = and_(_OF_BASE, chunks.c.id == bindparam("chunk_id"))
_LOCK = Statement(select(*_COLUMNS, chunks.c.document_revision, chunks.c.generation).where(_THIS).with_for_update())
_PAGE = Statement(
    select(*_COLUMNS)
    .where(
        _OF_BASE,
        chunks.c.document_id == bindparam("document_id"),
        chunks.c.document_revision == bindparam("document_revision"),
        chunks.c.generation == bindparam("generation"),
        chunks.c.chunk_index >= bindparam("first"),
    )
    .order_by(chunks.c.chunk_index)
    .limit(bindparam("most"))
)


@cache
def _update(names: tuple[str, ...]) -> Statement:
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    if "search_vector" in values:
        values["search_vector"] = cast(bindparam("search_vector", type_=Text), TSVECTOR)
    return Statement(update(chunks).where(_THIS).values(values).returning(*_COLUMNS))


async def page(tx: Tx, base: KnowledgeBase, document: Document, request: PageRequest) -> Page[Chunk]:
    """Those of the document that searches look at, in its order."""
    first = 0 if request.cursor is None else request.cursor.int + 1
    values = {"document_revision": document.active_revision, "generation": base.active_generation}
    rows = await tx.fetch(_PAGE, base_id=base.id, document_id=document.id, **values, first=first, most=request.size + 1)
    return Page.cut([Chunk(*row) for row in rows], [UUID(int=row["chunk_index"]) for row in rows], request.size)


async def lock(tx: Tx, base: KnowledgeBase, document: Document, chunk_id: UUID) -> Chunk:
    """One of those that searches look at, held until the transaction ends. Raises ChunkNotFound."""
    row = await tx.fetchrow(_LOCK, base_id=base.id, chunk_id=chunk_id)
    wanted = (document.id, document.active_revision, base.active_generation)
    if row is None or (row["document_id"], row["document_revision"], row["generation"]) != wanted:
        raise ChunkNotFound(chunk_id)
    *values, _, _ = row
    return Chunk(*values)


async def change(tx: Tx, chunk: Chunk, values: Mapping[str, Any]) -> Chunk:
    """`values`: content, token_count, embedding, search_vector, enabled, metadata."""
    given = {"base_id": chunk.knowledge_base_id, "chunk_id": chunk.id}
    return Chunk(*await tx.fetchone(_update(tuple(sorted(values))), **given, **values))


async def add(
    tx: Tx,
    base_id: UUID,
    made: Generation,
    document_id: UUID,
    revision: int,
    first: int,
    pieces: Sequence[NewChunk],
) -> None:
    """Adds pieces of a document's revision to a generation, the first of which is its `first`th."""
    await tx.execute(
        _QUERIES["add"],
        tenant_id=tx.tenant_id,
        base_id=base_id,
        document_id=document_id,
        document_revision=revision,
        generation=made.number,
        dimensions=made.embedding_dimensions,
        embedding_model=made.embedding_model,
        ids=[uuid7() for _ in pieces],
        chunk_indexes=list(range(first, first + len(pieces))),
        contents=[piece.content for piece in pieces],
        token_counts=[piece.token_count for piece in pieces],
        start_offsets=[piece.start_offset for piece in pieces],
        end_offsets=[piece.end_offset for piece in pieces],
        pages=[piece.page for piece in pieces],
        headings=[piece.heading for piece in pieces],
        embeddings=[piece.embedding for piece in pieces],
        words=[piece.search_vector for piece in pieces],
    )


async def drop_others(tx: Tx, base_id: UUID, document_id: UUID, kept: int) -> bool:
    """Removes a batch of the document's pieces that are of another revision; whether there may be more."""
    count = await tx.fetchval(_QUERIES["drop"], base_id=base_id, document_id=document_id, kept=kept)
    return bool(count == BATCH)


async def drop_of(tx: Tx, base_id: UUID, document_id: UUID, generation: int) -> bool:
    """Removes a batch of the document's pieces that are of that generation; whether there may be more."""
    given = {"base_id": base_id, "document_id": document_id, "generation": generation}
    return bool(await tx.fetchval(_QUERIES["drop_of"], **given) == BATCH)
