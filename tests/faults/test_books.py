"""Calls whose record cannot be written when they end: made up for, and nothing held for ever."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import grpc
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from atrium.model.v1 import chat_pb2, stream_pb2
from atrium.tenant.v1 import tenant_config_pb2
from server.audit.service.log import AuditLog
from server.db.database import Database
from server.kernel.errors import DatabaseUnavailable
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.tasks import Background
from server.llm.port import Message
from server.model.domain import MOST_COST
from server.model.holds import NO_HOLD, Settlement
from server.model.ledger import Ledger
from server.model.limits import Claim, Window
from server.model.service.books import Books, Content, Entry
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.records import make_record
from tests.factories.world import Person, World
from tests.fakes.openai_stub import OpenAIStub
from tests.processes import atrium, environment
from tests.servers import serving

NOT_FOR_EVER = 30.0
HELLO = [chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")]
MONTH = Window("month", datetime(2030, 1, 1, tzinfo=UTC), "tenant", "tokens")
OK = grpc.StatusCode.OK


@asynccontextmanager
async def _cut(scratch: Scratch) -> AsyncIterator[None]:
    """Within, nobody is connected to the database, and nobody gets in."""
    async with scratch.connect() as admin:
        name = await admin.fetchval("SELECT quote_ident(current_database())")
        await admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = 'atrium_app'"
        )
        try:
            yield
        finally:
            await admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")


async def _register(world: World, stub: OpenAIStub, *names: str) -> None:
    for name in names:
        await make_model(world, stub.base_url, name, usd=1)


async def _one_at_once(world: World, person: Person) -> None:
    platform = await world.platform()
    request = tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=person.tenant_id, max_parallel_calls=1)
    await world.tenants.UpdateTenantConfig(request, metadata=platform.metadata)


def _stream(world: World, person: Person, name: str) -> Any:
    return world.models.StreamChat(stream_pb2.StreamChatRequest(model=name, messages=HELLO), metadata=person.metadata)


def _chat(world: World, person: Person, name: str) -> Any:
    return world.models.Chat(chat_pb2.ChatRequest(model=name, messages=HELLO), metadata=person.metadata)


async def _until_answered(world: World, person: Person, name: str) -> None:
    async with asyncio.timeout(NOT_FOR_EVER):
        while await _chat(world, person, name).code() is not OK:
            pass


async def test_a_call_that_ends_while_the_database_is_away_is_written_down_and_frees_its_place_when_it_is_back(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")})
    async with serving(settings) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        await _register(world, stub, "stub-held-100", "stub-fast-3")
        ann = await world.tenant()
        await _one_at_once(world, ann)
        stream = _stream(world, ann, "stub-held-100")
        assert (await stream.read()).HasField("started")
        exchange = await stub.arrival()

        async with _cut(scratch):
            exchange.go_on.set()
            with suppress(grpc.aio.AioRpcError):
                while await stream.read() is not grpc.aio.EOF:
                    pass
            code = await stream.code()

        await _until_answered(world, ann, "stub-fast-3")
    assert code is grpc.StatusCode.UNAVAILABLE
    rows = await admin.fetch("SELECT status, completion_tokens FROM model_call_logs ORDER BY id")
    assert [tuple(row) for row in rows] == [("success", 100), ("success", 3)]
    assert not await admin.fetchval("SELECT count(*) FROM quota_holds")


async def test_what_a_killed_server_held_ends_by_itself(scratch: Scratch, stub: OpenAIStub, admin: Any) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""}, reservation_seconds=30)
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")})
    async with serving(settings) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        await _register(world, stub, "stub-silent", "stub-fast-3")
        ann = await world.tenant()
        await _one_at_once(world, ann)
        async with (
            atrium(variables) as process,
            grpc.aio.insecure_channel(f"127.0.0.1:{await process.port()}") as other,
        ):
            call = _stream(World(other, ("", "")), ann, "stub-silent")
            await stub.arrival()
            refused = await _chat(world, ann, "stub-fast-3").code()

            for server in process.servers():
                server.kill()
            process.send(signal.SIGKILL)
            await process.end()
            # As if its time had passed.
            shifted = "UPDATE quota_holds SET expires_at = expires_at - interval '30 seconds' RETURNING expires_at"
            assert await admin.fetchval(f"WITH shifted AS ({shifted}) SELECT max(expires_at) <= now() FROM shifted")

            await _until_answered(world, ann, "stub-fast-3")
            call.cancel()
    assert refused is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
async def model_id(admin: Any) -> UUID:
    made = uuid7()
    await admin.execute(
        "INSERT INTO models (id, name, provider, model_type) VALUES ($1, 'written', 'custom', 'chat')", made
    )
    return made


async def test_calls_that_are_entered_again_count_once(
    database: Database, background: Background, admin: Any, model_id: UUID
) -> None:
    ledger = Ledger(database, AuditLog(database), background)
    hold = await ledger.reserve(PLATFORM_TENANT_ID, [Claim(MONTH, Decimal(8), Decimal(8))])
    settlements = [
        Settlement(hold, 7, Decimal("0.5"), [make_record(model_id=model_id)]),
        Settlement(NO_HOLD, 0, Decimal(0)),
    ]

    for _ in range(3):
        await ledger.enter(PLATFORM_TENANT_ID, settlements)

    assert await admin.fetchval("SELECT count(*) FROM model_call_logs") == 1
    assert tuple(await admin.fetchrow("SELECT reserved, used FROM quota_ledger")) == (0, 7)
    assert tuple(await admin.fetchrow("SELECT sum(calls), sum(prompt_tokens) FROM usage_rollups")) == (1, 5)
    assert await admin.fetchval("SELECT count(*) FROM audit_logs WHERE action = 'limits.warning'") == 1


async def test_the_highest_cost_there_is_is_summed_too(
    database: Database, background: Background, admin: Any, model_id: UUID
) -> None:
    books = Books(database, Ledger(database, AuditLog(database), background), background)
    for _ in range(3):
        await books.enter(PLATFORM_TENANT_ID, Entry([make_record(model_id=model_id, total_cost=MOST_COST)], NO_HOLD))
    await books.caught_up(PLATFORM_TENANT_ID)

    assert await admin.fetchval("SELECT sum(total_cost) FROM model_call_logs") == 3 * MOST_COST
    assert await admin.fetchval("SELECT cost FROM usage_rollups WHERE grain = 'model'") == 3 * MOST_COST


async def test_one_call_that_cannot_be_written_takes_no_other_with_it(
    database: Database, background: Background, admin: Any, model_id: UUID
) -> None:
    books = Books(database, Ledger(database, AuditLog(database), background), background)
    good, bad = make_record(model_id=model_id), make_record(model_id=model_id, prompt_tokens=-1)
    entries = [Entry([record], NO_HOLD) for record in (good, bad)]

    with capture_logs() as logs:
        await asyncio.gather(*(books.enter(PLATFORM_TENANT_ID, entry) for entry in entries))
        await books.caught_up(PLATFORM_TENANT_ID)

    assert await admin.fetchval("SELECT id FROM model_call_logs") == good.id
    assert not await admin.fetchval("SELECT count(*) FROM call_journal")
    assert [(line["event"], line["call_log_id"]) for line in logs] == [("a call is not written down", bad.id)]


async def test_a_call_is_written_down_without_what_was_said_where_that_cannot_be(
    database: Database, background: Background, admin: Any, model_id: UUID
) -> None:
    books = Books(database, Ledger(database, AuditLog(database), background), background)
    record = make_record(model_id=model_id)
    await admin.execute("ALTER TABLE call_contents ADD CONSTRAINT none CHECK (false)")
    content = Content(record.id, [Message("user", "Hi")], Message("assistant", "Hello"))

    with capture_logs() as logs:
        await books.enter(PLATFORM_TENANT_ID, Entry([record], NO_HOLD, content))

    assert await admin.fetchval("SELECT id FROM model_call_logs") == record.id
    assert [line["event"] for line in logs] == ["what was said in a call is not kept"]


async def test_calls_beyond_those_that_may_wait_are_told_in_the_log_and_what_they_held_ends_by_itself(
    scratch: Scratch, database: Database, background: Background, model_id: UUID, admin: Any
) -> None:
    ledger = Ledger(database, AuditLog(database), background, lease=1.0)
    books = Books(database, ledger, background, most_waiting=0)
    hold = await ledger.reserve(PLATFORM_TENANT_ID, [Claim(MONTH, Decimal(10), Decimal(8))])
    record = make_record(model_id=model_id)

    with capture_logs() as logs:
        async with ledger.keeping():
            async with _cut(scratch):
                with pytest.raises(DatabaseUnavailable):
                    await books.enter(PLATFORM_TENANT_ID, Entry([record], hold))
            async with asyncio.timeout(NOT_FOR_EVER):
                while not await admin.fetchval("SELECT expires_at < now() FROM quota_holds"):
                    pass

    told = [line["call_log_id"] for line in logs if line["event"] == "a call is not written down"]
    assert told == [record.id]
    assert await ledger.reserve(PLATFORM_TENANT_ID, [Claim(MONTH, Decimal(10), Decimal(8))]) != NO_HOLD


async def test_a_call_that_lasts_longer_than_a_lease_keeps_what_it_holds(
    database: Database, background: Background, admin: Any
) -> None:
    ledger = Ledger(database, AuditLog(database), background, lease=0.6)
    async with ledger.keeping():
        await ledger.reserve(PLATFORM_TENANT_ID, [Claim(MONTH, Decimal(10), Decimal(8))])
        made = await admin.fetchval("SELECT expires_at FROM quota_holds")

        async with asyncio.timeout(NOT_FOR_EVER):
            while await admin.fetchval("SELECT now() < $1::timestamptz + interval '1 second'", made):
                assert await admin.fetchval("SELECT expires_at > now() FROM quota_holds")


async def test_reservations_are_kept_on_after_an_error_that_nobody_thought_of(
    database: Database, background: Background, admin: Any
) -> None:
    ledger = Ledger(database, AuditLog(database), background, lease=0.6)
    async with ledger.keeping():
        await ledger.reserve(PLATFORM_TENANT_ID, [Claim(MONTH, Decimal(10), Decimal(8))])
        with capture_logs() as logs:
            await admin.execute("ALTER TABLE quota_holds RENAME COLUMN expires_at TO elsewhere")
            async with asyncio.timeout(NOT_FOR_EVER):
                while not any(line["event"] == "reservations not kept" for line in logs):
                    await admin.execute("SELECT 1")
        await admin.execute("ALTER TABLE quota_holds RENAME COLUMN elsewhere TO expires_at")
        left = await admin.fetchval("SELECT expires_at FROM quota_holds")

        async with asyncio.timeout(NOT_FOR_EVER):
            while await admin.fetchval("SELECT expires_at = $1 FROM quota_holds", left):
                pass


async def test_a_nul_in_an_answer_costs_nobody_a_record(
    database: Database, background: Background, admin: Any, model_id: UUID
) -> None:
    books = Books(database, Ledger(database, AuditLog(database), background), background)
    records = [make_record(model_id=model_id) for _ in range(3)]

    await asyncio.gather(
        *(
            books.enter(
                PLATFORM_TENANT_ID,
                Entry([record], NO_HOLD, Content(record.id, [Message("user", "\0")], Message("assistant", "a\0b"))),
            )
            for record in records
        )
    )

    assert await admin.fetchval("SELECT count(*) FROM model_call_logs") == 3
    assert await admin.fetchval("SELECT DISTINCT answer ->> 'content' FROM call_contents") == "a\ufffdb"
