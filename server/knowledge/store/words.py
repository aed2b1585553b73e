"""The statistics of a base's words, by generation: what text search weighs words by.

They are of the chunks that count. Whoever changes which those are says so in the same transaction, and does it last:
from there to the commit, others who change the same generation of the same base wait. What a revision replaces is
removed in the transaction that adds what it brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from server.db.database import Tx
from server.db.queries import load
from server.knowledge.words import Counts

_QUERIES = load("server.knowledge.store", "words.sql")


async def add_words(tx: Tx, base_id: UUID, generation: int, counts: Counts) -> None:
    """Chunks with these words count from now on. `counts`: see `knowledge.words.counts_of`, or `counts_of` here."""
    await tx.execute(_QUERIES["add"], tenant_id=tx.tenant_id, base_id=base_id, generation=generation, **_values(counts))


async def remove_words(tx: Tx, base_id: UUID, generation: int, counts: Counts) -> None:
    """They do not any more. `counts`: what was added with them."""
    values = _values(counts)
    of = {"base_id": base_id, "generation": generation}
    await tx.execute(_QUERIES["hold"], chunks=values.pop("chunks"), length=values.pop("length"), **of)
    await tx.execute(_QUERIES["remove"], tenant_id=tx.tenant_id, **values, **of)
    await tx.execute(_QUERIES["sweep"], words=values["words"], **of)


async def drop_words(tx: Tx, base_id: UUID, generation: int) -> None:
    """The generation is gone, with all that it had."""
    await tx.execute(_QUERIES["drop"], base_id=base_id, generation=generation)


async def counts_of(
    tx: Tx,
    base_id: UUID,
    document_id: UUID,
    revision: int,
    generation: int,
    chunk_ids: Sequence[UUID] | None = None,
) -> Counts:
    """What the enabled chunks of a document's revision come to, or those among them: as they are indexed, so that what
    is removed with them is what was added.
    """
    of: dict[str, Any] = {
        "base_id": base_id,
        "document_id": document_id,
        "revision": revision,
        "generation": generation,
        "chunk_ids": chunk_ids,
    }
    words = {row[0]: row[1] for row in await tx.fetch(_QUERIES["words_of"], **of)}
    chunks, length = await tx.fetchone(_QUERIES["length_of"], **of)
    return Counts(words, chunks, length)


def _values(counts: Counts) -> dict[str, Any]:
    """In the order of the words, which is that of their table."""
    ordered = sorted(counts.words.items())
    return {
        "chunks": counts.chunks,
        "length": counts.length,
        "words": [word for word, _ in ordered],
        "counts": [count for _, count in ordered],
    }
