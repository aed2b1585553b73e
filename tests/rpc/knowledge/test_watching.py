"""Watching documents being processed, and who sees documents at all."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from atrium.common.v1 import deleted_pb2
from atrium.knowledge.v1 import document_pb2 as documents
from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from tests.databases import Scratch
from tests.factories.knowledge import (
    PERSONAL,
    PUBLIC,
    TENANT,
    chunks_of,
    get_document,
    ingest,
    make_base,
    processed,
    start,
    step,
)
from tests.factories.world import Person, World, refused

pytestmark = [pytest.mark.xdist_group("documents-watching"), pytest.mark.asyncio(loop_scope="module")]

Code = grpc.StatusCode
MANAGE = "knowledge_bases:manage"
ORDER = [documents.Document.STATE_PENDING, documents.Document.STATE_PROCESSING]
HIDDEN, DENIED = (Code.NOT_FOUND, "DOCUMENT_NOT_FOUND"), (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
OVER = {documents.Document.STATE_INDEXED, documents.Document.STATE_FAILED}


def _watch(world: World, person: Person, *document_ids: str) -> Any:
    request = documents.WatchIngestionRequest(document_ids=document_ids)
    return world.knowledge.WatchIngestion(request, metadata=person.metadata)


async def _hold(shared: Scratch, tenant_id: str) -> None:
    """No job of the tenant is begun from now on."""
    more = "INSERT INTO tenant_slots VALUES ($1, 1000) ON CONFLICT (tenant_id) DO UPDATE SET admitted = 1000"
    async with shared.connect() as admin:
        await admin.execute(more, tenant_id)


async def test_a_watch_tells_of_states_in_their_order_and_ends(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    made = [await ingest(world, owner, base_id, text) for text in ("one", " ", "three")]

    events = [event async for event in _watch(world, owner, *(one.id for one in made))]

    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.HasField("ended") for event in events] == [False] * (len(events) - 1) + [True]
    for one in made:
        states = [event.document.state for event in events if event.document.id == one.id]
        assert states[-1] in OVER
        assert set(states[:-1]) <= set(ORDER)
        assert states == sorted(states)
    again = [event async for event in _watch(world, owner, made[1].id, made[0].id)]
    assert [event.document.id for event in again] == [made[1].id, made[0].id, ""]


async def test_a_document_that_is_deleted_is_watched_no_more(world: World, shared: Scratch) -> None:
    owner = await world.tenant()
    await _hold(shared, owner.tenant_id)
    base_id = await make_base(world, owner)
    one, other = [await ingest(world, owner, base_id, text) for text in ("one", "other")]
    watch = aiter(_watch(world, owner, one.id, other.id))
    begun = [await anext(watch), await anext(watch)]

    await step(world, "Delete", other.id, owner.metadata)
    refusal = await refused(watch)

    assert [event.document.id for event in begun] == [one.id, other.id]
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "DOCUMENT_NOT_FOUND")


async def test_no_more_than_so_many_watches_of_a_tenant_are_open(world: World, shared: Scratch) -> None:
    owner, other = await world.tenant(), await world.tenant()
    await _hold(shared, owner.tenant_id)
    made = await ingest(world, owner, await make_base(world, owner), "one")
    theirs = await ingest(world, other, await make_base(world, other), "one")
    calls = [_watch(world, owner, made.id) for _ in range(20)]
    for call in calls:
        await call.read()

    refusal = await refused(_watch(world, owner, made.id))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_INGESTION_WATCHES")
    await processed(world, other, theirs.id)
    for call in calls:
        call.cancel()
    async with asyncio.timeout(20):
        while (again := _watch(world, owner, made.id)) and await _is_refused(again):
            pass


async def _is_refused(call: Any) -> bool:
    try:
        await call.read()
    except grpc.aio.AioRpcError:
        return True
    call.cancel()
    return False


def _reads(world: World, person: Person, document: Any) -> list[Any]:
    """Every call that reads the document."""
    download = documents.DownloadDocumentRequest(id=document.id)
    return [
        get_document(world, person, document.id),
        chunks_of(world, person, document.id),
        _watch(world, person, document.id),
        world.knowledge.DownloadDocument(download, metadata=person.metadata),
    ]


def _changes(world: World, person: Person, document: Any) -> list[Any]:
    """Every call that an ordinary member of a tenant can make to change it."""
    update = documents.UpdateDocumentRequest(id=document.id, title="mine")
    steps = [step(world, verb, document.id, person.metadata) for verb in ("Retry", "Delete", "Restore")]
    return [world.knowledge.UpdateDocument(update, metadata=person.metadata), *steps]


async def _refusals(calls: list[Any]) -> set[tuple[grpc.StatusCode, str]]:
    """How they were refused, each of them."""
    found = [await refused(call) for call in calls]
    return {(refusal.code, refusal.reason) for refusal in found}


async def _listed(world: World, person: Person, base_id: str, **fields: Any) -> list[Any]:
    request = documents.ListDocumentsRequest(knowledge_base_id=base_id, **fields)
    return list((await world.knowledge.ListDocuments(request, metadata=person.metadata)).documents)


async def test_documents_are_seen_by_who_sees_their_base(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    person, reader = await world.user(owner, MANAGE), await world.user(owner)
    mine = await make_base(world, person, "mine", visibility=PERSONAL)
    document = await ingest(world, person, mine, "secret")
    (document,) = await processed(world, person, document.id)

    for somebody in (other, reader):
        assert await _refusals(_reads(world, somebody, document)) == {HIDDEN}
        assert await _refusals([_listed(world, somebody, mine)]) == {(Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")}
    assert await _refusals(_changes(world, other, document)) == {HIDDEN}
    assert await _refusals(_changes(world, reader, document)) == {DENIED}
    adding = [ingest(world, other, mine, "another"), start(world, other, mine)]
    assert await _refusals(adding) == {(Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")}
    assert await get_document(world, owner, document.id) == document, "who manages bases sees it"
    assert (await ingest(world, owner, mine, "another")).uploaded_by == owner.id


async def test_documents_of_public_bases_are_read_elsewhere_and_name_nobody(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    editor = await world.user(platform, MANAGE)
    base_id = await make_base(world, platform, "library", visibility=PUBLIC)
    made = await ingest(world, platform, base_id, "for everyone")
    (document,) = await processed(world, platform, made.id)

    (watched,) = await processed(world, other, document.id)
    found = [await get_document(world, other, document.id), *await _listed(world, other, base_id), watched]
    chunks = await chunks_of(world, other, document.id)
    download = documents.DownloadDocumentRequest(id=document.id)
    parts = [part async for part in world.knowledge.DownloadDocument(download, metadata=other.metadata)]
    hidden = await _refusals(_changes(world, other, document))
    denied = await _refusals(_changes(world, editor, document))
    adding = [await refused(ingest(world, somebody, base_id, "mine")) for somebody in (other, editor)]

    assert document.uploaded_by == platform.id
    document.uploaded_by = ""
    assert found == [document] * 3
    assert chunks == await chunks_of(world, platform, document.id)
    assert b"".join(part.data for part in parts) == b"for everyone"
    assert (hidden, denied) == ({HIDDEN}, {DENIED})
    assert [one.code for one in adding] == [Code.NOT_FOUND, Code.PERMISSION_DENIED]
    change = bases.UpdateKnowledgeBaseRequest(id=base_id, visibility=TENANT)
    await world.knowledge.UpdateKnowledgeBase(change, metadata=platform.metadata)
    assert await _refusals(_reads(world, other, document)) == {HIDDEN}


async def test_a_deleted_document_of_a_public_base_is_there_for_nobody_elsewhere(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    base_id = await make_base(world, platform, "another library", visibility=PUBLIC)
    made = await ingest(world, platform, base_id, "gone")
    await step(world, "Delete", made.id, platform.metadata)

    for deleted in (deleted_pb2.DELETED_INCLUDE, deleted_pb2.DELETED_ONLY):
        refusal = await refused(get_document(world, other, made.id, deleted=deleted))
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "DOCUMENT_NOT_FOUND")
        assert await _listed(world, other, base_id, deleted=deleted) == []
        assert [one.id for one in await _listed(world, platform, base_id, deleted=deleted)] == [made.id]
