"""What is found: by vector, by words and by both, of a tenant's own chunks, and of those that count."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database
from server.kernel.ids import uuid7
from server.knowledge.ranking import Hit
from server.knowledge.store import search
from server.knowledge.store.search import Filters
from server.knowledge.words import tsvector_of, words
from tests.databases import Cluster, Scratch
from tests.factories.chunks import Shelf, vector

_TEXTS = (
    "The river rises in the mountains and the river falls into the sea",
    "Mountains are high, and some mountains are higher",
    "A sea is not a lake",
    "Nothing of the kind is in here",
)
_WAYS = ("vector", "text", "hybrid")
_ALL = Filters()


@pytest.fixture
async def shelf(admin: Any, database: Database) -> Shelf:
    return await Shelf.make(admin, database, "ada")


async def _find(
    database: Database,
    tenant_id: UUID,
    way: str,
    bases: list[UUID],
    question: str = "river mountains sea",
    near: list[float] | None = None,
    top_k: int = 10,
    filters: Filters = _ALL,
) -> list[Hit]:
    near = near or vector(1.0, 0.5)
    async with database.tenant_tx(tenant_id, read_only=True) as tx:
        match way:
            case "vector":
                return await search.vector(tx, bases, near, top_k, filters)
            case "text":
                return await search.text(tx, bases, words(question), top_k, filters)
        return await search.hybrid(tx, bases, near, words(question), top_k, filters)


def _bm25(texts: tuple[str, ...], question: str) -> list[float]:
    """Of each text, as the textbook has it."""
    bags = [Counter(words(text)) for text in texts]
    mean = sum(bag.total() for bag in bags) / len(bags)
    scores = [0.0] * len(texts)
    for word in words(question):
        having = sum(word in bag for bag in bags)
        rarity = math.log(1 + (len(bags) - having + 0.5) / (having + 0.5))
        for place, bag in enumerate(bags):
            length = 0.25 + 0.75 * bag.total() / mean
            scores[place] += rarity * bag[word] * 2.2 / (bag[word] + 1.2 * length)
    return scores


async def test_words_find_what_has_them_with_the_scores_of_bm25(shelf: Shelf, database: Database) -> None:
    base_id = await shelf.base()
    _, ids = await shelf.document(base_id, *_TEXTS)
    wanted = dict(zip(ids, _bm25(_TEXTS, "river mountains sea sea"), strict=True))

    hits = await _find(database, shelf.tenant_id, "text", [base_id], "river mountains sea sea")

    assert [hit.chunk_id for hit in hits] == sorted(ids[:3], key=lambda one: -wanted[one])
    assert [hit.bm25 for hit in hits] == pytest.approx([wanted[hit.chunk_id] for hit in hits])


@pytest.mark.parametrize("question", ["", "nowhere", "'); \\ & | ! <->", "'sea' \\"])
async def test_words_are_words_whatever_characters_are_in_them(question: str, shelf: Shelf, database: Database) -> None:
    base_id = await shelf.base()
    await shelf.document(base_id, *_TEXTS)

    hits = await _find(database, shelf.tenant_id, "text", [base_id], question)

    assert len(hits) == (2 if "sea" in question else 0)


async def test_a_word_with_quotes_and_backslashes_finds_its_chunk(shelf: Shelf, database: Database, admin: Any) -> None:
    base_id = await shelf.base()
    _, (chunk_id,) = await shelf.document(base_id, "plain")
    strange = "o'\\b'' c"
    await admin.execute("UPDATE knowledge_chunks SET search_vector = $1::text::tsvector", tsvector_of([strange]))
    await admin.execute("UPDATE knowledge_words SET word = $1", strange)

    async with database.tenant_tx(shelf.tenant_id) as tx:
        hits = await search.text(tx, [base_id], [strange], 10)

    assert [hit.chunk_id for hit in hits] == [chunk_id]


async def test_vectors_find_what_is_near_with_its_cosine(shelf: Shelf, database: Database) -> None:
    base_id = await shelf.base()
    vectors = [vector(1.0), vector(1.0, 1.0), vector(-1.0), vector(0.0, 1.0)]
    _, ids = await shelf.document(base_id, *_TEXTS, vectors=vectors)

    hits = await _find(database, shelf.tenant_id, "vector", [base_id], near=vector(1.0, 0.2), top_k=3)

    assert [hit.chunk_id for hit in hits] == [ids[0], ids[1], ids[3]]
    assert [hit.similarity for hit in hits] == pytest.approx([0.9806, 0.8321, 0.1961], abs=1e-3)


async def test_both_ways_give_the_cosine_of_what_words_alone_found(shelf: Shelf, database: Database) -> None:
    base_id = await shelf.base()
    far, near = vector(-1.0), vector(1.0)
    await shelf.document(base_id, *["Filling"] * 60, vectors=[near] * 60)
    _, (chunk_id,) = await shelf.document(base_id, "river", vectors=[far])

    hits = await _find(database, shelf.tenant_id, "hybrid", [base_id], "river", near)

    (hit,) = [hit for hit in hits if hit.chunk_id == chunk_id]
    assert hit.similarity == pytest.approx(-1.0)
    assert hit.bm25 is not None
    assert hits[0] == hit


async def test_several_bases_are_searched_as_one(shelf: Shelf, database: Database) -> None:
    first, second, other = [await shelf.base() for _ in range(3)]
    _, ids = await shelf.document(first, *_TEXTS[:2])
    _, more = await shelf.document(second, *_TEXTS[2:])
    await shelf.document(other, *_TEXTS)
    wanted = dict(zip([*ids, *more], _bm25(_TEXTS, "river sea"), strict=True))

    hits = await _find(database, shelf.tenant_id, "text", [first, second, first], "river sea")

    assert {hit.chunk_id: hit.bm25 for hit in hits} == pytest.approx({ids[0]: wanted[ids[0]], more[0]: wanted[more[0]]})
    assert {hit.base_id for hit in hits} == {first, second}


@pytest.mark.parametrize("way", _WAYS)
async def test_another_tenants_chunks_are_never_found(way: str, shelf: Shelf, database: Database, admin: Any) -> None:
    other = await Shelf.make(admin, database, "grace")
    theirs = await other.base()
    await other.document(theirs, *_TEXTS)
    own = await shelf.base()
    await shelf.document(own, *_TEXTS)

    found = await _find(database, shelf.tenant_id, way, [theirs, own])

    assert {hit.base_id for hit in found} == {own}
    assert await _find(database, shelf.tenant_id, way, [theirs]) == []


async def test_without_a_tenant_the_function_finds_nothing(shelf: Shelf, database: Database, scratch: Scratch) -> None:
    base_id = await shelf.base()
    await shelf.document(base_id, *_TEXTS)

    async with scratch.connect(scratch.url) as app:
        rows = await app.fetch("SELECT * FROM atrium_search_text($1, '{river}', '{1}', NULL, 10)", [base_id])

    assert rows == []


_DOES_NOT_COUNT = {
    "a chunk that is disabled": "UPDATE knowledge_chunks SET enabled = false WHERE id = $1",
    "a chunk of a revision that is not active": "UPDATE knowledge_documents SET active_revision = 2 WHERE id = $2",
    "a chunk of a deleted document": "UPDATE knowledge_documents SET deleted_at = now() WHERE id = $2",
    "a chunk of another generation": "UPDATE knowledge_chunks SET generation = 2 WHERE id = $1",
}


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("what", _DOES_NOT_COUNT)
async def test_what_does_not_count_is_not_found(
    what: str, way: str, shelf: Shelf, database: Database, admin: Any
) -> None:
    base_id = await shelf.base()
    document_id, (chunk_id,) = await shelf.document(base_id, _TEXTS[0])
    _, (kept,) = await shelf.document(base_id, _TEXTS[0])
    query = _DOES_NOT_COUNT[what]
    await admin.execute(query.replace("$2", "$1"), chunk_id if "$1" in query else document_id)

    hits = await _find(database, shelf.tenant_id, way, [base_id])

    assert [hit.chunk_id for hit in hits] == [kept]


@pytest.mark.parametrize("way", _WAYS)
async def test_a_new_generation_is_found_with_the_switch_and_the_old_one_is_not(
    way: str, shelf: Shelf, database: Database, admin: Any
) -> None:
    base_id = await shelf.base()
    _, (old,) = await shelf.document(base_id, _TEXTS[0])
    _, (new,) = await shelf.document(base_id, _TEXTS[0], generation=2)
    before = await _find(database, shelf.tenant_id, way, [base_id])

    await admin.execute("UPDATE knowledge_bases SET active_generation = 2")

    after = await _find(database, shelf.tenant_id, way, [base_id])
    assert [hit.chunk_id for hit in before] == [old]
    assert [hit.chunk_id for hit in after] == [new]


@pytest.mark.parametrize("way", _WAYS)
async def test_of_a_deleted_base_nothing_is_found(way: str, shelf: Shelf, database: Database, admin: Any) -> None:
    base_id = await shelf.base()
    await shelf.document(base_id, *_TEXTS)
    await admin.execute("UPDATE knowledge_bases SET status = 'deleted', deleted_at = now()")

    assert await _find(database, shelf.tenant_id, way, [base_id]) == []


@pytest.mark.parametrize("way", _WAYS)
async def test_filters_leave_the_documents_that_they_name(way: str, shelf: Shelf, database: Database) -> None:
    base_id = await shelf.base()
    first, _ = await shelf.document(base_id, _TEXTS[0], metadata='{"team": "maps", "year": 2024}')
    second, _ = await shelf.document(base_id, _TEXTS[0], metadata='{"team": "maps"}')
    third, _ = await shelf.document(base_id, _TEXTS[0])

    async def left(**filters: Any) -> set[UUID]:
        hits = await _find(database, shelf.tenant_id, way, [base_id], filters=Filters(**filters))
        return {hit.document_id for hit in hits}

    assert await left() == {first, second, third}
    assert await left(document_ids=[third, first]) == {first, third}
    assert await left(metadata={"team": "maps"}) == {first, second}
    assert await left(document_ids=[second, third], metadata={"team": "maps"}) == {second}
    assert await left(document_ids=[]) == set()
    assert await left(document_ids=[uuid7()]) == set()


async def test_a_chunk_without_a_vector_or_with_one_of_another_length_is_found_by_its_words_alone(
    shelf: Shelf, database: Database, admin: Any
) -> None:
    base_id = await shelf.base()
    _, ids = await shelf.document(
        base_id, *["river"] * 3, vectors=[vector(1.0), vector(1.0), vector(1.0, dimensions=8)]
    )
    await admin.execute("UPDATE knowledge_chunks SET embedding = NULL WHERE id = $1", ids[1])

    near = await _find(database, shelf.tenant_id, "vector", [base_id])
    both = await _find(database, shelf.tenant_id, "hybrid", [base_id], "river")

    assert [hit.chunk_id for hit in near] == ids[:1]
    assert {hit.chunk_id: hit.similarity is None for hit in both} == dict(zip(ids, [False, True, True], strict=True))


async def test_the_index_finds_what_comparing_one_by_one_finds(shelf: Shelf, database: Database) -> None:
    base_id, beside = await shelf.base(), await shelf.base()
    near = [vector(1.0, n / 50, (n * 7 % 50) / 50) for n in range(50)]
    await shelf.document(base_id, *["text"] * 50, vectors=near)
    await shelf.document(beside, *["text"] * 50, vectors=near)

    async with database.tenant_tx(shelf.tenant_id) as tx:
        exact, found = [
            await search.candidates(tx, [base_id], vector(1.0, 0.3), None, 10, one_by_one=most) for most in (100, 0)
        ]

    assert found == exact
    assert len(found) == 10


async def test_contents_are_of_the_winners_with_where_they_stand(shelf: Shelf, database: Database) -> None:
    base_id = await shelf.base()
    _, ids = await shelf.document(base_id, *_TEXTS)
    hits = await _find(database, shelf.tenant_id, "text", [base_id], "lake")

    async with database.tenant_tx(shelf.tenant_id) as tx:
        contents = await search.contents(tx, hits)

    (content,) = contents.values()
    assert (content.chunk_id, content.content, content.document_title) == (ids[2], _TEXTS[2], "T")
    assert (content.page, content.heading, content.chunk_index) == (3, "H", 2)


async def test_how_often_a_chunk_has_a_word_is_read_from_its_rank(each_postgres: Cluster) -> None:
    read = "round(1 / (1.6449340668 * (1 - ts_rank('{1, 1, 1, 1}', $1::text::tsvector, $2::text::tsquery))) - 0.5)"
    async with each_postgres.clone() as scratch, scratch.connect() as admin:
        times = [
            await admin.fetchval(f"SELECT {read}", tsvector_of(["other", *["it's"] * number]), "'it''s'")
            for number in (*range(60), 100, 255)
        ]

    assert times[:60] == list(range(60))
    assert times[60:] == pytest.approx([100, 255], rel=0.01)
