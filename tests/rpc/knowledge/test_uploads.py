"""Files on their way in: sent in pieces, broken off, gone on with, and refused."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.knowledge.v1 import document_pb2 as documents
from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from tests.databases import Scratch
from tests.factories.knowledge import counts, get_upload, make_base, send, start, step, upload
from tests.factories.world import Person, World, refused
from tests.servers import serving

pytestmark = [pytest.mark.xdist_group("documents-uploads"), pytest.mark.asyncio(loop_scope="module")]

Code = grpc.StatusCode
MIB = 1_048_576
DATA = b"".join(b"Line %07d of what is sent.\n" % number for number in range(100_000))[: 2 * MIB + MIB // 2]
"""2.5 MiB, every line another."""


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def _break_off(world: World, person: Person, upload_id: str, data: bytes, received: int) -> None:
    """Sends those bytes, waits until so many are there, and hangs up."""
    left = asyncio.Event()

    async def requests() -> AsyncIterator[documents.UploadDocumentRequest]:
        yield documents.UploadDocumentRequest(place={"upload_id": upload_id})
        for at in range(0, len(data), 100_000):
            yield documents.UploadDocumentRequest(data=data[at : at + 100_000])
        await left.wait()

    call = world.knowledge.UploadDocument(requests(), metadata=person.metadata)
    async with asyncio.timeout(60):
        while (await get_upload(world, person, upload_id)).received < received:
            pass
    call.cancel()
    left.set()


def _received(refusal: Any) -> str:
    return str(refusal.detail(error_details_pb2.ErrorInfo).metadata["received"])


@pytest.mark.parametrize("piece", [1_000, 65_536, 999_983, MIB])
@pytest.mark.parametrize("said", ["nothing", "size", "hash", "both"])
async def test_a_file_comes_in_pieces_of_any_size(world: World, piece: int, said: str) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    fields: dict[str, Any] = {"size": len(DATA)} if said in ("size", "both") else {}
    fields |= {"sha256": _hash(DATA)} if said in ("hash", "both") else {}
    started = await start(world, owner, base_id, info={"file_name": "lines.txt"}, **fields)

    document = await send(world, owner, started.id, DATA, piece=piece)

    assert (started.received, started.size, started.document_id) == (0, fields.get("size", 0), "")
    assert started.HasField("expire_time")
    assert (document.size, document.sha256, document.source_uri) == (len(DATA), _hash(DATA), f"blob:{_hash(DATA)}")
    complete = await get_upload(world, owner, started.id)
    assert (complete.received, complete.size, complete.document_id) == (len(DATA), len(DATA), document.id)
    assert not complete.HasField("expire_time")


async def test_what_broke_off_is_gone_on_with_behind_its_last_whole_part(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id, size=len(DATA), sha256=_hash(DATA))
    await _break_off(world, owner, started.id, DATA[:-1], 2 * MIB)

    kept = await get_upload(world, owner, started.id)
    document = await send(world, owner, started.id, DATA[2 * MIB :], 2 * MIB)

    assert (kept.received, kept.document_id) == (2 * MIB, "")
    assert kept.expire_time.ToDatetime() > started.expire_time.ToDatetime()
    assert (document.size, document.sha256) == (len(DATA), _hash(DATA))


async def test_nothing_is_taken_for_whole_that_broke_off(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id)

    await _break_off(world, owner, started.id, DATA, 2 * MIB)
    document = await send(world, owner, started.id, DATA[2 * MIB :], 2 * MIB)

    assert (document.size, document.sha256) == (len(DATA), _hash(DATA))


@pytest.mark.parametrize("offset", [1, MIB, 2 * MIB + 5, 3 * MIB, 2**62])
async def test_an_upload_goes_on_where_it_ended_and_nowhere_else(world: World, offset: int) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id, size=len(DATA))
    assert (await refused(send(world, owner, started.id, DATA[: 2 * MIB]))).reason == "UPLOAD_INCOMPLETE"

    refusal = await refused(send(world, owner, started.id, DATA[offset : offset + 9], offset))

    assert (refusal.code, refusal.reason) == (Code.ABORTED, "UPLOAD_OFFSET_TAKEN")
    assert _received(refusal) == str(2 * MIB)


async def test_less_than_was_said_is_told_and_gone_on_with(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id, size=len(DATA))

    first = await refused(send(world, owner, started.id, DATA[: MIB + 9]))
    second = await refused(send(world, owner, started.id, b"", MIB))
    document = await send(world, owner, started.id, DATA[MIB:], MIB)

    for refusal in (first, second):
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "UPLOAD_INCOMPLETE")
        assert _received(refusal) == str(MIB)
    assert document.sha256 == _hash(DATA)


@pytest.mark.parametrize("more", [1, MIB, 2 * MIB])
async def test_more_than_was_said_is_refused(world: World, more: int) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id, size=len(DATA) - more)

    refusal = await refused(send(world, owner, started.id, DATA))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "UPLOAD_DIFFERS")
    assert (await get_upload(world, owner, started.id)).document_id == ""
    assert await counts(world, owner, base_id) == (0, 0, 0)


@pytest.mark.parametrize("sized", [False, True])
async def test_another_hash_is_refused_however_often_it_is_sent(world: World, sized: bool) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    size = {"size": len(DATA)} if sized else {}
    started = await start(world, owner, base_id, sha256=_hash(DATA[1:]), **size)

    first = await refused(send(world, owner, started.id, DATA))
    again = await refused(send(world, owner, started.id, b"", len(DATA)))
    more = await refused(send(world, owner, started.id, b"and more", len(DATA)))

    for refusal in (first, again, more):
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "UPLOAD_DIFFERS")
    assert await counts(world, owner, base_id) == (0, 0, 0)


async def test_of_two_that_send_the_same_upload_one_wins_each_part(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    for _ in range(4):
        started = await start(world, owner, base_id, info={"file_name": "lines.txt"})

        sent = await asyncio.gather(*(send(world, owner, started.id, DATA) for _ in range(4)), return_exceptions=True)

        made = [one for one in sent if isinstance(one, documents.Document)]
        failed = [one for one in sent if isinstance(one, grpc.aio.AioRpcError)]
        assert {one.code() for one in failed} <= {Code.ABORTED}
        assert len(made) + len(failed) == 4
        assert {(one.size, one.sha256) for one in made} == {(len(DATA), _hash(DATA))}
        await step(world, "Delete", made[0].id, owner.metadata)


async def test_an_upload_is_its_starters_alone(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    colleague = await world.user(owner, "knowledge_bases:manage")
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id)

    for somebody in (colleague, other):
        # Nothing is sent that a refusal could overtake.
        for call in (partial(send, data=b""), get_upload):
            refusal = await refused(call(world, somebody, started.id))
            assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "UPLOAD_NOT_FOUND")
    assert (await get_upload(world, owner, started.id)).received == 0


async def test_a_complete_upload_answers_with_its_document_again(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id)
    document = await send(world, owner, started.id, DATA)

    again = [await send(world, owner, started.id, data, offset) for data, offset in ((DATA, 0), (b"", len(DATA)))]

    assert [one.id for one in again] == [document.id] * 2
    assert (await counts(world, owner, base_id))[0] == 1


def _place(upload_id: str) -> documents.UploadDocumentRequest:
    return documents.UploadDocumentRequest(place={"upload_id": upload_id})


async def test_the_first_message_names_the_upload_and_no_other_does(world: World) -> None:
    owner = await world.tenant()
    started = await start(world, owner, await make_base(world, owner))
    data = documents.UploadDocumentRequest(data=b"first")

    for requests, field in (
        ([], "place"),
        ([data], "place"),
        ([_place(started.id), _place(started.id)], "data"),
        ([_place(started.id), data, _place(started.id)], "data"),
    ):
        refusal = await refused(world.knowledge.UploadDocument(iter(requests), metadata=owner.metadata))
        assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, [field])


async def test_nothing_comes_into_a_base_that_was_archived_or_deleted_meanwhile(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id)
    archive, activate = bases.ArchiveKnowledgeBaseRequest(id=base_id), bases.ActivateKnowledgeBaseRequest(id=base_id)
    delete, restore = bases.DeleteKnowledgeBaseRequest(id=base_id), bases.RestoreKnowledgeBaseRequest(id=base_id)
    who = {"metadata": owner.metadata}

    await world.knowledge.ArchiveKnowledgeBase(archive, **who)
    archived = await refused(send(world, owner, started.id, DATA))
    others = [await refused(start(world, owner, base_id))]
    await world.knowledge.ActivateKnowledgeBase(activate, **who)
    await world.knowledge.DeleteKnowledgeBase(delete, **who)
    deleted = await refused(send(world, owner, started.id, b"", len(DATA)))
    await world.knowledge.RestoreKnowledgeBase(restore, **who)
    document = await send(world, owner, started.id, b"", len(DATA))

    assert {(one.code, one.reason) for one in (archived, *others)} == {
        (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_ARCHIVED")
    }
    assert (deleted.code, deleted.reason) == (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_DELETED")
    assert document.sha256 == _hash(DATA)


async def test_what_came_whole_and_was_refused_takes_no_more(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    await upload(world, owner, base_id, DATA)
    started = await start(world, owner, base_id)
    twin = await refused(send(world, owner, started.id, DATA))

    refusal = await refused(send(world, owner, started.id, b"and more", len(DATA)))

    assert (twin.code, twin.reason) == (Code.ALREADY_EXISTS, "DOCUMENT_EXISTS")
    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "UPLOAD_DIFFERS")


async def test_who_ends_an_upload_that_another_went_on_with_makes_no_document_of_it(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id)
    ends = [asyncio.Event(), asyncio.Event()]

    async def requests(offset: int, until: int, end: asyncio.Event) -> AsyncIterator[documents.UploadDocumentRequest]:
        yield documents.UploadDocumentRequest(place={"upload_id": started.id, "offset": offset})
        for at in range(offset, until, MIB):
            yield documents.UploadDocumentRequest(data=DATA[at : min(at + MIB, until)])
        await end.wait()

    async def sending(offset: int, until: int, end: asyncio.Event) -> Any:
        call = world.knowledge.UploadDocument(requests(offset, until, end), metadata=owner.metadata)
        async with asyncio.timeout(60):
            while (await get_upload(world, owner, started.id)).received < until // MIB * MIB:
                pass
        return call

    first = await sending(0, MIB, ends[0])
    second = await sending(MIB, len(DATA), ends[1])
    ends[0].set()
    refusal = await refused(first)
    ends[1].set()
    document = (await second).document

    assert (refusal.code, refusal.reason) == (Code.ABORTED, "UPLOAD_OFFSET_TAKEN")
    assert (document.size, document.sha256) == (len(DATA), _hash(DATA))


async def test_a_document_is_no_larger_than_the_server_allows(world: World, shared: Scratch) -> None:
    administrator = world.administrator
    settings = shared.settings(max_document_bytes=MIB + 9)
    async with (
        serving(settings) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        world = World(channel, administrator)
        owner = await world.tenant()
        base_id = await make_base(world, owner)
        unsaid = await start(world, owner, base_id)
        text = documents.IngestTextRequest(knowledge_base_id=base_id, text="x" * (MIB + 10))

        calls: list[Any] = [start(world, owner, base_id, size=MIB + 10), send(world, owner, unsaid.id, DATA)]
        calls += [start(world, owner, base_id, size=2**62)]
        calls += [world.knowledge.IngestText(text, metadata=owner.metadata)]
        refusals = [await refused(call) for call in calls]
        document = await upload(world, owner, base_id, DATA[: MIB + 9], size=MIB + 9)

    assert {(one.code, one.reason) for one in refusals} == {(Code.RESOURCE_EXHAUSTED, "UPLOAD_TOO_LARGE")}
    assert document.size == MIB + 9


async def test_no_more_than_so_many_uploads_of_a_tenant_are_under_way(world: World, shared: Scratch) -> None:
    owner, other = await world.tenant(), await world.tenant()
    base_id, others_base = await make_base(world, owner), await make_base(world, other)
    one = await start(world, owner, base_id)
    async with shared.connect() as admin:
        await admin.execute(
            "INSERT INTO document_blobs (tenant_id, knowledge_base_id, described, expires_at) "
            "SELECT tenant_id, knowledge_base_id, described, expires_at FROM document_blobs, generate_series(2, 200) "
            "WHERE id = $1",
            one.id,
        )

    refusal = await refused(start(world, owner, base_id))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_UPLOADS")
    await start(world, other, others_base)
    await send(world, owner, one.id, DATA)
    await start(world, owner, base_id)
