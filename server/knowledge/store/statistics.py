"""The words of documents, counted into their base's statistics and out of them."""

from __future__ import annotations

from uuid import UUID

from server.db.database import Tx
from server.knowledge.documents import Document
from server.knowledge.domain import KnowledgeBase
from server.knowledge.store import generations, words
from server.knowledge.words import Counts


async def add(tx: Tx, base: KnowledgeBase, document: Document) -> None:
    """The document's chunks count from now on, in each generation that has them."""
    for generation in await _having(tx, base, document):
        await words.add_words(tx, base.id, generation, await _counts(tx, document, generation))


async def remove(tx: Tx, base: KnowledgeBase, document: Document) -> None:
    """They do not any more."""
    for generation in await _having(tx, base, document):
        await words.remove_words(tx, base.id, generation, await _counts(tx, document, generation))


async def add_built(tx: Tx, document: Document, generation: int) -> None:
    """The generation, which is not searched, has the document's chunks from now on."""
    await words.add_words(tx, document.knowledge_base_id, generation, await _counts(tx, document, generation))


async def add_chunk(tx: Tx, base: KnowledgeBase, document: Document, chunk_id: UUID) -> None:
    """One of the chunks that searches look at counts from now on."""
    counts = await _counts(tx, document, base.active_generation, chunk_id)
    await words.add_words(tx, base.id, base.active_generation, counts)


async def remove_chunk(tx: Tx, base: KnowledgeBase, document: Document, chunk_id: UUID) -> None:
    """It does not any more."""
    counts = await _counts(tx, document, base.active_generation, chunk_id)
    await words.remove_words(tx, base.id, base.active_generation, counts)


async def _having(tx: Tx, base: KnowledgeBase, document: Document) -> list[int]:
    """In an order that all keep to who change several: none waits for one that waits for it."""
    return sorted({base.active_generation, *await generations.having(tx, document)})


async def _counts(tx: Tx, document: Document, generation: int, chunk_id: UUID | None = None) -> Counts:
    chunk_ids = None if chunk_id is None else [chunk_id]
    of = (document.id, document.active_revision, generation)
    return await words.counts_of(tx, document.knowledge_base_id, *of, chunk_ids)
