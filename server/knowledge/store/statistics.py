"""The words of documents, counted into their base's statistics and out of them."""

from __future__ import annotations

from uuid import UUID

from server.db.database import Tx
from server.knowledge.documents import Document
from server.knowledge.domain import KnowledgeBase
from server.knowledge.store import words
from server.knowledge.words import Counts


async def add(tx: Tx, base: KnowledgeBase, document: Document, chunk_id: UUID | None = None) -> None:
    """The chunks that searches look at of the document, or one of them, count from now on."""
    await words.add_words(tx, base.id, base.active_generation, await _counts(tx, base, document, chunk_id))


async def remove(tx: Tx, base: KnowledgeBase, document: Document, chunk_id: UUID | None = None) -> None:
    """They do not any more."""
    await words.remove_words(tx, base.id, base.active_generation, await _counts(tx, base, document, chunk_id))


async def _counts(tx: Tx, base: KnowledgeBase, document: Document, chunk_id: UUID | None) -> Counts:
    chunk_ids = None if chunk_id is None else [chunk_id]
    of = (document.id, document.active_revision, base.active_generation)
    return await words.counts_of(tx, base.id, *of, chunk_ids)
