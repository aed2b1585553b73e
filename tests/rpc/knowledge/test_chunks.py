"""Chunks: listed in their order, and changed."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from atrium.knowledge.v1 import chunk_pb2
from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from tests.databases import Scratch
from tests.factories.knowledge import chunks_of, ingest, make_base, processed, step
from tests.factories.world import Person, World, refused

pytestmark = [pytest.mark.xdist_group("documents-chunks"), pytest.mark.asyncio(loop_scope="module")]

Code = grpc.StatusCode
TEXT = "".join(f"Sentence {number} is about the tides and the moon.\n\n" for number in range(60))


async def _document(world: World, owner: Person) -> Any:
    base_id = await make_base(world, owner, chunk_size=32, chunk_overlap=8)
    made = await ingest(world, owner, base_id, TEXT)
    (document,) = await processed(world, owner, made.id)
    return document


async def _update(world: World, person: Person, chunk: Any, **fields: Any) -> Any:
    request = chunk_pb2.UpdateChunkRequest(document_id=chunk.document_id, id=chunk.id, **fields)
    return (await world.knowledge.UpdateChunk(request, metadata=person.metadata)).chunk


async def _kept(shared: Scratch, chunk: Any) -> tuple[str, str]:
    """The chunk's vector and its words, as they are kept."""
    async with shared.connect() as admin:
        row = await admin.fetchrow(
            "SELECT embedding::text, search_vector::text FROM knowledge_chunks WHERE id = $1", chunk.id
        )
        return row[0], row[1]


async def test_chunks_come_in_the_order_of_the_document_page_by_page(world: World) -> None:
    owner = await world.tenant()
    document = await _document(world, owner)
    found: list[Any] = []
    token = ""

    while not found or token:
        request = chunk_pb2.ListChunksRequest(document_id=document.id, page_size=7, page_token=token)
        page = await world.knowledge.ListChunks(request, metadata=owner.metadata)
        assert 0 < len(page.chunks) <= 7
        found += page.chunks
        token = page.next_page_token

    assert found == await chunks_of(world, owner, document.id)
    assert [chunk.index for chunk in found] == list(range(document.chunk_count))
    assert len({chunk.id for chunk in found}) == document.chunk_count > 14
    assert {chunk.embedding_model for chunk in found} == {"local-embedding"}


async def test_chunks_are_what_lies_between_their_offsets_and_leave_nothing_out(world: World) -> None:
    owner = await world.tenant()
    chunks = await chunks_of(world, owner, (await _document(world, owner)).id)

    end = 0
    for chunk in chunks:
        assert chunk.content == TEXT[chunk.start_offset : chunk.end_offset]
        assert TEXT[end : chunk.start_offset].strip() == ""
        assert 0 < chunk.token_count <= 32
        end = chunk.end_offset
    assert TEXT[end:].strip() == ""


async def test_a_changed_text_is_embedded_anew(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    document = await _document(world, owner)
    first, second, *_ = await chunks_of(world, owner, document.id)
    before, other = await _kept(shared, first), await _kept(shared, second)

    changed = await _update(world, owner, first, content="Volcanoes erupt.", etag=first.etag)

    after = await _kept(shared, first)
    assert (changed.content, changed.embedded, changed.id) == ("Volcanoes erupt.", True, first.id)
    assert 0 < changed.token_count < first.token_count
    assert changed.etag != first.etag
    assert before[0] != after[0]
    assert ("'volcano':1" in after[1], "tide" in after[1]) == (True, False)
    assert await _kept(shared, second) == other
    assert (await chunks_of(world, owner, document.id))[:2] == [changed, second]


async def test_a_chunk_is_turned_off_and_on_without_being_embedded(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    first, *_ = await chunks_of(world, owner, (await _document(world, owner)).id)
    kept = await _kept(shared, first)

    off = await _update(world, owner, first, enabled=False)
    unchanged = await _update(world, owner, first)
    on = await _update(world, owner, first, enabled=True, etag=off.etag)

    assert [one.enabled for one in (first, off, on)] == [True, False, True]
    assert (unchanged, on.content) == (off, first.content)
    assert await _kept(shared, first) == kept


@pytest.mark.parametrize("fields", [{"content": "mine"}, {"enabled": False}])
async def test_a_chunk_is_not_changed_where_it_may_not_be(world: World, fields: dict[str, Any]) -> None:
    owner, other = await world.tenant(), await world.tenant()
    reader = await world.user(owner)
    document = await _document(world, owner)
    one = (await chunks_of(world, owner, document.id))[0]
    of_another = chunk_pb2.UpdateChunkRequest(document_id=(await _document(world, other)).id, id=one.id, **fields)
    archive = bases.ArchiveKnowledgeBaseRequest(id=document.knowledge_base_id)
    activate = bases.ActivateKnowledgeBaseRequest(id=document.knowledge_base_id)
    who = {"metadata": owner.metadata}

    refusals = [
        await refused(_update(world, owner, one, **fields, etag="stale")),
        await refused(_update(world, reader, one, **fields)),
        await refused(_update(world, other, one, **fields)),
        await refused(world.knowledge.UpdateChunk(of_another, metadata=other.metadata)),
    ]
    await world.knowledge.ArchiveKnowledgeBase(archive, **who)
    refusals.append(await refused(_update(world, owner, one, **fields)))
    await world.knowledge.ActivateKnowledgeBase(activate, **who)
    await step(world, "Delete", document.id, owner.metadata)
    refusals.append(await refused(_update(world, owner, one, **fields)))
    await step(world, "Restore", document.id, owner.metadata)

    assert [(refusal.code, refusal.reason) for refusal in refusals] == [
        (Code.ABORTED, "ETAG_MISMATCH"),
        (Code.PERMISSION_DENIED, "PERMISSION_MISSING"),
        (Code.NOT_FOUND, "DOCUMENT_NOT_FOUND"),
        (Code.NOT_FOUND, "CHUNK_NOT_FOUND"),
        (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_ARCHIVED"),
        (Code.NOT_FOUND, "DOCUMENT_NOT_FOUND"),
    ]
    assert (await chunks_of(world, owner, document.id))[0] == one
    with_calls = await refused(_update(world, owner, one, update_mask={"paths": ["content"]}))
    assert with_calls.code is Code.INVALID_ARGUMENT


async def test_no_model_is_asked_where_the_change_is_refused(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    document = await _document(world, owner)
    one = (await chunks_of(world, owner, document.id))[0]
    calls = "SELECT (SELECT count(*) FROM model_call_logs) + (SELECT count(*) FROM call_journal)"
    async with shared.connect() as admin:
        before = await admin.fetchval(calls)

        await refused(_update(world, owner, one, content="mine", etag="stale"))
        await step(world, "Delete", document.id, owner.metadata)
        await refused(_update(world, owner, one, content="mine"))

        assert await admin.fetchval(calls) == before


async def test_a_document_that_is_processed_again_has_other_chunks_as_they_are_found_in_it(world: World) -> None:
    owner = await world.tenant()
    document = await _document(world, owner)
    before = await chunks_of(world, owner, document.id)
    await _update(world, owner, before[0], content="mine", enabled=False)

    await step(world, "Retry", document.id, owner.metadata)
    await processed(world, owner, document.id)
    refusal = await refused(_update(world, owner, before[0], enabled=False))

    after = await chunks_of(world, owner, document.id)
    assert [one.content for one in after] == [one.content for one in before]
    assert not {one.id for one in after} & {one.id for one in before}
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "CHUNK_NOT_FOUND")
