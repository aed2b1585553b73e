"""Many callers at the same documents at once: what a base counts stays exact, and each call is told what it came to."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest

from atrium.knowledge.v1 import document_pb2 as documents
from tests.databases import Scratch
from tests.factories.knowledge import chunks_of, counts, ingest, make_base, processed, send, start, step
from tests.factories.world import Person, World, read_refusal

pytestmark = [pytest.mark.xdist_group("documents-together"), pytest.mark.asyncio(loop_scope="module")]

STALE = """
SELECT count(*) FROM knowledge_chunks AS chunk JOIN knowledge_documents AS document ON document.id = chunk.document_id
WHERE document.knowledge_base_id = $1 AND document.run_token IS NULL
    AND chunk.document_revision <> document.active_revision
"""
"""Pieces of other revisions than those that are searched, which nobody is making."""

TOLD = {"NOT_DELETED", "DOCUMENT_NOT_FOUND", "DOCUMENT_BUSY", "DOCUMENT_EXISTS"}


async def _at_once(*calls: Any) -> tuple[list[Any], Counter[str]]:
    """What the calls that went well came to, and how often each reason was given for the others."""
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    good = [one for one in answers if not isinstance(one, BaseException)]
    bad = [one for one in answers if isinstance(one, BaseException)]
    assert all(isinstance(one, grpc.aio.AioRpcError) for one in bad), bad
    return good, Counter(read_refusal(one).reason for one in bad if isinstance(one, grpc.aio.AioRpcError))


async def _live(world: World, person: Person, base_id: str) -> list[Any]:
    request = documents.ListDocumentsRequest(knowledge_base_id=base_id, page_size=1000)
    return list((await world.knowledge.ListDocuments(request, metadata=person.metadata)).documents)


async def _check_counts(world: World, person: Person, base_id: str) -> None:
    """The base counts what is there."""
    live = await _live(world, person, base_id)
    await processed(world, person, *(one.id for one in live))
    live = await _live(world, person, base_id)
    for one in live:
        assert len(await chunks_of(world, person, one.id)) == one.chunk_count > 0
    wanted = (len(live), sum(one.chunk_count for one in live), sum(one.size for one in live))
    assert await counts(world, person, base_id) == wanted


async def test_different_texts_come_into_one_base_at_once(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    made, refusals = await _at_once(*(ingest(world, owner, base_id, f"text {number}") for number in range(20)))

    assert (len(made), refusals) == (20, Counter())
    assert (await counts(world, owner, base_id))[0] == 20
    await _check_counts(world, owner, base_id)


async def test_of_the_same_text_at_once_one_document_is_made(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    uploads = [await start(world, owner, base_id) for _ in range(5)]

    made, refusals = await _at_once(
        *(ingest(world, owner, base_id, "the same") for _ in range(15)),
        *(send(world, owner, one.id, b"the same") for one in uploads),
    )

    assert (len(made), refusals) == (1, Counter(DOCUMENT_EXISTS=19))
    await _check_counts(world, owner, base_id)


async def test_documents_are_deleted_restored_retried_and_added_by_many_at_once(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    made = [await ingest(world, owner, base_id, f"text {number}") for number in range(3)]

    async def hammer(number: int) -> Counter[str]:
        told: Counter[str] = Counter()
        for turn in range(6):
            for one in made:
                verb = ("Delete", "Restore", "Retry")[(number + turn) % 3]
                _, refusals = await _at_once(
                    step(world, verb, one.id, owner.metadata),
                    ingest(world, owner, base_id, f"text {(number + turn) % 3}"),
                )
                told += refusals
        return told

    told: Counter[str] = sum(await asyncio.gather(*(hammer(number) for number in range(8))), Counter())

    assert set(told) <= TOLD
    await _check_counts(world, owner, base_id)
    async with shared.connect() as admin, asyncio.timeout(20):
        # What is indexed is told before what it took the place of is removed.
        while await admin.fetchval(STALE, base_id):  # noqa: ASYNC110 - what it waits for is in the database
            await asyncio.sleep(0.01)
