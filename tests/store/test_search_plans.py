"""What a search reads: one partition for each base, by the indexes that are there for it, as the role that serves."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database
from server.knowledge.store import search
from tests.databases import Scratch

SEARCHED = {"ix_knowledge_chunks_words", "ix_knowledge_chunks_vector_256", "ix_knowledge_chunks_vector_1536"}
"""The indexes that are shown here to serve: what asks them are functions, whose plans EXPLAIN does not show."""

_TENANT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
_CHUNKS = 3_000
_BASES = {dimensions: UUID(int=dimensions) for dimensions in (256, 1536)}

_FILL = """
INSERT INTO tenants (id, name, slug) VALUES ($1, 'T', 'busy') ON CONFLICT DO NOTHING
"""
_BASE = """
INSERT INTO knowledge_bases (
    tenant_id, id, name, default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap
)
VALUES ($1, $2, $2::uuid, 'm', $3, 512, 0)
"""
_DOCUMENTS = """
INSERT INTO knowledge_documents (
    tenant_id, knowledge_base_id, id, source_type, source_uri, file_size, file_mime_type, file_hash, chunk_count
)
SELECT $1, $2, atrium_uuid7(), 'text', 'blob:' || n, 1, 'text/plain', n, 50 FROM generate_series(1, 60) n
"""
_CHUNK = """
INSERT INTO knowledge_chunks (
    tenant_id, knowledge_base_id, document_id, document_revision, generation, chunk_index, content, start_offset,
    end_offset, embedding, dimensions, embedding_model, search_vector
)
SELECT $1, $2, d.id, 1, 1, n, 'text', 0, 4,
    (SELECT array_agg(sin(n * 37 + d.file_hash::int * 11 + i * i)) FROM generate_series(1, 16) i)::real[]::halfvec
        || array_fill(0::real, ARRAY[$3::int - 16])::halfvec,
    $3, 'm', ('common:1 r' || n || ':2 s' || d.file_hash || ':3')::tsvector
FROM knowledge_documents d, generate_series(1, 50) n WHERE d.knowledge_base_id = $2
"""
_STATISTICS = """
WITH totals AS (
    INSERT INTO knowledge_word_totals SELECT $1, $2, 1, count(*), sum(word_count) FROM knowledge_chunks
    WHERE knowledge_base_id = $2
)
INSERT INTO knowledge_words
SELECT $1, $2, 1, w.lexeme, count(*) FROM knowledge_chunks c, unnest(c.search_vector) w
WHERE c.knowledge_base_id = $2 GROUP BY w.lexeme
"""
_USED = """
SELECT t.relname AS partition, coalesce(p.relname, i.relname) AS index, pg_stat_get_xact_numscans(i.oid) AS scans
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
    LEFT JOIN pg_inherits h ON h.inhrelid = i.oid LEFT JOIN pg_class p ON p.oid = h.inhparent
WHERE t.relname LIKE 'knowledge_chunks%' AND pg_stat_get_xact_numscans(i.oid) > 0
UNION ALL
SELECT t.relname, NULL, pg_stat_get_xact_numscans(t.oid) FROM pg_class t
WHERE t.relkind = 'r' AND t.relname LIKE 'knowledge_chunks%' AND pg_stat_get_xact_numscans(t.oid) > 0
"""
"""The indexes that the running transaction has looked into, and what it has read from end to end (no index)."""


@pytest.fixture(scope="module")
def busy(each_shared: Scratch) -> Scratch:
    """A database with a base of some thousand chunks for each length of vectors."""
    asyncio.run(_fill(each_shared))
    return each_shared


async def _fill(scratch: Scratch) -> None:
    async with scratch.connect() as admin:
        await admin.execute(_FILL, _TENANT)
        for dimensions, base_id in _BASES.items():
            await admin.execute(_BASE, _TENANT, base_id, dimensions)
            await admin.execute(_DOCUMENTS, _TENANT, base_id)
            await admin.execute(_CHUNK, _TENANT, base_id, dimensions)
            await admin.execute(_STATISTICS, _TENANT, base_id)
        await admin.execute("ANALYZE")


async def _used(scratch: Scratch, base_id: UUID, **asked: Any) -> tuple[set[str], set[str]]:
    """The partitions that were read, and the indexes by which. Asked as often as makes a plan without values likely."""
    async with Database.open(scratch.settings()) as database, database.tenant_tx(_TENANT, read_only=True) as tx:
        for _ in range(8):
            found = await search.candidates(
                tx, [base_id], asked.get("vector"), asked.get("words"), 10, one_by_one=asked["most"]
            )
            assert len(found) >= 10
        rows = await tx.run(_USED)
    return {row["partition"] for row in rows}, {str(row["index"]) for row in rows}


@pytest.mark.parametrize("dimensions", _BASES)
async def test_the_nearest_of_a_large_base_come_from_the_index_of_their_length_in_its_partition(
    dimensions: int, busy: Scratch
) -> None:
    partitions, indexes = await _used(busy, _BASES[dimensions], vector=[1.0, *[0.5] * (dimensions - 1)], most=100)

    assert len(partitions) == 1
    assert indexes == {f"ix_knowledge_chunks_vector_{dimensions}", "pk_knowledge_chunks"}


async def test_the_nearest_of_a_small_base_come_from_its_key_in_its_partition(busy: Scratch) -> None:
    partitions, indexes = await _used(busy, _BASES[256], vector=[1.0, *[0.5] * 255], most=_CHUNKS)

    assert len(partitions) == 1
    assert not indexes & SEARCHED


async def test_what_has_rare_words_comes_from_the_index_of_words_in_its_partition(busy: Scratch) -> None:
    partitions, indexes = await _used(busy, _BASES[256], words=["common", "r7", "s9"], most=0)

    assert len(partitions) == 1
    assert indexes == {"ix_knowledge_chunks_words", "pk_knowledge_chunks"}


async def test_both_ways_together_read_no_more_than_each(busy: Scratch) -> None:
    near = [1.0, *[0.5] * 255]
    partitions, indexes = await _used(busy, _BASES[256], vector=near, words=["common", "r7", "s9"], most=100)

    assert len(partitions) == 1
    assert indexes == {"ix_knowledge_chunks_words", "ix_knowledge_chunks_vector_256", "pk_knowledge_chunks"}
