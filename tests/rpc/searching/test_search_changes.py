"""Search: what it finds of documents and chunks that come, change and go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from atrium.knowledge.v1 import document_pb2 as documents
from tests.factories.knowledge import chunks_of, ingest, make_base, processed, upload
from tests.factories.searches import HYBRID, MODES, TEXT, VECTOR, change_chunk, found, indexed, search
from tests.factories.world import Person, World
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER

FAILED = documents.Document.STATE_FAILED


async def _all_find(world: World, person: Person, base_id: str, text: str, *expected: str) -> None:
    """In every mode, that and nothing else."""
    for mode in MODES:
        assert sorted(await found(world, person, base_id, text, mode=mode)) == sorted(expected), mode


async def _document(world: World, verb: str, document_id: str, person: Person) -> Any:
    request = getattr(documents, f"{verb}DocumentRequest")(id=document_id)
    return await getattr(world.knowledge, f"{verb}Document")(request, metadata=person.metadata)


async def test_a_deleted_document_is_not_found_until_it_is_restored(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    (gone, _) = await indexed(world, owner, base_id, "Sweet water", "Salt water")
    before = await search(world, owner, base_id, "water")

    await _document(world, "Delete", gone.id, owner)
    await _all_find(world, owner, base_id, "water", "Salt water")
    assert await found(world, owner, base_id, "water", document_ids=[gone.id]) == []
    await _document(world, "Restore", gone.id, owner)

    await _all_find(world, owner, base_id, "water", "Salt water", "Sweet water")
    assert list((await search(world, owner, base_id, "water")).results) == list(before.results)


async def test_a_disabled_chunk_is_not_found_until_it_is_enabled(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    (one, _) = await indexed(world, owner, base_id, "Sweet water", "Salt water")
    (chunk,) = await chunks_of(world, owner, one.id)

    await change_chunk(world, owner, chunk, enabled=False)
    await change_chunk(world, owner, chunk, enabled=False)
    await _all_find(world, owner, base_id, "water", "Salt water")
    await change_chunk(world, owner, chunk, enabled=True)

    await _all_find(world, owner, base_id, "water", "Salt water", "Sweet water")


async def test_a_changed_chunk_is_found_by_what_it_says_now(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    (one, _) = await indexed(world, owner, base_id, "Flour and yeast make bread", "Nobody knows")
    (chunk,) = await chunks_of(world, owner, one.id)
    before = (await search(world, owner, base_id, "the moon pulls the tide", mode=VECTOR)).results

    await change_chunk(world, owner, chunk, content="The moon pulls the tide")

    after = (await search(world, owner, base_id, "the moon pulls the tide", mode=VECTOR)).results
    assert await found(world, owner, base_id, "flour yeast bread", mode=TEXT) == []
    assert await found(world, owner, base_id, "moon tide", mode=TEXT) == ["The moon pulls the tide"]
    assert (await found(world, owner, base_id, "moon tide", mode=HYBRID))[0] == "The moon pulls the tide"
    scores = [next(hit.vector_score for hit in found if hit.chunk_id == chunk.id) for found in (before, after)]
    assert scores[1] > 0.9 > scores[0]


async def test_a_chunk_that_is_changed_while_it_is_disabled_is_found_once_it_is_enabled(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    (one,) = await indexed(world, owner, base_id, "Flour and yeast")
    (chunk,) = await chunks_of(world, owner, one.id)

    await change_chunk(world, owner, chunk, enabled=False)
    await change_chunk(world, owner, chunk, content="Sweet water")
    await _all_find(world, owner, base_id, "water flour")
    await change_chunk(world, owner, chunk, enabled=True)

    await _all_find(world, owner, base_id, "water", "Sweet water")
    assert await found(world, owner, base_id, "flour", mode=TEXT) == []


async def test_a_document_that_is_processed_again_is_found_once_and_as_it_is(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    (one, _) = await indexed(world, owner, base_id, "Sweet water", "Salt water")
    (chunk,) = await chunks_of(world, owner, one.id)
    await change_chunk(world, owner, chunk, content="Flour and yeast")
    before = await search(world, owner, base_id, "salt water", mode=TEXT)

    await _document(world, "Retry", one.id, owner)
    await processed(world, owner, one.id)
    await _document(world, "Retry", one.id, owner)
    await processed(world, owner, one.id)

    await _all_find(world, owner, base_id, "water", "Salt water", "Sweet water")
    assert await found(world, owner, base_id, "flour yeast", mode=TEXT) == []
    assert before.results[0].content == "Salt water"
    (other,) = await indexed(world, owner, base_id, "Twin: sweet water")
    await _document(world, "Delete", other.id, owner)
    assert len(await found(world, owner, base_id, "water")) == 2


async def test_the_same_words_are_weighed_alike_however_their_base_came_about(world: World) -> None:
    owner = await world.tenant()
    plain, stirred = await make_base(world, owner, "plain"), await make_base(world, owner, "stirred")
    texts = ["Sweet water", "Salt water and sand", "Flour and yeast"]
    await indexed(world, owner, plain, *texts)
    made = await indexed(world, owner, stirred, *texts, "Water, water, water", "Sand and yeast")
    for document in made[3:]:
        await _document(world, "Delete", document.id, owner)
    (chunk,) = await chunks_of(world, owner, made[0].id)
    await change_chunk(world, owner, chunk, content="Something else altogether")
    await change_chunk(world, owner, chunk, enabled=False)
    await _document(world, "Retry", made[0].id, owner)
    await processed(world, owner, made[0].id)
    await _document(world, "Delete", made[1].id, owner)
    await _document(world, "Restore", made[1].id, owner)

    for mode in MODES:
        scores = [
            {one.content: pytest.approx(one.score) for one in reply.results}
            for reply in [
                await search(world, owner, base, "sweet water and sand", mode=mode) for base in (plain, stirred)
            ]
        ]
        assert scores[0] == {content: score.expected for content, score in scores[1].items()}
    raw = [
        [one.text_score for one in (await search(world, owner, base, "sweet water and sand", mode=TEXT)).results]
        for base in (plain, stirred)
    ]
    assert raw[0] == pytest.approx(raw[1])


async def test_a_document_that_failed_is_not_found(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    await indexed(world, owner, base_id, "Salt water")

    broken = await upload(world, owner, base_id, b"%PDF-1.7 water", info={"file_name": "water.pdf"})
    (failed,) = await processed(world, owner, broken.id)

    assert failed.state == FAILED
    await _all_find(world, owner, base_id, "water pdf", "Salt water")


async def test_a_document_is_found_when_all_of_it_can_be_and_not_before(
    library: World, stub: OpenAIStub, admin: Any
) -> None:
    owner = await library.tenant()
    base_id = await make_base(library, owner, embedding_model="stub-embed-until", chunk_size=32, chunk_overlap=0)
    full = " ".join(["water"] * 32)
    (whole,) = await indexed(library, owner, base_id, "Sweet water")

    # More than is written at once: what comes first is in the database while the rest is waited for.
    half = await ingest(library, owner, base_id, "\n\n".join([full] * 300 + ["down"]))
    async with asyncio.timeout(NOT_FOR_EVER):
        while not (await stub.arrival()).body["input"][-1].endswith("down"):
            pass

    written = "SELECT count(*) FROM knowledge_chunks WHERE document_id = $1"
    assert await admin.fetchval(written, half.id) == 256
    await _all_find(library, owner, base_id, "water", "Sweet water")
    assert await found(library, owner, base_id, "water", document_ids=[half.id]) == []
    assert await found(library, owner, base_id, "water", document_ids=[half.id, whole.id]) == ["Sweet water"]


async def test_a_purged_document_is_not_found(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    base_id = await make_base(world, owner)
    (gone, _) = await indexed(world, owner, base_id, "Sweet water", "Salt water")
    await _document(world, "Delete", gone.id, owner)

    inside = (*platform.metadata, ("x-tenant-id", owner.tenant_id))
    await world.knowledge.PurgeDocument(documents.PurgeDocumentRequest(id=gone.id), metadata=inside)

    await _all_find(world, owner, base_id, "water", "Salt water")
    await indexed(world, owner, base_id, "Sweet water")
    await _all_find(world, owner, base_id, "water", "Salt water", "Sweet water")


async def test_searches_answer_while_documents_and_chunks_come_and_go(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    coming, changing, *_ = await indexed(world, owner, base_id, "Sweet water", "Salt water", "Ice is water")
    (chunk,) = await chunks_of(world, owner, changing.id)

    async def come_and_go() -> None:
        for _ in range(5):
            await _document(world, "Delete", coming.id, owner)
            await _document(world, "Restore", coming.id, owner)

    async def change() -> None:
        for number in range(5):
            await change_chunk(world, owner, chunk, enabled=False)
            await change_chunk(world, owner, chunk, enabled=True, content=f"Salt water, {number}")

    async def look(mode: int) -> None:
        for _ in range(15):
            results = await found(world, owner, base_id, "water", mode=mode)
            assert "Ice is water" in results
            assert len(results) == len(set(results))

    async with asyncio.TaskGroup() as group:
        for work in (come_and_go(), change(), *(look(mode) for mode in MODES)):
            group.create_task(work)
    await _all_find(world, owner, base_id, "water", "Sweet water", "Salt water, 4", "Ice is water")
