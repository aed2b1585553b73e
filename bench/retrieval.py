"""Retrieval: how well the passages that answer questions are found, in English and in Chinese, and how fast."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np

from bench.corpus import Corpus, fill
from bench.figures import Figure
from bench.stage import databased
from server.db.database import Database, Tx
from server.embedded.embedding import LocalEmbedding
from server.kernel.ids import uuid7
from server.knowledge.ranking import Hit, ranked
from server.knowledge.store import search
from server.knowledge.store.words import add_words
from server.knowledge.words import counts_of, tsvector_of, words
from server.settings import Settings

CHUNKS = 1_000_000 if os.environ.get("SCALE") == "full" else 50_000
"""In one base, and as many again over the bases of TENANTS."""

TENANTS = 1_000

REFERENCE = {"en": (0.918, 0.986, 0.991, 0.948), "zh": (0.922, 0.987, 0.993, 0.950)}
"""What plain BM25 over whole passages came to elsewhere: recall@1, @5, @10 and MRR@10, to three digits."""

_METRICS = ("recall@1", "recall@5", "recall@10", "MRR@10")
_DATA = Path(__file__).parent / "data"
_ROUNDS = 50

_PASSAGE = """
INSERT INTO knowledge_chunks (
    tenant_id, knowledge_base_id, id, document_id, document_revision, generation, chunk_index, content, start_offset,
    end_offset, embedding, dimensions, embedding_model, search_vector
)
VALUES ($1, $2, $3, $3, 1, 1, 0, $4, 0, length($4), $5::real[]::halfvec, 256, 'local-embedding', $6::text::tsvector)
"""
_DOCUMENT = """
INSERT INTO knowledge_documents (
    tenant_id, knowledge_base_id, id, source_type, source_uri, file_size, file_mime_type, file_hash
)
VALUES ($1, $2, $3, 'text', 'blob:' || $3::uuid, 1, 'text/plain', $3::uuid)
"""
_BASE = """
INSERT INTO knowledge_bases (
    tenant_id, id, name, default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap
)
VALUES ($1, $2, $3, 'local-embedding', 256, 2048, 0)
"""


def run() -> list[Figure]:
    """Five minutes; with SCALE=full, an hour or two, and some thirty gigabytes of disk until it ends."""
    with databased() as settings:
        return asyncio.run(_measure(settings))


async def _measure(settings: Settings) -> list[Figure]:
    async with Database.open(settings) as database:
        admin: Any = await asyncpg.connect(settings.admin_database_url)
        try:
            figures = [figure for language in REFERENCE for figure in await _quality(database, admin, language)]
            return figures + await _latency(database, admin)
        finally:
            await admin.close()


async def _quality(database: Database, admin: Any, language: str) -> list[Figure]:
    passages = [json.loads(line) for line in (_DATA / f"{language}.jsonl").read_text().splitlines()]
    tenant_id, base_id = uuid7(), uuid7()
    ids = await _store(database, admin, tenant_id, base_id, language, [passage["text"] for passage in passages])
    # A question is among those that constants were chosen on, or among the others: every second one of a passage.
    asked = [
        (ids[number], question["question"], (number + place) % 2 == 1)
        for number, passage in enumerate(passages)
        for place, question in enumerate(passage["questions"])
    ]
    vectors = (await LocalEmbedding().embed([question for _, question, _ in asked], {})).vectors
    ranks: dict[str, list[int]] = {"vector": [], "text": [], "hybrid": []}
    async with database.tenant_tx(tenant_id, read_only=True) as tx:
        for (right, question, _), vector in zip(asked, vectors, strict=True):
            of = words(question)
            for way, hits in (
                ("vector", await search.vector(tx, [base_id], vector, 10)),
                ("text", await search.text(tx, [base_id], of, 10)),
                ("hybrid", await search.hybrid(tx, [base_id], vector, of, 10)),
            ):
                ranks[way].append(_rank(hits, right))
    unseen = [number for number, (_, _, held_back) in enumerate(asked) if held_back]
    figures = []
    for name, chosen in (("", range(len(asked))), (", held back", unseen)):
        found = {way: _metrics([of[number] for number in chosen]) for way, of in ranks.items()}
        goals: dict[str, Sequence[float | None]] = {
            "vector": [None] * 4,
            # To three digits, as the reference has them, which has no figures of the half.
            "text": [None if name else goal - 0.0005 for goal in REFERENCE[language]],
            "hybrid": [max(pair) for pair in zip(found["vector"], found["text"], strict=True)],
        }
        figures += [
            Figure(f"{language}, {way}{name}: {metric}", value, "of the questions", goal)
            for way, values in found.items()
            for metric, value, goal in zip(_METRICS, values, goals[way], strict=True)
        ]
    return figures


async def _store(
    database: Database, admin: Any, tenant_id: UUID, base_id: UUID, name: str, texts: list[str]
) -> list[UUID]:
    """Each text as a document of one chunk; their ids."""
    await admin.execute(
        "INSERT INTO tenants (id, name, slug) VALUES ($1, 'T', 'questions-' || $2::text)", tenant_id, name
    )
    await admin.execute(_BASE, tenant_id, base_id, name)
    vectors = (await LocalEmbedding().embed(texts, {})).vectors
    split = [words(text) for text in texts]
    ids = [uuid7() for _ in texts]
    for passage_id, text, vector, of in zip(ids, texts, vectors, split, strict=True):
        await admin.execute(_DOCUMENT, tenant_id, base_id, passage_id)
        await admin.execute(_PASSAGE, tenant_id, base_id, passage_id, text, vector.tolist(), tsvector_of(of))
    async with database.tenant_tx(tenant_id) as tx:
        await add_words(tx, base_id, 1, counts_of(split))
    return ids


def _rank(hits: Sequence[Hit], right: UUID) -> int:
    """From 1; 0 where it is not among them."""
    return next((place for place, hit in enumerate(hits, start=1) if hit.chunk_id == right), 0)


def _metrics(ranks: Sequence[int]) -> list[float]:
    recalls = [statistics.fmean(0 < rank <= most for rank in ranks) for most in (1, 5, 10)]
    return [*recalls, statistics.fmean(1 / rank if rank else 0 for rank in ranks)]


async def _latency(database: Database, admin: Any) -> list[Figure]:
    corpus = Corpus()
    one = (UUID("00000001-0000-7000-8000-000000000000"), UUID("00000002-0000-7000-8000-000000000000"))
    spread = [(_numbered(3, number), _numbered(4, number)) for number in range(TENANTS)]
    shares = 1 / np.arange(1, TENANTS + 1)
    sizes = np.maximum(1, CHUNKS * shares / shares.sum()).astype(int).tolist()
    began = perf_counter()
    await fill(admin, corpus, {one: CHUNKS, **dict(zip(spread, sizes, strict=True))})
    figures = [Figure("filling", perf_counter() - began, "s")]
    for name, (tenant_id, base_id), size in (
        ("one base", one, CHUNKS),
        (f"{TENANTS} tenants, the largest", spread[0], sizes[0]),
        (f"{TENANTS} tenants, a middling one", spread[TENANTS // 10], sizes[TENANTS // 10]),
    ):
        async with database.tenant_tx(tenant_id, read_only=True) as tx:
            figures += [
                Figure(f"{name}, of {size} chunks: {way}", took, "ms at the median")
                for way, took in (await _times(tx, base_id, corpus)).items()
            ]
    async with database.tenant_tx(one[0], read_only=True) as tx:
        figures.append(Figure("of the ten nearest by the index", await _recall(tx, one[1], corpus), "found"))
    return figures


async def _times(tx: Tx, base_id: UUID, corpus: Corpus) -> dict[str, float]:
    took: dict[str, list[float]] = {"vector": [], "text": [], "hybrid": []}
    for _ in range(_ROUNDS):
        of, vector = corpus.question()
        ways: dict[str, Callable[[], Awaitable[list[Hit]]]] = {
            "vector": partial(search.vector, tx, [base_id], vector, 10),
            "text": partial(search.text, tx, [base_id], of, 10),
            "hybrid": partial(search.hybrid, tx, [base_id], vector, of, 10),
        }
        for way, find in ways.items():
            began = perf_counter()
            await find()
            took[way].append((perf_counter() - began) * 1000)
    return {way: statistics.median(times) for way, times in took.items()}


async def _recall(tx: Tx, base_id: UUID, corpus: Corpus) -> float:
    """The share of the ten that are nearest which the index finds."""
    shares = []
    for _ in range(20):
        _, vector = corpus.question()
        exact, found = [
            {hit.chunk_id for hit in ranked(candidates, "vector", 10)}
            for candidates in (
                await search.candidates(tx, [base_id], vector, None, 10, one_by_one=CHUNKS),
                await search.candidates(tx, [base_id], vector, None, 10, one_by_one=0),
            )
        ]
        shares.append(len(exact & found) / 10)
    return statistics.fmean(shares)


def _numbered(kind: int, number: int) -> UUID:
    # As short as what corpus.py makes its ids of: the last twelve digits are the documents' and the chunks'.
    return UUID(f"{kind:08x}-0000-7000-{number + 0x8000:04x}-000000000000")
