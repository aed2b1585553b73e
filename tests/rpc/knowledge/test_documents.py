"""Documents: what is told of them, changed, listed and counted, and what becomes of them."""

from __future__ import annotations

import hashlib
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from google.rpc import error_details_pb2

from atrium.audit.v1 import audit_log_pb2
from atrium.common.v1 import deleted_pb2
from atrium.knowledge.v1 import document_pb2 as documents
from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from server.kernel.json import MOST_DEPTH
from tests.factories.knowledge import (
    chunks_of,
    counts,
    get_document,
    ingest,
    make_base,
    platform_inside,
    processed,
    step,
    upload,
)
from tests.factories.nested import nested
from tests.factories.world import Person, World, refused

pytestmark = [pytest.mark.xdist_group("documents"), pytest.mark.asyncio(loop_scope="module")]

Code = grpc.StatusCode
PENDING, INDEXED, FAILED = (
    documents.Document.STATE_PENDING,
    documents.Document.STATE_INDEXED,
    documents.Document.STATE_FAILED,
)
INCLUDE, ONLY = deleted_pb2.DELETED_INCLUDE, deleted_pb2.DELETED_ONLY

PAPER = "# Tides\n\nThe moon pulls the sea.\n\n## Spring tides\n\nAt new moon the sun pulls with it.\n"


async def _indexed(world: World, owner: Person, base_id: str, text: str, **info: Any) -> Any:
    made = await ingest(world, owner, base_id, text, **info)
    (document,) = await processed(world, owner, made.id)
    assert document.state == INDEXED
    return document


async def _listed(world: World, person: Person, base_id: str, **fields: Any) -> list[str]:
    """The titles."""
    request = documents.ListDocumentsRequest(knowledge_base_id=base_id, **fields)
    return [one.title for one in (await world.knowledge.ListDocuments(request, metadata=person.metadata)).documents]


async def _update(world: World, person: Person, document_id: str, **fields: Any) -> Any:
    request = documents.UpdateDocumentRequest(id=document_id, **fields)
    return (await world.knowledge.UpdateDocument(request, metadata=person.metadata)).document


def _base(world: World, verb: str, base_id: str, metadata: Any) -> Any:
    request = getattr(bases, f"{verb}KnowledgeBaseRequest")(id=base_id)
    return getattr(world.knowledge, f"{verb}KnowledgeBase")(request, metadata=metadata)


def _struct(**fields: Any) -> Struct:
    made = Struct()
    made.update(fields)
    return made


async def test_a_text_becomes_chunks_with_their_places(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    made = await ingest(world, owner, base_id, PAPER, file_name="tides.md", metadata=_struct(year=2030))
    (document,) = await processed(world, owner, made.id)

    assert (made.state, document.state, document.error_message) == (PENDING, INDEXED, "")
    assert (document.media_type, document.title, document.version) == ("text/markdown", "Tides", "v1.0")
    assert document.sha256 == hashlib.sha256(PAPER.encode()).hexdigest()
    assert (document.source, document.uploaded_by) == (documents.Document.SOURCE_TEXT, owner.id)
    assert document.metadata == _struct(year=2030)
    assert document == await get_document(world, owner, made.id)
    chunks = await chunks_of(world, owner, made.id)
    assert [(chunk.index, chunk.heading, chunk.embedded, chunk.enabled) for chunk in chunks] == [
        (0, "Tides", True, True),
    ]
    assert await counts(world, owner, base_id) == (1, len(chunks), len(PAPER))


async def test_a_base_has_a_document_once(world: World) -> None:
    owner = await world.tenant()
    base_id, another = await make_base(world, owner), await make_base(world, owner, "another")
    made = await ingest(world, owner, base_id, PAPER)

    refusals = [
        await refused(ingest(world, owner, base_id, PAPER, title="Another")),
        await refused(upload(world, owner, base_id, PAPER.encode())),
    ]
    elsewhere = await ingest(world, owner, another, PAPER)

    for refusal in refusals:
        assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "DOCUMENT_EXISTS")
        assert refusal.detail(error_details_pb2.ErrorInfo).metadata["document_id"] == made.id
    assert elsewhere.id != made.id


async def test_a_deleted_document_comes_in_anew_and_is_not_restored_beside_it(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    old = await _indexed(world, owner, base_id, PAPER)
    await step(world, "Delete", old.id, owner.metadata)

    new = await _indexed(world, owner, base_id, PAPER)
    refusal = await refused(step(world, "Restore", old.id, owner.metadata))

    assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "DOCUMENT_EXISTS")
    assert refusal.detail(error_details_pb2.ErrorInfo).metadata["document_id"] == new.id
    await step(world, "Delete", new.id, owner.metadata)
    await step(world, "Restore", old.id, owner.metadata)
    assert await counts(world, owner, base_id) == (1, old.chunk_count, len(PAPER))


async def test_what_is_said_of_a_document_is_changed_and_cleared(world: World) -> None:
    owner = await world.tenant()
    editor = await world.user(owner, "knowledge_bases:manage")
    document = await _indexed(world, owner, await make_base(world, owner), PAPER, metadata=_struct(a=1))
    values = {"title": "On tides", "author": "Ada", "version": "v2", "metadata": _struct(b=[1, {"c": None}])}

    changed = await _update(world, editor, document.id, **values, etag=document.etag)
    stale = await refused(_update(world, owner, document.id, title="mine", etag=document.etag))
    cleared = await _update(
        world, owner, document.id, update_mask={"paths": ["title", "author", "metadata"]}, etag=changed.etag
    )
    version = await refused(_update(world, owner, document.id, update_mask={"paths": ["version"]}))

    assert {name: getattr(changed, name) for name in values} == values
    assert (stale.code, stale.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    assert not any(cleared.HasField(name) for name in ("title", "author", "metadata"))
    assert (cleared.version, cleared.state, cleared.chunk_count) == ("v2", INDEXED, document.chunk_count)
    assert (version.code, cleared) == (Code.INVALID_ARGUMENT, await get_document(world, owner, document.id))


async def test_metadata_is_held_to_8_kib_of_json(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    most, more = _struct(a="x" * (8_192 - len('{"a":""}'))), _struct(a="x" * 8_192)
    document = await ingest(world, owner, base_id, PAPER, metadata=most)

    changing = await refused(_update(world, owner, document.id, metadata=more))
    adding = await refused(ingest(world, owner, base_id, "another", metadata=more))
    wide = await refused(_update(world, owner, document.id, metadata=_struct(a="月" * 3_000)))
    endless = await refused(_update(world, owner, document.id, metadata=_struct(a=float("inf"))))

    assert document.metadata == most
    assert {one.code for one in (changing, adding, wide, endless)} == {Code.INVALID_ARGUMENT}
    assert (changing.fields, adding.fields, wide.fields) == (["metadata"], ["info.metadata"], ["metadata"])


async def test_a_list_is_of_one_state_or_content_and_goes_on_where_its_page_ended(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    made = [await ingest(world, owner, base_id, f"text {n}", title=f"t{n}") for n in range(3)]
    bad = await ingest(world, owner, base_id, " ", title="white")
    await processed(world, owner, *(one.id for one in (*made, bad)))
    gone = await _indexed(world, owner, base_id, "gone", title="gone")
    await step(world, "Delete", gone.id, owner.metadata)

    for fields, titles in (
        ({}, ["white", "t2", "t1", "t0"]),
        ({"state": INDEXED}, ["t2", "t1", "t0"]),
        ({"state": FAILED}, ["white"]),
        ({"state": PENDING}, []),
        ({"sha256": made[1].sha256}, ["t1"]),
        ({"sha256": made[1].sha256, "state": FAILED}, []),
        ({"sha256": gone.sha256}, []),
        ({"deleted": INCLUDE}, ["gone", "white", "t2", "t1", "t0"]),
        ({"deleted": ONLY}, ["gone"]),
    ):
        assert await _listed(world, owner, base_id, **fields) == titles, fields
    request = documents.ListDocumentsRequest(knowledge_base_id=base_id, page_size=3)
    first = await world.knowledge.ListDocuments(request, metadata=owner.metadata)
    request.page_token = first.next_page_token
    last = await world.knowledge.ListDocuments(request, metadata=owner.metadata)
    assert [one.title for page in (first, last) for one in page.documents] == ["white", "t2", "t1", "t0"]
    assert last.next_page_token == ""


async def test_a_base_counts_what_is_live_in_it(world: World) -> None:
    owner = await world.tenant()
    inside = await platform_inside(world, owner)
    base_id = await make_base(world, owner, chunk_size=32, chunk_overlap=0)
    text = "The moon pulls the sea, and the sea comes. " * 40
    first, second = [await _indexed(world, owner, base_id, text + end) for end in "ab"]
    one, size = first.chunk_count, len(text) + 1
    assert one > 10
    assert await counts(world, owner, base_id) == (2, 2 * one, 2 * size)

    await step(world, "Delete", first.id, owner.metadata)
    assert await counts(world, owner, base_id) == (1, one, size)
    await step(world, "Restore", first.id, owner.metadata)
    assert await counts(world, owner, base_id) == (2, 2 * one, 2 * size)
    change = bases.UpdateKnowledgeBaseRequest(id=base_id, chunk_size=512, chunk_overlap=0)
    await world.knowledge.UpdateKnowledgeBase(change, metadata=owner.metadata)
    await step(world, "Retry", first.id, owner.metadata)
    (again,) = await processed(world, owner, first.id)
    assert again.chunk_count < one
    assert await counts(world, owner, base_id) == (2, again.chunk_count + one, 2 * size)
    await step(world, "Delete", second.id, owner.metadata)
    await step(world, "Purge", second.id, inside)
    assert await counts(world, owner, base_id) == (1, again.chunk_count, size)


async def test_a_deleted_document_is_hidden_and_comes_back_as_it_was(world: World) -> None:
    owner = await world.tenant()
    document = await _indexed(world, owner, await make_base(world, owner), PAPER)
    chunks = await chunks_of(world, owner, document.id)
    stale = await refused(step(world, "Delete", document.id, owner.metadata, etag="stale"))
    await step(world, "Delete", document.id, owner.metadata, etag=document.etag)

    calls: list[Any] = [get_document(world, owner, document.id), _update(world, owner, document.id, title="mine")]
    calls += [step(world, verb, document.id, owner.metadata) for verb in ("Retry", "Delete")]
    calls += [chunks_of(world, owner, document.id), processed(world, owner, document.id)]
    calls += [_download(world, owner, document.id)]
    refusals = [await refused(call) for call in calls]
    hidden = await get_document(world, owner, document.id, deleted=INCLUDE)
    restored = (await step(world, "Restore", document.id, owner.metadata)).document

    assert (stale.code, stale.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    assert {(one.code, one.reason) for one in refusals} == {(Code.NOT_FOUND, "DOCUMENT_NOT_FOUND")}
    assert hidden.HasField("delete_time")
    assert not restored.HasField("delete_time")
    assert (restored.state, restored.chunk_count, restored.etag) == (INDEXED, document.chunk_count, document.etag)
    assert await chunks_of(world, owner, document.id) == chunks


async def test_a_live_document_is_neither_restored_nor_purged_and_a_purged_one_is_gone(world: World) -> None:
    owner = await world.tenant()
    inside = await platform_inside(world, owner)
    base_id = await make_base(world, owner)
    document = await _indexed(world, owner, base_id, PAPER)

    for verb in ("Restore", "Purge"):
        refusal = await refused(step(world, verb, document.id, inside))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "NOT_DELETED")
    await step(world, "Delete", document.id, owner.metadata)
    await step(world, "Purge", document.id, inside)
    assert await _listed(world, owner, base_id, deleted=INCLUDE) == []
    for verb in ("Restore", "Purge"):
        refusal = await refused(step(world, verb, document.id, inside))
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "DOCUMENT_NOT_FOUND")
    await _indexed(world, owner, base_id, PAPER)


async def test_documents_go_and_come_back_with_their_base(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    document = await _indexed(world, owner, base_id, PAPER)
    gone = await _indexed(world, owner, base_id, "gone")
    await step(world, "Delete", gone.id, owner.metadata)
    await _base(world, "Delete", base_id, owner.metadata)

    calls: list[Any] = [get_document(world, owner, document.id), _update(world, owner, document.id, title="mine")]
    calls += [step(world, verb, document.id, owner.metadata) for verb in ("Retry", "Delete")]
    calls += [chunks_of(world, owner, document.id), processed(world, owner, document.id)]
    calls += [_download(world, owner, document.id)]
    refusals = [await refused(call) for call in calls]
    adding = await refused(ingest(world, owner, base_id, "another"))
    restoring = await refused(step(world, "Restore", gone.id, owner.metadata))
    hidden = await get_document(world, owner, document.id, deleted=INCLUDE)
    await _base(world, "Restore", base_id, owner.metadata)

    assert {(one.code, one.reason) for one in refusals} == {(Code.NOT_FOUND, "DOCUMENT_NOT_FOUND")}
    for refusal in (adding, restoring):
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_DELETED")
    assert not hidden.HasField("delete_time")
    assert await get_document(world, owner, document.id) == document
    assert await counts(world, owner, base_id) == (1, document.chunk_count, len(PAPER))


async def test_nothing_is_added_or_processed_in_an_archived_base(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    document = await _indexed(world, owner, base_id, PAPER)
    await _base(world, "Archive", base_id, owner.metadata)

    calls: list[Any] = [ingest(world, owner, base_id, "another"), step(world, "Retry", document.id, owner.metadata)]
    refusals = [await refused(call) for call in calls]

    assert {(one.code, one.reason) for one in refusals} == {(Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_ARCHIVED")}
    assert await get_document(world, owner, document.id) == document


async def _download(world: World, person: Person, document_id: str, after_seq: int = 0) -> list[Any]:
    request = documents.DownloadDocumentRequest(id=document_id, after_seq=after_seq)
    return [part async for part in world.knowledge.DownloadDocument(request, metadata=person.metadata)]


@pytest.mark.parametrize("size", [1, 1_048_575, 1_048_576, 1_048_577, 2_621_440])
async def test_what_is_downloaded_is_what_was_uploaded(world: World, size: int) -> None:
    owner = await world.tenant()
    data = b"".join(b"%08d\n" % number for number in range(size // 9 + 1))[:size]
    made = await upload(world, owner, await make_base(world, owner), data, info={"file_name": "a.txt"})

    whole = await _download(world, owner, made.id)

    assert b"".join(part.data for part in whole) == data
    assert [part.seq for part in whole] == list(range(1, len(whole) + 1))
    assert [part.HasField("ended") for part in whole] == [False] * (len(whole) - 1) + [True]
    for after in range(1, len(whole)):
        assert await _download(world, owner, made.id, after) == whole[after:]


@pytest.mark.parametrize("after_seq", [1, 5, 2**31, 2**63 - 1])
async def test_behind_its_end_a_download_has_nothing_but_its_end(world: World, after_seq: int) -> None:
    owner = await world.tenant()
    made = await ingest(world, owner, await make_base(world, owner), PAPER)

    parts = await _download(world, owner, made.id, after_seq)

    assert [(part.seq, part.HasField("ended")) for part in parts] == [(2, True)]


async def test_a_document_that_is_purged_while_it_is_downloaded_is_not_told_as_whole(world: World) -> None:
    owner = await world.tenant()
    inside = await platform_inside(world, owner)
    data = b"".join(b"%08d\n" % number for number in range(2_000_000))
    made = await upload(world, owner, await make_base(world, owner), data, info={"file_name": "a.txt"})
    stream = world.knowledge.DownloadDocument(documents.DownloadDocumentRequest(id=made.id), metadata=owner.metadata)
    parts = aiter(stream)
    await anext(parts)
    await step(world, "Delete", made.id, owner.metadata)
    await step(world, "Purge", made.id, inside)

    refusal = await refused(parts)

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "DOCUMENT_NOT_FOUND")


async def test_what_is_noted_of_a_document_can_be_told(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    refusal = await refused(ingest(world, owner, base_id, PAPER, metadata=nested(MOST_DEPTH + 1)))
    await ingest(world, owner, base_id, PAPER, metadata=nested(MOST_DEPTH))
    logs = (await world.audit.ListAuditLogs(audit_log_pb2.ListAuditLogsRequest(), metadata=owner.metadata)).audit_logs

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["info.metadata"])
    assert any(log.action == "documents.create" for log in logs)


async def test_a_page_of_documents_of_which_much_is_noted_is_one_that_a_client_takes(world: World) -> None:
    owner = await world.tenant()
    base_id, texts = await make_base(world, owner), [f"Text {number}" for number in range(80)]
    for text in texts:
        await ingest(world, owner, base_id, text, metadata={"note": "x" * 8_000})

    sizes, token = [], ""
    while True:
        request = documents.ListDocumentsRequest(knowledge_base_id=base_id, page_size=1000, page_token=token)
        page = await world.knowledge.ListDocuments(request, metadata=owner.metadata)
        sizes.append(len(page.documents))
        if not (token := page.next_page_token):
            break

    assert sum(sizes) == len(texts)
    assert len(sizes) == 2
