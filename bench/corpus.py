"""A corpus that nobody wrote: chunks with words by Zipf's law and vectors in clusters, as many as are wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from server.knowledge.tables import knowledge_chunks
from server.knowledge.words import tsvector_of

DIMENSIONS = 256
_VOCABULARY = 30_000
_TOPICS = 1_000
_OF_A_TOPIC = 200
_DOCUMENT = 50
_BATCH = 5_000
_COLUMNS = (
    *(
        "tenant_id",
        "knowledge_base_id",
        "id",
        "document_id",
        "document_revision",
        "generation",
        "chunk_index",
        "content",
    ),
    *("start_offset", "end_offset", "embedding", "dimensions", "embedding_model", "search_vector"),
)
_BASE = """
INSERT INTO knowledge_bases (
    tenant_id, id, name, default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap
)
VALUES ($1, $2, 'B', 'bench', $3, 512, 0)
"""
# Without the triggers of foreign keys, and without waiting for the disk: it is thrown away in the end.
_QUICKLY = """
SET session_replication_role = replica; SET synchronous_commit = off; SET maintenance_work_mem = '4GB';
SET max_parallel_maintenance_workers = 2
"""
_DOCUMENTS = """
INSERT INTO knowledge_documents (
    tenant_id, knowledge_base_id, id, source_type, source_uri, file_size, file_mime_type, file_hash, chunk_count
)
SELECT $1, $2, (left($2::uuid::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, 'text', 'blob:' || n, 1, 'text/plain', n,
    least($3, $4 - n * $3)
FROM generate_series(0, ($4 - 1) / $3) AS n
"""


class Corpus:
    """What chunks are drawn from, and questions: two in five words are of one topic, the others of all."""

    def __init__(self) -> None:
        self._chance = np.random.default_rng(7)
        share = 1 / np.arange(1, _VOCABULARY + 1)
        self._zipf = np.cumsum(share / share.sum())
        self._topics = self._chance.integers(_VOCABULARY // 15, _VOCABULARY, (_TOPICS, _OF_A_TOPIC))
        self._centres = self._chance.normal(size=(_TOPICS, DIMENSIONS))

    def draw(self) -> tuple[list[int], Any]:
        """The words of a chunk, by number, and its vector."""
        topic = self._chance.integers(_TOPICS)
        size = int(np.clip(self._chance.lognormal(5, 0.3), 40, 400))
        common = np.minimum(np.searchsorted(self._zipf, self._chance.random(size)), _VOCABULARY - 1)
        special = self._topics[topic][(self._chance.random(size) ** 2 * _OF_A_TOPIC).astype(int)]
        vector = self._centres[topic] + self._chance.normal(size=DIMENSIONS)
        drawn = np.where(self._chance.random(size) < 0.4, special, common)
        return drawn.tolist(), vector / np.linalg.norm(vector)

    def question(self) -> tuple[list[str], Any]:
        """Eight words, and a vector."""
        drawn, vector = self.draw()
        return [f"w{word}" for word in self._chance.choice(drawn, 8)], vector.astype("<f4")


async def fill(admin: Any, corpus: Corpus, sizes: dict[tuple[UUID, UUID], int]) -> None:
    """Puts so many chunks into each of these bases (tenant and base). Their indexes are made when all are there."""
    await admin.execute(_QUICKLY)
    indexes = [index for index in knowledge_chunks.indexes if index.dialect_options["postgresql"]["using"]]
    for index in indexes:
        await admin.execute(f"DROP INDEX {index.name}")
    for number, ((tenant_id, base_id), size) in enumerate(sizes.items()):
        await admin.execute(
            "INSERT INTO tenants (id, name, slug) VALUES ($1, 'T', 'bench-' || $2::text)", tenant_id, str(number)
        )
        await admin.execute(_BASE, tenant_id, base_id, DIMENSIONS)
        await admin.execute(_DOCUMENTS, tenant_id, base_id, _DOCUMENT, size)
        having, length = np.zeros(_VOCABULARY, int), 0
        for start in range(0, size, _BATCH):
            lines = []
            for place in range(start, min(start + _BATCH, size)):
                drawn, vector = corpus.draw()
                having[np.unique(drawn)] += 1
                length += len(drawn)
                lines.append(_line(tenant_id, base_id, place, drawn, vector))
            await admin.copy_to_table("knowledge_chunks", source=_source(lines), columns=_COLUMNS)
        total = (tenant_id, base_id, 1, size, length)
        await admin.copy_records_to_table("knowledge_word_totals", records=[total])
        words = ((tenant_id, base_id, 1, f"w{word}", int(having[word])) for word in np.flatnonzero(having))
        await admin.copy_records_to_table("knowledge_words", records=words)
    for index in indexes:
        await admin.execute(str(CreateIndex(index).compile(dialect=postgresql.dialect())))
    await admin.execute("VACUUM ANALYZE knowledge_chunks, knowledge_documents, knowledge_words, knowledge_word_totals")


async def _source(lines: list[str]) -> AsyncIterator[bytes]:
    yield "".join(lines).encode()


def _line(tenant_id: UUID, base_id: UUID, place: int, drawn: list[int], vector: Any) -> str:
    words = [f"w{word}" for word in drawn]
    return "\t".join(_fields(tenant_id, base_id, place, words, vector)) + "\n"


def _fields(tenant_id: UUID, base_id: UUID, place: int, words: list[str], vector: Any) -> Iterator[str]:
    yield from (str(tenant_id), str(base_id), f"{str(base_id)[:23]}-{place + (1 << 40):012x}")
    yield f"{str(base_id)[:24]}{place // _DOCUMENT:012x}"
    yield from ("1", "1", str(place % _DOCUMENT), " ".join(words), "0", "1")
    yield from (f"[{','.join(f'{number:.4f}' for number in vector)}]", str(DIMENSIONS), "bench", tsvector_of(words))
