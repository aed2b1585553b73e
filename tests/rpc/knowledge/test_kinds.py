"""Documents of each type that is read, through the whole server; and those that are not read."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from atrium.audit.v1 import audit_log_pb2
from atrium.errors.v1 import error_reason_pb2
from atrium.knowledge.v1 import document_pb2 as documents
from tests.factories.knowledge import chunks_of, counts, make_base, processed, send, start, step, upload
from tests.factories.world import World, refused
from tests.unit.knowledge.documents import PAGE, draws, pdf, word, writes

pytestmark = [pytest.mark.xdist_group("documents-kinds"), pytest.mark.asyncio(loop_scope="module")]

Code = grpc.StatusCode
INDEXED, FAILED = documents.Document.STATE_INDEXED, documents.Document.STATE_FAILED
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

PDF = pdf(writes("The moon pulls the sea.", "Tides"), writes("The sun pulls with it.", "Spring tides", 1))
MARKDOWN = b"# Tides\n\nThe moon.\n\n## Spring tides\n\nThe sun."

READ = {
    # what: file name, bytes, type, title, author, page and heading of the first chunk, a part of the text
    "text": ("tides.txt", b"The moon pulls the sea.", "text/plain", "", "", None, "", "moon pulls"),
    "Markdown": ("tides.md", MARKDOWN, "text/markdown", "Tides", "", None, "Tides", "The sun."),
    "HTML": ("page.html", PAGE.encode(), "text/html", "Horns & more", "Ada", None, "Horns", "Hello world"),
    "PDF": ("tides.pdf", PDF, "application/pdf", "On horns", "Ada", 1, "Tides", "moon pulls"),
    "Word": ("horns.docx", word(), DOCX, "On horns", "Ada", None, "Horns", "中文段落"),
    "CSV": ("tides.csv", b"place,height\nBrest,6.1\n", "text/csv", "", "", None, "", "Brest,6.1"),
    "GB18030": (
        "潮汐.txt",
        "月亮吸引海水，太阳也一样。".encode("gb18030"),
        "text/plain",
        "",
        "",
        None,
        "",
        "月亮吸引海水",
    ),
}


@pytest.mark.parametrize("what", READ)
async def test_a_document_is_read_for_what_it_is(world: World, what: str) -> None:
    name, data, media_type, title, author, page, heading, part = READ[what]
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    made = await upload(world, owner, base_id, data, info={"file_name": name}, size=len(data))
    (document,) = await processed(world, owner, made.id)

    assert (document.state, document.error_message) == (INDEXED, "")
    assert (document.media_type, document.title, document.author) == (media_type, title, author)
    assert (document.file_name, document.size, document.uploaded_by) == (name, len(data), owner.id)
    chunks = await chunks_of(world, owner, made.id)
    first = chunks[0]
    assert (first.page if first.HasField("page") else None, first.heading) == (page, heading)
    assert part in " ".join(chunk.content for chunk in chunks)
    assert all(chunk.embedded and chunk.enabled and chunk.token_count > 0 for chunk in chunks)
    assert await counts(world, owner, base_id) == (1, len(chunks), len(data))


async def test_pages_and_headings_are_told_where_chunks_begin(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner, chunk_size=32, chunk_overlap=0)
    pages = [writes(f"On page {number} we read of the tides. " * 20, f"Part {number}") for number in range(1, 4)]
    data = pdf(*pages)

    made = await upload(world, owner, base_id, data, info={"file_name": "parts.pdf"})
    await processed(world, owner, made.id)

    chunks = await chunks_of(world, owner, made.id)
    assert {chunk.page for chunk in chunks} == {1, 2, 3}
    for chunk in chunks:
        if f"On page {chunk.page}" in chunk.content:
            assert chunk.heading == f"Part {chunk.page}"


async def test_what_is_given_goes_before_what_is_found(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    info = {"file_name": "horns.docx", "title": "Mine", "author": "Me", "version": "v7", "media_type": "text/plain"}

    made = await upload(world, owner, base_id, word(), info=info)
    (document,) = await processed(world, owner, made.id)

    assert (document.title, document.author, document.version, document.media_type) == ("Mine", "Me", "v7", DOCX)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n" + bytes(range(200)), b"\x00\x01\x02" * 99])
async def test_what_is_no_document_is_refused_at_once(world: World, data: bytes) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    refusal = await refused(upload(world, owner, base_id, data, info={"file_name": "tides.txt"}))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "DOCUMENT_TYPE_UNSUPPORTED")
    assert await counts(world, owner, base_id) == (0, 0, 0)


UNREAD: dict[str, tuple[str, bytes, str]] = {
    "encrypted": ("a.pdf", pdf(writes("secret"), password="x"), "DOCUMENT_ENCRYPTED"),
    "without text": ("a.pdf", pdf(draws), "DOCUMENT_WITHOUT_TEXT"),
    "white": ("a.txt", b" \n\t ", "DOCUMENT_WITHOUT_TEXT"),
    "cut": ("a.pdf", PDF[: len(PDF) // 3], "DOCUMENT_UNREADABLE"),
}


@pytest.mark.parametrize("what", UNREAD)
async def test_a_document_that_cannot_be_read_fails_with_its_reason(world: World, what: str) -> None:
    name, data, reason = UNREAD[what]
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    made = await upload(world, owner, base_id, data, info={"file_name": name})
    (document,) = await processed(world, owner, made.id)
    retried = (await step(world, "Retry", made.id, owner.metadata)).document
    (again,) = await processed(world, owner, made.id)

    assert document.state == again.state == FAILED
    assert document.error_reason == error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert document.error_message == again.error_message != ""
    assert document.HasField("process_time")
    assert (retried.state, retried.error_message) == (documents.Document.STATE_PENDING, "")
    assert await chunks_of(world, owner, made.id) == []
    assert await counts(world, owner, base_id) == (1, 0, len(data))
    logs = await _logs(world, owner, made.id)
    failure = (audit_log_pb2.AuditLog.STATUS_FAILURE, document.error_reason, owner.id)
    assert [(log.status, log.error_reason, log.user_id) for log in logs] == [failure] * 2


async def _logs(world: World, owner: Any, document_id: str) -> list[Any]:
    wanted = {"resource_type": "document", "resource_id": document_id, "action": "documents.process"}
    request = audit_log_pb2.ListAuditLogsRequest(filter=wanted)
    return list((await world.audit.ListAuditLogs(request, metadata=owner.metadata)).audit_logs)


async def test_an_empty_file_is_no_document(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    started = await start(world, owner, base_id, info={"file_name": "a.txt"})

    made = await send(world, owner, started.id, b"")
    (document,) = await processed(world, owner, made.id)

    assert document.state == FAILED
    assert document.error_reason == error_reason_pb2.ERROR_REASON_DOCUMENT_WITHOUT_TEXT
