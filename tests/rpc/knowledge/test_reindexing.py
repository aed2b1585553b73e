"""Reindexing and rolling back: what is searched meanwhile, what afterwards, and who is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from tests.databases import Scratch
from tests.factories.knowledge import (
    MODEL,
    PUBLIC,
    WORDS_ASTRAY,
    chunks_of,
    get_base,
    get_document,
    ingest,
    make_base,
    processed,
    reindex,
    reindexed,
    roll_back,
    step,
    step_base,
)
from tests.factories.searches import TEXT, VECTOR, found, indexed, search
from tests.factories.world import Person, World, refused

pytestmark = [pytest.mark.xdist_group("reindexing"), pytest.mark.asyncio(loop_scope="module")]

Code = grpc.StatusCode
State = bases.KnowledgeBase.Reindex
LONG = " ".join(f"Sentence number {number} is about the moon and the tides." for number in range(12))


async def _base(world: World, owner: Person, name: str = "papers") -> tuple[str, str]:
    """A base in chunks of 64 tokens, and the only document in it, which takes several of them."""
    base_id = await make_base(world, owner, name, chunk_size=64, chunk_overlap=0)
    (document,) = await indexed(world, owner, base_id, LONG)
    return base_id, document.id


async def _check(shared: Scratch, world: World, owner: Person, base_id: str, *document_ids: str) -> None:
    """What the base and its documents count is what there is to be found, and so are the words of each generation."""
    base = await get_base(world, owner, base_id)
    live = [await get_document(world, owner, one) for one in document_ids]
    for document in live:
        assert len(await chunks_of(world, owner, document.id)) == document.chunk_count > 0
    assert (base.document_count, base.chunk_count) == (len(live), sum(one.chunk_count for one in live))
    async with shared.connect() as admin:
        assert await admin.fetch(WORDS_ASTRAY, base_id) == []


async def test_a_base_comes_to_other_settings_all_at_once(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    base_id, document_id = await _base(world, owner)
    before = await get_base(world, owner, base_id)

    asked = await reindex(world, owner, base_id, chunk_size=32, chunk_overlap=4)
    after = await reindexed(world, owner, base_id)

    assert (asked.generation, asked.chunk_size, asked.reindex.state) == (1, 64, State.STATE_RUNNING)
    assert (after.generation, after.chunk_size, after.chunk_overlap, after.embedding_model) == (2, 32, 4, MODEL)
    told = after.reindex
    assert (told.state, told.rollback, told.document_done, told.document_total) == (State.STATE_COMPLETED, False, 1, 1)
    assert told.start_time.ToNanoseconds() < told.end_time.ToNanoseconds()
    assert (told.generation.number, told.generation.chunk_size) == (2, 32)
    former = after.former_generation
    assert (former.number, former.chunk_size, former.chunk_overlap) == (1, 64, 0)
    assert after.former_generation_expire_time.seconds - told.end_time.seconds == 7 * 86_400
    assert after.chunk_count > before.chunk_count > 1
    await _check(shared, world, owner, base_id, document_id)
    for mode in (TEXT, VECTOR):
        assert len(await found(world, owner, base_id, "tides", mode=mode, top_k=100)) == after.chunk_count


async def test_documents_of_before_and_after_are_found_behind_a_rollback(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    base_id, document_id = await _base(world, owner)
    before = await get_base(world, owner, base_id)
    kept = await chunks_of(world, owner, document_id)
    await reindex(world, owner, base_id, chunk_size=32)
    await reindexed(world, owner, base_id)

    at_once = await roll_back(world, owner, base_id)

    assert (at_once.generation, at_once.chunk_size, at_once.chunk_count) == (1, 64, before.chunk_count)
    assert (at_once.reindex.state, at_once.reindex.rollback) == (State.STATE_COMPLETED, True)
    assert not at_once.HasField("former_generation")
    assert await chunks_of(world, owner, document_id) == kept
    await _check(shared, world, owner, base_id, document_id)

    await reindex(world, owner, base_id, chunk_size=32)
    await reindexed(world, owner, base_id)
    (later,) = await indexed(world, owner, base_id, "The sun is a star.")
    asked = await roll_back(world, owner, base_id)
    after = await reindexed(world, owner, base_id)

    assert (asked.reindex.state, asked.reindex.rollback, asked.chunk_size) == (State.STATE_RUNNING, True, 32)
    assert (after.chunk_size, after.reindex.state) == (64, State.STATE_COMPLETED)
    assert (after.reindex.document_done, after.reindex.document_total) == (2, 2)
    assert await found(world, owner, base_id, "sun star", mode=TEXT) == ["The sun is a star."]
    assert await chunks_of(world, owner, document_id) == kept
    await _check(shared, world, owner, base_id, document_id, later.id)


async def test_whatever_is_done_behind_a_reindex_is_right_in_both_generations(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    base_id, document_id = await _base(world, owner)
    gone, hidden, again = (
        one.id
        for one in await indexed(world, owner, base_id, "Salt is gone", "Sweet is hidden", "Bitter is read again")
    )
    await step(world, "Delete", hidden, owner.metadata)
    await reindex(world, owner, base_id, chunk_size=32)
    await reindexed(world, owner, base_id)

    await step(world, "Delete", gone, owner.metadata)
    await step(world, "Restore", hidden, owner.metadata)
    await step(world, "Retry", again, owner.metadata)
    await processed(world, owner, hidden, again)

    assert await found(world, owner, base_id, "salt sweet bitter", mode=TEXT) == [
        "Sweet is hidden",
        "Bitter is read again",
    ]
    await _check(shared, world, owner, base_id, document_id, hidden, again)
    await roll_back(world, owner, base_id)
    assert (await reindexed(world, owner, base_id)).generation == 1
    await step(world, "Restore", gone, owner.metadata)
    await processed(world, owner, gone)
    assert len(await found(world, owner, base_id, "salt sweet bitter", mode=TEXT)) == 3
    await _check(shared, world, owner, base_id, document_id, gone, hidden, again)


async def test_of_two_reindexes_the_last_one_is_undone_and_the_first_stays(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    base_id, document_id = await _base(world, owner)
    for size in (32, 128):
        await reindex(world, owner, base_id, chunk_size=size)
        await reindexed(world, owner, base_id)

    back = await roll_back(world, owner, base_id)
    once_more = await refused(roll_back(world, owner, base_id))

    assert (back.generation, back.chunk_size) == (2, 32)
    assert (once_more.code, once_more.reason) == (Code.FAILED_PRECONDITION, "REINDEX_NOT_REVERSIBLE")
    await _check(shared, world, owner, base_id, document_id)


async def _hold(shared: Scratch, owner: Person, admitted: int = 1000) -> None:
    """No job of the tenant is begun from now on."""
    more = "INSERT INTO tenant_slots VALUES ($1, $2) ON CONFLICT (tenant_id) DO UPDATE SET admitted = $2"
    async with shared.connect() as admin:
        await admin.execute(more, owner.tenant_id, admitted)


async def test_a_reindex_that_runs_is_called_off_and_another_can_begin(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    base_id, _ = await _base(world, owner)
    await _hold(shared, owner)
    await reindex(world, owner, base_id, chunk_size=32)

    twice = await refused(reindex(world, owner, base_id))
    called_off = await roll_back(world, owner, base_id)
    none_left = await refused(roll_back(world, owner, base_id))

    assert (twice.code, twice.reason) == (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_REINDEXING")
    assert (called_off.generation, called_off.reindex.state) == (1, State.STATE_CANCELLED)
    assert none_left.reason == "REINDEX_NOT_REVERSIBLE"
    await reindex(world, owner, base_id, chunk_size=128)
    await _hold(shared, owner, 0)
    await ingest(world, owner, base_id, "Something that wakes the tenant's jobs")
    assert (await reindexed(world, owner, base_id)).chunk_size == 128


async def test_what_was_searched_longer_ago_than_it_is_kept_is_not_gone_back_to(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    base_id, _ = await _base(world, owner)
    await reindex(world, owner, base_id, chunk_size=32)
    await reindexed(world, owner, base_id)
    async with shared.connect() as admin:
        over = "UPDATE knowledge_generations SET kept_until = now() WHERE knowledge_base_id = $1 AND status = 'kept'"
        await admin.execute(over, base_id)

    refusal = await refused(roll_back(world, owner, base_id))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "REINDEX_NOT_REVERSIBLE")


async def test_all_at_once_leaves_every_document_found_and_every_word_counted(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner, chunk_size=64, chunk_overlap=0)
    made = [one.id for one in await indexed(world, owner, base_id, *(f"River {number} {LONG}" for number in range(8)))]
    deleted, back, again, rest = made[:2], made[2:4], made[4:6], made[6:]
    for document_id in back:
        await step(world, "Delete", document_id, owner.metadata)

    await reindex(world, owner, base_id, chunk_size=32)
    late = await asyncio.gather(
        *(ingest(world, owner, base_id, f"Late river {number}") for number in range(4)),
        *(step(world, "Retry", document_id, owner.metadata) for document_id in again),
        *(step(world, "Delete", document_id, owner.metadata) for document_id in deleted),
        *(step(world, "Restore", document_id, owner.metadata) for document_id in back),
    )
    live = [*back, *again, *rest, *(one.id for one in late[:4])]
    await reindexed(world, owner, base_id)
    await processed(world, owner, *live)
    await _check(shared, world, owner, base_id, *live)
    await asyncio.gather(
        roll_back(world, owner, base_id), *(step(world, "Restore", one, owner.metadata) for one in deleted)
    )
    await reindexed(world, owner, base_id)
    await processed(world, owner, *live, *deleted)

    assert (await get_base(world, owner, base_id)).generation == 1
    await _check(shared, world, owner, base_id, *live, *deleted)
    for mode in (TEXT, VECTOR):
        hits = await search(world, owner, base_id, "river", mode=mode, top_k=100)
        assert {hit.document_id for hit in hits.results} == {*live, *deleted}


@pytest.mark.parametrize("verb", ["Archive", "Delete"])
async def test_an_archived_or_deleted_base_is_not_reindexed(world: World, shared: Scratch, verb: str) -> None:
    owner = await world.tenant()
    base_id, _ = await _base(world, owner, verb)
    await _hold(shared, owner)
    await reindex(world, owner, base_id)

    await step_base(world, verb, base_id, owner.metadata)
    refusals = [await refused(call(world, owner, base_id)) for call in (reindex, roll_back)]

    reason = {"Archive": "KNOWLEDGE_BASE_ARCHIVED", "Delete": "KNOWLEDGE_BASE_DELETED"}[verb]
    assert [(one.code, one.reason) for one in refusals] == [(Code.FAILED_PRECONDITION, reason)] * 2
    back = {"Archive": "Activate", "Delete": "Restore"}[verb]
    base = (await step_base(world, back, base_id, owner.metadata)).knowledge_base
    assert base.reindex.state == State.STATE_CANCELLED


async def test_a_public_base_tells_elsewhere_of_no_reindex(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    editor = await world.user(platform, "knowledge_bases:manage")
    base_id = await make_base(world, platform, "the library", visibility=PUBLIC)
    await reindex(world, platform, base_id)
    await reindexed(world, platform, base_id)

    theirs = await get_base(world, other, base_id)
    refusals = [
        await refused(call(world, person, base_id)) for person in (editor, other) for call in (reindex, roll_back)
    ]

    assert theirs.generation == 2
    assert not theirs.HasField("reindex")
    assert not theirs.HasField("former_generation")
    assert [one.code for one in refusals] == [Code.PERMISSION_DENIED] * 2 + [Code.NOT_FOUND] * 2


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"embedding_model": "none"}, Code.NOT_FOUND, "MODEL_NOT_FOUND"),
        ({"embedding_model": "local-chat"}, Code.FAILED_PRECONDITION, "MODEL_KIND_MISMATCH"),
        ({"chunk_size": 64, "chunk_overlap": 33}, Code.INVALID_ARGUMENT, "INVALID_REQUEST"),
        ({"chunk_overlap": 40}, Code.INVALID_ARGUMENT, "INVALID_REQUEST"),
    ],
)
async def test_what_cannot_be_is_refused_at_once(world: World, fields: Any, code: Any, reason: str) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner, chunk_size=64)

    refusal = await refused(reindex(world, owner, base_id, **fields))

    assert (refusal.code, refusal.reason) == (code, reason)
    assert not (await get_base(world, owner, base_id)).HasField("reindex")
