"""Documents that are fetched from an address: what becomes of them, and of what cannot be fetched."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from atrium.errors.v1 import error_reason_pb2
from atrium.knowledge.v1 import document_pb2 as documents
from tests.databases import Cluster, Scratch
from tests.factories.knowledge import (
    chunks_of,
    counts,
    get_document,
    ingest,
    ingest_url,
    make_base,
    original,
    processed,
    reindex,
    reindexed,
    step,
    step_base,
)
from tests.factories.searches import TEXT, found
from tests.factories.world import Person, World, refused
from tests.fakes.web import WebStub, endless, page
from tests.servers import serving

pytestmark = [pytest.mark.xdist_group("documents-urls"), pytest.mark.asyncio(loop_scope="module")]

Code = grpc.StatusCode
INDEXED, FAILED = documents.Document.STATE_INDEXED, documents.Document.STATE_FAILED
MOST = 2_000_000
PAGE = b"<html><head><title>Tides</title></head><body><p>The moon pulls the sea.</p></body></html>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web() -> AsyncIterator[WebStub]:
    async with WebStub() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(postgres: Cluster) -> AsyncIterator[World]:
    """A server that fetches from this machine too."""
    async with (
        postgres.clone() as scratch,
        serving(scratch.settings(private_model_addresses=True, max_document_bytes=MOST)) as (app, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield World(channel, await app.founding.first_platform_administrator() or ("", ""))


async def _base(world: World) -> tuple[Person, str]:
    owner = await world.tenant()
    return owner, await make_base(world, owner)


async def _fetched(world: World, owner: Person, base_id: str, url: str, **info: Any) -> Any:
    (document,) = await processed(world, owner, (await ingest_url(world, owner, base_id, url, **info)).id)
    return document


async def test_a_page_is_fetched_read_and_kept(world: World, web: WebStub) -> None:
    owner, base_id = await _base(world)
    web.pages["/tides.html"] = page(gzip.compress(PAGE), "text/html", content_encoding="gzip")

    made = await ingest_url(world, owner, base_id, web.url("/tides.html"))
    (document,) = await processed(world, owner, made.id)

    assert (made.source, made.source_uri) == (documents.Document.SOURCE_URL, web.url("/tides.html"))
    assert (made.size, made.media_type, made.sha256) == (0, "", "")
    assert (document.state, document.title, document.file_name) == (INDEXED, "Tides", "tides.html")
    assert (document.size, document.media_type) == (len(PAGE), "text/html")
    assert document.sha256 == hashlib.sha256(PAGE).hexdigest()
    assert document.source_uri == web.url("/tides.html")
    assert await original(world, owner, document.id) == PAGE
    assert await counts(world, owner, base_id) == (1, 1, len(PAGE))
    assert await found(world, owner, base_id, "moon", mode=TEXT) == ["The moon pulls the sea."]


async def test_what_its_people_say_comes_before_what_its_server_says(world: World, web: WebStub) -> None:
    owner, base_id = await _base(world)
    web.pages["/download"] = page(
        b"# Tides\n\nThe moon.", "text/plain", content_disposition='attachment; filename="x.txt"'
    )

    document = await _fetched(world, owner, base_id, web.url("/download"), title="Mine", file_name="tides.md")

    assert (document.title, document.file_name, document.media_type) == ("Mine", "tides.md", "text/markdown")


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
async def test_it_is_read_in_the_charset_that_its_server_says(world: World, web: WebStub, kind: str) -> None:
    owner, base_id = await _base(world)
    text = "Kůň žluťoučký"
    web.pages["/horse"] = page(text.encode("iso8859-2"), f'{kind}; charset="ISO-8859-2"')

    document = await _fetched(world, owner, base_id, web.url("/horse"))
    fetched = await chunks_of(world, owner, document.id)
    await reindex(world, owner, base_id, chunk_size=64)
    await reindexed(world, owner, base_id)

    assert document.media_type == kind
    assert [chunk.content for chunk in fetched] == [text]
    assert [chunk.content for chunk in await chunks_of(world, owner, document.id)] == [text]


@pytest.mark.parametrize(
    ("path", "reason", "message"),
    [
        ("/none", "DOCUMENT_NOT_FETCHED", "its server answers with status 404"),
        ("/large", "DOCUMENT_NOT_FETCHED", f"it has more than {MOST} bytes"),
        ("/bomb", "DOCUMENT_NOT_FETCHED", f"it has more than {MOST} bytes"),
        ("/picture", "DOCUMENT_TYPE_UNSUPPORTED", "image/png"),
        ("/script", "DOCUMENT_TYPE_UNSUPPORTED", "application/javascript"),
        ("/blank", "DOCUMENT_WITHOUT_TEXT", "no text"),
    ],
)
async def test_what_cannot_be_fetched_or_read_has_failed_and_says_why(
    world: World, web: WebStub, path: str, reason: str, message: str
) -> None:
    owner, base_id = await _base(world)
    web.pages |= {
        "/large": endless(b"x", b"x" * 65_536),
        "/bomb": page(gzip.compress(bytes(100_000_000)), content_encoding="gzip"),
        "/picture": endless(b"\x89PNG\r\n\x1a\n", b"x" * 65_536),
        "/script": page(b"alert('all')", "application/javascript"),
        "/blank": page(b"   "),
    }

    document = await _fetched(world, owner, base_id, web.url(path))

    assert document.state == FAILED
    assert error_reason_pb2.ErrorReason.Name(document.error_reason) == f"ERROR_REASON_{reason}"
    assert message in document.error_message


async def test_the_same_document_is_taken_once_from_whatever_address(world: World, web: WebStub) -> None:
    owner, base_id = await _base(world)
    known = await ingest(world, owner, base_id, "The moon pulls the sea.")
    web.pages["/same"] = page(b"The moon pulls the sea.")

    document = await _fetched(world, owner, base_id, web.url("/same"))

    assert (document.state, document.error_reason) == (FAILED, error_reason_pb2.ERROR_REASON_DOCUMENT_EXISTS)
    assert known.id in document.error_message
    await step(world, "Delete", known.id, owner.metadata)
    await step(world, "Retry", document.id, owner.metadata)
    (again,) = await processed(world, owner, document.id)
    assert (again.state, again.error_message) == (INDEXED, "")


async def test_a_retry_fetches_anew_and_what_was_found_stays_until_that_is_done(world: World, web: WebStub) -> None:
    owner, base_id = await _base(world)
    web.pages["/news"] = page(b"Old news")
    document = await _fetched(world, owner, base_id, web.url("/news"))
    web.pages["/news"] = page(b"", status="503 Away")

    await step(world, "Retry", document.id, owner.metadata)
    (failed,) = await processed(world, owner, document.id)
    meanwhile = await found(world, owner, base_id, "news", mode=TEXT), await original(world, owner, document.id)
    web.pages["/news"] = page(b"Brand new news, and more of it")
    await step(world, "Retry", document.id, owner.metadata)
    (again,) = await processed(world, owner, document.id)

    assert (failed.state, failed.chunk_count) == (FAILED, 1)
    assert meanwhile == (["Old news"], b"Old news")
    assert (again.state, again.size) == (INDEXED, 30)
    assert await original(world, owner, document.id) == b"Brand new news, and more of it"
    assert await found(world, owner, base_id, "news", mode=TEXT) == ["Brand new news, and more of it"]
    assert await counts(world, owner, base_id) == (1, 1, 30)


async def test_a_document_of_an_address_is_built_anew_from_what_was_fetched(world: World, web: WebStub) -> None:
    owner, base_id = await _base(world)
    web.pages["/gone"] = page(b"The moon pulls the sea.")
    document = await _fetched(world, owner, base_id, web.url("/gone"))
    del web.pages["/gone"]

    await reindex(world, owner, base_id, chunk_size=64)
    base = await reindexed(world, owner, base_id)

    assert (base.generation, base.chunk_count) == (2, 1)
    assert (await get_document(world, owner, document.id)).state == INDEXED


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://ada:secret@example.com/", "http:///"])
async def test_what_is_no_address_to_fetch_from_is_refused_at_once(world: World, url: str) -> None:
    owner, base_id = await _base(world)

    refusal = await refused(ingest_url(world, owner, base_id, url))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "DOCUMENT_URL_REFUSED")
    assert await counts(world, owner, base_id) == (0, 0, 0)


async def test_an_archived_base_takes_none(world: World) -> None:
    owner, base_id = await _base(world)
    await step_base(world, "Archive", base_id, owner.metadata)

    refusal = await refused(ingest_url(world, owner, base_id, "http://example.com/"))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_ARCHIVED")


async def test_no_tenant_reaches_into_the_servers_network(scratch: Scratch, web: WebStub) -> None:
    async with (
        serving(scratch.settings()) as (app, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        guarded = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        owner, base_id = await _base(guarded)
        before = len(web.asked)

        refusals = [
            await refused(ingest_url(guarded, owner, base_id, f"http://{host}:{web.port}/"))
            for host in ("127.0.0.1", "localhost", "169.254.169.254", "[::1]")
        ]
        nowhere = await _fetched(guarded, owner, base_id, "http://nobody.invalid/")

    assert {(one.code, one.reason) for one in refusals} == {(Code.INVALID_ARGUMENT, "DOCUMENT_URL_REFUSED")}
    assert nowhere.error_message == "The document could not be fetched: its host is not known."
    assert len(web.asked) == before
