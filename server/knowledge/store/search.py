"""Finding chunks: by vector, by words, by both. Of one tenant's bases; who may search these is not asked here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asyncpg import Record
from pgvector import HalfVector

from server.db.database import Tx
from server.db.queries import load
from server.knowledge.ranking import DEPTH, Candidate, Hit, Mode, ranked

ONE_BY_ONE = 20_000
"""Up to how many chunks a base's vectors are compared one by one, which is exact; beyond, their index is asked."""

_QUERIES = load("server.knowledge.store", "search.sql")


@dataclass(frozen=True)
class Filters:
    """Which documents are searched. None of both: all of them."""

    document_ids: Sequence[UUID] | None = None
    metadata: dict[str, Any] | None = None
    """What a document's metadata contains, as JSONB's `@>` has it."""

    @property
    def any(self) -> bool:
        return self.document_ids is not None or self.metadata is not None


ALL = Filters()


@dataclass(frozen=True, slots=True)
class Content:
    """What is shown of a chunk, and where it stands."""

    chunk_id: UUID
    content: str
    token_count: int
    page: int | None
    heading: str | None
    chunk_index: int
    metadata: Any
    """Its document's."""
    document_title: str | None
    file_name: str | None


async def vector(
    tx: Tx, bases: Sequence[UUID], vector: Sequence[float], top_k: int, filters: Filters = ALL
) -> list[Hit]:
    """The chunks whose vectors are nearest by their angle. `vector`: as long as those of the bases."""
    return ranked(await candidates(tx, bases, vector, None, top_k, filters), "vector", top_k)


async def text(tx: Tx, bases: Sequence[UUID], words: Sequence[str], top_k: int, filters: Filters = ALL) -> list[Hit]:
    """The chunks that have these words, by BM25. `words`: of the question, as `knowledge.words` has them."""
    return ranked(await candidates(tx, bases, None, words, top_k, filters), "text", top_k)


async def hybrid(
    tx: Tx,
    bases: Sequence[UUID],
    vector: Sequence[float],
    words: Sequence[str],
    top_k: int,
    filters: Filters = ALL,
) -> list[Hit]:
    """What both ways find, in the order that they come to together."""
    return ranked(await candidates(tx, bases, vector, words, top_k, filters), "hybrid", top_k)


async def candidates(
    tx: Tx,
    bases: Sequence[UUID],
    vector: Sequence[float] | HalfVector | None,
    words: Sequence[str] | None,
    top_k: int,
    filters: Filters = ALL,
    one_by_one: int = ONE_BY_ONE,
) -> list[Candidate]:
    """What there is to rank: the best of each base, by the vector, the words or both, whichever is given.

    One round trip, and one more where there is a filter. Bases of several tenants are asked for one tenant at a time,
    and ranked together. `one_by_one`: see ONE_BY_ONE.
    """
    mode: Mode = "text" if vector is None else "vector" if words is None else "hybrid"
    given: dict[str, Any] = {
        "bases": list(dict.fromkeys(bases)),
        "documents": await _left(tx, bases, filters) if filters.any else None,
        "most": max(top_k, DEPTH) if mode == "hybrid" else top_k,
    }
    if given["documents"] == []:
        return []
    if vector is not None:
        given |= {"vector": vector, "one_by_one": one_by_one}
    if words is not None:
        times = Counter(words)
        given |= {"words": list(times), "times": list(times.values())}
    name = {"vector": "near", "text": "said", "hybrid": "both"}[mode]
    return [_candidate(row) for row in await tx.fetch(_QUERIES[name], **given)]


async def contents(tx: Tx, hits: Sequence[Hit]) -> dict[UUID, Content]:
    """What is shown of these, by chunk. One that is gone meanwhile is not there."""
    rows = await tx.fetch(_QUERIES["contents"], bases=[hit.base_id for hit in hits], ids=[hit.chunk_id for hit in hits])
    return {row["id"]: Content(*row) for row in rows}


def _candidate(row: Record) -> Candidate:
    chunk_id, base_id, document_id, similarity, *said = row
    # Of a vector without a direction there is no angle.
    return Candidate(chunk_id, base_id, document_id, None if similarity != similarity else similarity, *said)


async def _left(tx: Tx, bases: Sequence[UUID], filters: Filters) -> list[UUID]:
    left: list[UUID] = await tx.fetchval(
        _QUERIES["documents"], bases=bases, ids=filters.document_ids, metadata=filters.metadata
    )
    return left
