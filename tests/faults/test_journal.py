"""Calls that are noted when they end and counted a moment later: by whoever is there, once, before anybody reads."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import grpc
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from atrium.model.v1 import call_log_pb2, chat_pb2, usage_pb2
from server.audit.service.log import AuditLog
from server.db.database import Database
from server.db.partitions import ensure_months
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7, uuid7_floor
from server.kernel.tasks import Background
from server.model.domain import CallLog
from server.model.holds import NO_HOLD, Settlement
from server.model.ledger import Ledger
from server.model.limits import Claim, Window
from server.model.service.books import Books, Entry
from server.model.store import logs
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.records import make_record
from tests.factories.world import Person, World
from tests.fakes.openai_stub import OpenAIStub
from tests.processes import atrium, environment
from tests.servers import serving

NOT_FOR_EVER = 30.0
HELLO = [chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")]


@pytest.fixture
async def model_id(admin: Any) -> UUID:
    made = uuid7()
    await admin.execute(
        "INSERT INTO models (id, name, provider, model_type) VALUES ($1, 'noted', 'custom', 'chat')", made
    )
    return made


@pytest.fixture
def books(database: Database, background: Background) -> Books:
    return Books(database, Ledger(database, AuditLog(database), background), background)


@asynccontextmanager
async def another(scratch: Scratch) -> AsyncIterator[tuple[Books, Background]]:
    """Another process's books, and what it does behind them."""
    background = Background()
    async with Database.open(scratch.settings(pool_size=4)) as database:
        yield Books(database, Ledger(database, AuditLog(database), background), background), background
        await background.close(NOT_FOR_EVER)


async def enter(books: Books, *records: CallLog) -> None:
    await asyncio.gather(*(books.enter(PLATFORM_TENANT_ID, Entry([record], NO_HOLD)) for record in records))


@asynccontextmanager
async def uncounted(scratch: Scratch, *records: CallLog) -> AsyncIterator[None]:
    """Calls that a process noted which ended then. Within, nobody writes a record."""
    async with scratch.connect() as somebody, another(scratch) as (books, background):
        transaction = somebody.transaction()
        await transaction.start()
        await somebody.execute("LOCK TABLE model_call_logs IN SHARE MODE")
        await enter(books, *records)
        await background.close(0)
        yield
        await transaction.rollback()


async def counted(admin: Any) -> tuple[int, int, int]:
    """How many are noted, how many recorded, and how many the day's sums have."""
    found = await admin.fetchrow(
        "SELECT (SELECT count(*) FROM call_journal), (SELECT count(*) FROM model_call_logs),"
        " (SELECT coalesce(sum(calls), 0) FROM usage_rollups WHERE grain = 'model')"
    )
    noted, recorded, summed = map(int, found)
    return noted, recorded, summed


async def test_a_call_is_noted_when_its_caller_hears_and_counted_without_anybodys_asking(
    books: Books, scratch: Scratch, admin: Any, model_id: UUID
) -> None:
    record = make_record(model_id=model_id)
    async with scratch.connect() as somebody, somebody.transaction():
        await somebody.execute("LOCK TABLE model_call_logs IN SHARE MODE")
        await enter(books, record)
        assert await counted(admin) == (1, 0, 0)

    async with asyncio.timeout(NOT_FOR_EVER):
        while await counted(admin) != (0, 1, 1):
            pass


async def test_many_that_end_together_are_counted_together(books: Books, admin: Any, model_id: UUID) -> None:
    await enter(books, *(make_record(model_id=model_id) for _ in range(50)))

    await books.caught_up(PLATFORM_TENANT_ID)

    assert await counted(admin) == (0, 50, 50)
    transactions = await admin.fetchval("SELECT count(DISTINCT xmin::text) FROM model_call_logs")
    assert transactions <= 2


async def test_enough_of_them_wait_for_no_more(
    books: Books, background: Background, admin: Any, model_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.model.service.books.GATHER_SECONDS", 2 * NOT_FOR_EVER)
    enough = 16
    await enter(books, *(make_record(model_id=model_id) for _ in range(enough - 1)))
    assert await counted(admin) == (enough - 1, 0, 0)

    await enter(books, make_record(model_id=model_id))

    async with asyncio.timeout(NOT_FOR_EVER):
        await background.close(NOT_FOR_EVER)
    assert await counted(admin) == (0, enough, enough)


async def test_a_call_of_a_month_without_a_partition_stays_noted_until_it_has_one(
    books: Books, background: Background, scratch: Scratch, admin: Any, model_id: UUID
) -> None:
    long_ago = datetime(2020, 2, 3, tzinfo=UTC)
    early = make_record(model_id=model_id, id=uuid7_floor(long_ago), created_at=long_ago)
    await enter(books, make_record(model_id=model_id), early)
    with capture_logs() as logs:
        await background.close(NOT_FOR_EVER)
        for _ in range(3):  # it is told once, and not tried by each who reads
            await books.caught_up(PLATFORM_TENANT_ID)
    assert await counted(admin) == (1, 1, 1)
    assert [line["event"] for line in logs] == ["a call stays noted"]

    await ensure_months(scratch.admin_url, long_ago.date(), long_ago.date())
    async with another(scratch) as (theirs, _):
        await theirs.caught_up(PLATFORM_TENANT_ID)

    assert await counted(admin) == (0, 2, 2)


async def test_what_a_dead_process_noted_is_counted_by_who_reads(
    database: Database, background: Background, scratch: Scratch, admin: Any, model_id: UUID
) -> None:
    # Of every column one value that is not what it is by itself.
    whole = make_record(
        model_id=model_id,
        user_id=uuid7(),
        api_key_id=uuid7(),
        prompt_template_version_id=uuid7(),
        cached_tokens=1,
        total_cost=Decimal("0.123456789"),
        latency_ms=7,
        time_to_first_token_ms=3,
        status="error",
        error_code="MODEL_UNAVAILABLE",
        finish_reason="stop",
        trace_id="ab" * 16,
        request_id="cd" * 16,
        route="route",
        attempts=2,
        reasoning_tokens=1,
        cached=True,
        workflow_execution_id=uuid7(),
        task_id=uuid7(),
    )
    bare = make_record(model_id=model_id, total_cost=None)
    ledger = Ledger(database, AuditLog(database), background)
    month = Window(
        "month", whole.created_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0), "tenant", "tokens"
    )
    hold = await ledger.reserve(PLATFORM_TENANT_ID, [Claim(month, Decimal(1_000), Decimal(1))])
    await ledger.enter(PLATFORM_TENANT_ID, [Settlement(hold, 1, Decimal(0))])
    async with uncounted(scratch, whole, bare):
        assert await counted(admin) == (2, 0, 0)

    await Books(database, ledger, background).caught_up(PLATFORM_TENANT_ID)

    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        assert [await logs.get(tx, record.id) for record in (whole, bare)] == [whole, bare]
    assert await counted(admin) == (0, 2, 2)
    assert await admin.fetchval("SELECT used FROM quota_ledger") == 1 + 7 + 7


async def test_what_several_count_at_once_counts_once(
    books: Books, scratch: Scratch, admin: Any, model_id: UUID
) -> None:
    async with uncounted(scratch, *(make_record(model_id=model_id) for _ in range(5))):
        pass

    async with another(scratch) as (theirs, _):
        await asyncio.gather(*(each.caught_up(PLATFORM_TENANT_ID) for each in (books, theirs, books, theirs)))

    assert await counted(admin) == (0, 5, 5)


async def test_a_process_that_comes_to_it_after_all_counts_nothing_twice(
    books: Books, background: Background, scratch: Scratch, admin: Any, model_id: UUID
) -> None:
    async with scratch.connect() as somebody, another(scratch) as (theirs, _):
        transaction = somebody.transaction()
        await transaction.start()
        await somebody.execute("LOCK TABLE model_call_logs IN SHARE MODE")
        await enter(books, *(make_record(model_id=model_id) for _ in range(5)))
        reading = asyncio.create_task(theirs.caught_up(PLATFORM_TENANT_ID))
        async with asyncio.timeout(NOT_FOR_EVER):
            while await somebody.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < 2:
                pass
        await transaction.rollback()
        await reading
    await background.close(NOT_FOR_EVER)

    assert await counted(admin) == (0, 5, 5)


async def _chat(world: World, person: Person) -> str:
    answer = await world.models.Chat(
        chat_pb2.ChatRequest(model="stub-fast-3", messages=HELLO), metadata=person.metadata
    )
    return str(answer.call_log_id)


async def test_who_reads_at_another_server_finds_what_was_just_answered(scratch: Scratch, stub: OpenAIStub) -> None:
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")})
    async with (
        serving(settings) as (app, port),
        serving(settings) as (_, other_port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        grpc.aio.insecure_channel(f"127.0.0.1:{other_port}") as other_channel,
    ):
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        await make_model(world, stub.base_url, "stub-fast-3", usd=1)
        free, limited = await world.tenant(), await world.tenant()
        limits = usage_pb2.SetModelLimitsRequest(
            user_id=limited.id, requests_per_minute=1_000_000, monthly_tokens=10**9
        )
        await world.models.SetModelLimits(limits, metadata=limited.metadata)
        elsewhere = World(other_channel, ("", "")).models
        for calls in (4, 8, 12):
            for person in (free, limited):
                answered = [await _chat(world, person) for _ in range(4)]

                last = call_log_pb2.GetCallLogRequest(id=answered[-1])
                kept = (await elsewhere.GetCallLog(last, metadata=person.metadata)).call_log
                used = await elsewhere.GetModelUsage(usage_pb2.GetModelUsageRequest(), metadata=person.metadata)

                assert kept.id == answered[-1]
                assert sum(each.calls for each in used.usage) == calls
        for calls in (16, 20):
            answered = [await _chat(world, limited) for _ in range(4)]

            mine = usage_pb2.GetModelLimitsRequest(user_id=limited.id)
            reply = await elsewhere.GetModelLimits(mine, metadata=limited.metadata)

            in_use = {use.kind: (Decimal(use.used), Decimal(use.reserved)) for use in reply.usage}
            tokens = Decimal(calls * kept.usage.total_tokens)
            assert in_use[usage_pb2.LimitUsage.KIND_MONTHLY_TOKENS] == (tokens, Decimal(0))
            requests, reserved = in_use[usage_pb2.LimitUsage.KIND_REQUESTS_PER_MINUTE]
            assert requests <= calls, "a minute may have ended meanwhile"
            assert not reserved


async def test_every_call_that_a_killed_server_answered_is_on_record(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""})
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")})
    async with serving(settings) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        await make_model(world, stub.base_url, "stub-fast-3", usd=1)
        ann = await world.tenant()
        async with (
            atrium(variables) as process,
            grpc.aio.insecure_channel(f"127.0.0.1:{await process.port()}") as other,
            scratch.connect() as somebody,
        ):
            transaction = somebody.transaction()
            await transaction.start()
            await somebody.execute("LOCK TABLE model_call_logs IN SHARE MODE")
            killed = World(other, ("", ""))
            answered = await asyncio.gather(*(_chat(killed, ann) for _ in range(20)))
            for server in process.servers():
                server.kill()
            process.send(signal.SIGKILL)
            await process.end()
            assert await admin.fetchval("SELECT count(*) FROM call_journal") == 20
            await transaction.rollback()

        listed = await world.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(page_size=100), metadata=ann.metadata)
        used = await world.models.GetModelUsage(usage_pb2.GetModelUsageRequest(), metadata=ann.metadata)

    assert {log.id for log in listed.call_logs} == set(answered)
    assert sum(each.calls for each in used.usage) == 20
