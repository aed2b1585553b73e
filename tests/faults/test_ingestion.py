"""Documents whose processing meets what can fail: workers that are killed, providers that are away, limits, and tenants
that are suspended or gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from atrium.errors.v1 import error_reason_pb2
from atrium.knowledge.v1 import document_pb2 as documents
from atrium.model.v1 import call_log_pb2, model_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from server.db.database import Database
from server.jobs.backlog import Backlog
from server.jobs.reconcile import reconcile
from tests.databases import Scratch
from tests.factories.knowledge import (
    WORDS_ASTRAY,
    chunks_of,
    counts,
    get_document,
    ingest,
    make_base,
    processed,
    reindex,
    reindexed,
    step,
)
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.processes import atrium, environment
from tests.servers import serving

pytestmark = pytest.mark.xdist_group("ingestion")

INDEXED, FAILED = documents.Document.STATE_INDEXED, documents.Document.STATE_FAILED
NOT_FOR_EVER = 60.0
LONG = "".join(f"Sentence {number} is about the tides and about the moon.\n\n" for number in range(900))
"""Several batches of chunks, where these are small."""


@asynccontextmanager
async def _served(scratch: Scratch, stub: OpenAIStub, **settings: Any) -> AsyncIterator[World]:
    own = scratch.settings(provider_keys={stub.base_url: SecretStr("")}, **settings)
    async with serving(own) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield World(channel, await app.founding.first_platform_administrator() or ("", ""))


@pytest.fixture
async def world(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """A server that processes documents, with the stub behind it."""
    async with _served(scratch, stub) as made:
        yield made


async def _base(world: World, stub: OpenAIStub, person: Person, model: str, **fields: Any) -> str:
    """A base whose chunks the stub's model embeds."""
    embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "dimensions": 8, "supports_streaming": False}
    await make_model(world, stub.base_url, model, **embeds)
    return await make_base(world, person, embedding_model=model, **fields)


async def _until(admin: Any, query: str, *arguments: Any) -> None:
    async with asyncio.timeout(NOT_FOR_EVER):
        while not await admin.fetchval(query, *arguments):  # noqa: ASYNC110 - what it waits for is in the database
            await asyncio.sleep(0.01)


async def _arrivals(stub: OpenAIStub, count: int) -> None:
    async with asyncio.timeout(NOT_FOR_EVER):
        for _ in range(count):
            await stub.arrival()


async def _limit(world: World, person: Person, **fields: Any) -> None:
    """Has the person's tenant be limited to that."""
    platform = await world.platform()
    request = tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=person.tenant_id, **fields)
    await world.tenants.UpdateTenantConfig(request, metadata=platform.metadata)


SET_BACK = "SELECT max(failed_runs) > 0 FROM tenant_jobs WHERE entrypoint = 'ingest/1'"


async def test_a_worker_that_is_killed_leaves_its_document_to_another(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""}, smtp_url=None)
    async with _served(scratch, stub, worker=False) as world:
        owner = await world.tenant()
        base_id = await _base(world, stub, owner, "stub-embed-hang-2", chunk_size=32, chunk_overlap=0)
        made = await ingest(world, owner, base_id, LONG)
        async with atrium(variables, "worker") as killed:
            await _arrivals(stub, 2)  # its first batch is in the database, and the next never answered
            os.kill(killed.pid, signal.SIGKILL)
            await killed.end()
        half = await admin.fetchval("SELECT count(*) FROM knowledge_chunks")

        async with atrium(variables, "worker"):
            (document,) = await processed(world, owner, made.id)

        assert (half, document.state) == (256, INDEXED)
        chunks = await chunks_of(world, owner, made.id)
        assert [chunk.index for chunk in chunks] == list(range(document.chunk_count))
        assert len(chunks) > 512
        assert [await counts(world, owner, base_id)] == [(1, len(chunks), len(LONG))]
        await _until(admin, "SELECT count(*) = $1 FROM knowledge_chunks", len(chunks))
        asked = [text for exchange in stub.exchanges for text in exchange.body["input"]]
        assert len(asked) == len({*asked}) + 256, "what is embedded already is not asked for again"


async def test_a_worker_that_is_killed_leaves_its_reindex_to_another(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""}, smtp_url=None)
    async with _served(scratch, stub, worker=False) as world:
        owner = await world.tenant()
        base_id = await make_base(world, owner, chunk_size=32, chunk_overlap=0)
        async with atrium(variables, "worker"):
            made = await ingest(world, owner, base_id, LONG)
            (before,) = await processed(world, owner, made.id)
        embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "dimensions": 8, "supports_streaming": False}
        await make_model(world, stub.base_url, "stub-embed-hang-2", **embeds)
        await reindex(world, owner, base_id, embedding_model="stub-embed-hang-2")
        async with atrium(variables, "worker") as killed:
            await _arrivals(stub, 2)  # its first batch is in the database, and the next never answered
            os.kill(killed.pid, signal.SIGKILL)
            await killed.end()
        half = await admin.fetchval("SELECT count(*) FROM knowledge_chunks WHERE generation = 2")

        async with atrium(variables, "worker"):
            base = await reindexed(world, owner, base_id)

        assert (half, base.generation, base.embedding_model) == (256, 2, "stub-embed-hang-2")
        chunks = await chunks_of(world, owner, made.id)
        assert [chunk.index for chunk in chunks] == list(range(before.chunk_count))
        assert {chunk.embedding_model for chunk in chunks} == {"stub-embed-hang-2"}
        assert await counts(world, owner, base_id) == (1, len(chunks), len(LONG))
        assert await admin.fetch(WORDS_ASTRAY, base_id) == []
        assert await admin.fetchval("SELECT count(*) FROM knowledge_chunks") == 2 * len(chunks)


async def test_a_provider_that_is_away_is_asked_again(world: World, stub: OpenAIStub, admin: Any) -> None:
    owner = await world.tenant()
    base_id = await _base(world, stub, owner, "stub-embed-away-3")

    made = await ingest(world, owner, base_id, "The moon pulls the sea.")
    (document,) = await processed(world, owner, made.id)

    assert (document.state, document.chunk_count, document.error_message) == (INDEXED, 1, "")
    assert [chunk.embedded for chunk in await chunks_of(world, owner, made.id)] == [True]
    assert len(stub.exchanges) == 4


async def test_a_provider_that_refuses_for_good_fails_the_document(world: World, stub: OpenAIStub) -> None:
    owner = await world.tenant()
    base_id = await _base(world, stub, owner, "stub-401")

    made = await ingest(world, owner, base_id, "The moon pulls the sea.")
    (document,) = await processed(world, owner, made.id)

    assert document.state == FAILED
    assert document.error_reason == error_reason_pb2.ERROR_REASON_MODEL_CREDENTIAL_REFUSED
    assert await counts(world, owner, base_id) == (1, 0, 23)


async def test_a_tenants_limit_has_its_documents_wait(world: World, stub: OpenAIStub, admin: Any) -> None:
    owner = await world.tenant()
    base_id = await _base(world, stub, owner, "stub-embed-8")
    await _limit(world, owner, requests_per_minute=0)

    made = await ingest(world, owner, base_id, "The moon pulls the sea.")
    await _until(admin, SET_BACK)
    waiting = await get_document(world, owner, made.id)
    await _limit(world, owner, update_mask={"paths": ["requests_per_minute"]})
    (document,) = await processed(world, owner, made.id)

    assert waiting.state == documents.Document.STATE_PROCESSING
    assert (document.state, document.error_message) == (INDEXED, "")


async def test_a_document_that_is_being_processed_is_not_retried(world: World, stub: OpenAIStub) -> None:
    owner = await world.tenant()
    base_id = await _base(world, stub, owner, "stub-embed-hang-1")
    made = await ingest(world, owner, base_id, "The moon pulls the sea.")
    await _arrivals(stub, 1)

    refusal = await refused(step(world, "Retry", made.id, owner.metadata))
    await step(world, "Delete", made.id, owner.metadata)
    await step(world, "Restore", made.id, owner.metadata)
    (document,) = await processed(world, owner, made.id)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DOCUMENT_BUSY")
    assert (document.state, document.chunk_count) == (INDEXED, 1)
    assert await counts(world, owner, base_id) == (1, 1, 23)


async def test_the_documents_of_a_suspended_tenant_wait_until_it_is_active(
    world: World, stub: OpenAIStub, scratch: Scratch, admin: Any
) -> None:
    owner, platform = await world.tenant(), await world.platform()
    base_id = await _base(world, stub, owner, "stub-embed-8")
    hold = "INSERT INTO tenant_slots VALUES ($1, 1000) ON CONFLICT (tenant_id) DO UPDATE SET admitted = 1000"
    await admin.execute(hold, owner.tenant_id)
    made = await ingest(world, owner, base_id, "The moon pulls the sea.")
    suspend = tenant_pb2.SuspendTenantRequest(id=owner.tenant_id)
    await world.tenants.SuspendTenant(suspend, metadata=platform.metadata)

    await admin.execute("UPDATE tenant_slots SET admitted = 0")
    await _reconcile(scratch)
    await _until(admin, SET_BACK)
    asked = list(stub.exchanges)
    activate = tenant_pb2.ActivateTenantRequest(id=owner.tenant_id)
    await world.tenants.ActivateTenant(activate, metadata=platform.metadata)
    again = await world.sign_in(owner.tenant, "admin")
    (document,) = await processed(world, again, made.id)

    assert (asked, document.state) == ([], INDEXED)


async def _reconcile(scratch: Scratch) -> None:
    """What waits is let into the queue, as every five minutes."""
    async with Database.open(scratch.settings()) as database:
        await reconcile(database, Backlog(10))


async def test_what_is_used_for_a_document_is_on_record_with_who_added_it(world: World, stub: OpenAIStub) -> None:
    owner = await world.tenant()
    person = await world.user(owner, "knowledge_bases:manage")
    base_id = await _base(world, stub, owner, "stub-embed-8")
    trace_id = "5e" * 16
    sent = (("traceparent", f"00-{trace_id}-{'cd' * 8}-01"), ("x-request-id", "adding-7"))
    request = documents.IngestTextRequest(knowledge_base_id=base_id, text="The moon pulls the sea.")

    made = (await world.knowledge.IngestText(request, metadata=(*person.metadata, *sent))).document
    await processed(world, owner, made.id)

    logs = call_log_pb2.ListCallLogsRequest(trace_id=trace_id)
    (log,) = (await world.models.ListCallLogs(logs, metadata=owner.metadata)).call_logs
    assert (log.user_id, log.request_id, log.trace_id) == (person.id, "adding-7", trace_id)
    assert stub.exchanges[0].headers["traceparent"].split("-")[1] == trace_id


async def test_a_tenant_that_is_purged_in_the_middle_leaves_nothing(world: World, stub: OpenAIStub, admin: Any) -> None:
    owner, platform = await world.tenant(), await world.platform()
    base_id = await _base(world, stub, owner, "stub-embed-hang-2", chunk_size=32, chunk_overlap=0)
    await ingest(world, owner, base_id, LONG)
    await _arrivals(stub, 2)
    who = {"metadata": platform.metadata}

    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(id=owner.tenant_id), **who)
    await world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(id=owner.tenant_id), **who)

    for table in (
        "knowledge_bases",
        "knowledge_documents",
        "document_blobs",
        "document_blob_parts",
        "knowledge_chunks",
    ):
        assert await admin.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    other = await world.tenant()
    made = await ingest(world, other, await make_base(world, other), "The sun pulls too.")
    assert (await processed(world, other, made.id))[0].state == INDEXED
