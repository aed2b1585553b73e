"""What is written down of a call, however it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from server.audit.service import AuditLog
from server.db.database import Database
from server.kernel.features import Feature
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.principal import Call, Principal, begin_call
from server.kernel.sealing import MasterKeys
from server.kernel.tasks import Background
from server.llm.port import (
    ChatChunk,
    ChatRequest,
    Message,
    ModelResponseInvalid,
    ModelUnavailable,
    ToolCallDelta,
    Usage,
)
from server.llm.registry import Registry
from server.model.attempts import MOST_HELD
from server.model.breakers import Breakers
from server.model.catalogue import Catalogues
from server.model.chat import ChatCall, ChatEvent, Delta, Ended, Heartbeat, Started
from server.model.domain import GenerationCancelled
from server.model.ledger import Ledger
from server.model.service.books import Books
from server.model.service.caches import Caches
from server.model.service.calls import CallService
from server.model.service.credentials import Vault
from server.model.service.planning import Planner, about_tokens
from server.model.service.reach import Reach
from server.prompt.rendering import Renderer
from server.prompt.service.counts import Counts
from server.prompt.service.rendering import PromptRendering
from server.prompt.service.sight import Sight
from server.prompt.service.work import PromptWork
from server.prompt.workers import Workers
from server.settings import Settings as ServerSettings
from tests.databases import Scratch

AT_ONCE = 0.01
NOT_FOR_EVER = 10.0

Records = Callable[[], Awaitable[list[dict[str, Any]]]]


class Script:
    """A chat model that writes, waits and fails as it is told."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.given = 0
        self.asked: ChatRequest | None = None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        self.asked = request
        for step in self.steps:
            self.given += 1
            match step:
                case Exception():
                    raise step
                case asyncio.Event():
                    await step.wait()
                case float():
                    await asyncio.sleep(step)
                case _:
                    yield (step,)


@dataclass(frozen=True)
class Settings:
    """A tenant's settings, and where they are read."""

    default_model: str | None = "scripted"
    default_embedding_model: str | None = None
    temperature: Decimal = Decimal("0.7")
    max_tokens_per_request: int = 100
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    monthly_token_quota: int | None = None
    monthly_cost_quota_usd: Decimal | None = None
    max_parallel_calls: int | None = None
    store_prompts: bool = False
    prompt_retention_days: int = 30
    call_log_retention_days: int = 400

    async def model_settings(self, tenant_id: UUID) -> Settings:
        return self

    async def features(self, tenant_id: UUID) -> tuple[frozenset[Feature], None]:
        return frozenset(Feature), None


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def caller(admin: Any) -> Call:
    """Who calls; a model with a price is in place."""
    model_id = uuid7()
    await admin.execute(
        "INSERT INTO models (id, name, provider, model_type, max_tokens) VALUES ($1, 'scripted', 'custom', 'chat', 50)",
        model_id,
    )
    await admin.execute(
        "INSERT INTO model_prices (id, model_id, input_cost_per_1k, output_cost_per_1k, effective_from)"
        " VALUES ($1, $2, 0.5, 1.5, now())",
        uuid7(),
        model_id,
    )
    call = Call("/test", "request-1", "ab" * 16, "cd" * 8)
    call.principal = Principal(PLATFORM_TENANT_ID, uuid7(), uuid7(), frozenset())
    return call


@pytest.fixture
def calls(database: Database, script: Script, background: Background, caller: Call) -> CallService:
    registry = Registry(ServerSettings(), {"scripted": script}, {})
    reach = Reach(registry, Vault(MasterKeys(bytes(32))))
    ledger = Ledger(database, AuditLog(database), background)
    books = Books(ledger, background)
    catalogues = Catalogues(database, Settings())
    planner = Planner(catalogues, reach, Breakers())
    sight = Sight(database)
    prompts = PromptRendering(sight, PromptWork(Renderer(), Workers(parallel=1)), Counts(database))
    return CallService(planner, prompts, ledger, books, Caches(database), heartbeat=AT_ONCE)


@pytest.fixture
def records(admin: Any, background: Background) -> Records:
    """Reads the records when all of them are written."""

    async def read() -> list[dict[str, Any]]:
        await background.close(NOT_FOR_EVER)
        return [dict(row) for row in await admin.fetch("SELECT * FROM model_call_logs")]

    return read


def _asked(**changes: Any) -> ChatCall:
    given = {"model": "", "messages": [Message("user", "Hi")], "temperature": None, "max_tokens": None}
    return ChatCall(**(given | {"stop": (), "seed": None} | changes))


async def _events(calls: CallService, caller: Call) -> list[ChatEvent]:
    begin_call(caller)
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(_asked())) as batches:
        return [event async for batch in batches for event in batch]


async def test_a_finished_call_is_on_record_with_all_that_is_known_of_it(
    calls: CallService, caller: Call, script: Script, records: Records
) -> None:
    script.steps = [ChatChunk("Hel"), ChatChunk("lo", "stop"), ChatChunk(usage=Usage(1000, 200, 400))]

    started, *deltas, ended = await _events(calls, caller)

    (record,) = await records()
    assert isinstance(started, Started)
    assert isinstance(ended, Ended)
    assert "".join(delta.text for delta in deltas if isinstance(delta, Delta)) == "Hello"
    assert started.call_log_id == ended.logs[-1].id == record["id"]
    expected = {
        "tenant_id": PLATFORM_TENANT_ID,
        "user_id": caller.caller.user_id,
        "request_kind": "chat",
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "cached_tokens": 400,
        "total_tokens": 1200,
        "total_cost": Decimal("0.8"),
        "status": "success",
        "error_code": None,
        "finish_reason": "stop",
        "trace_id": caller.trace_id,
        "request_id": "request-1",
    }
    assert {name: record[name] for name in expected} == expected
    assert record["latency_ms"] >= record["time_to_first_token_ms"] >= 0


async def test_a_tools_call_loses_nothing_of_what_comes_before_its_name(
    calls: CallService, caller: Call, script: Script
) -> None:
    parts = [
        ToolCallDelta(0, "call-1"),
        ToolCallDelta(0, name="weather"),
        ToolCallDelta(0, arguments="{}"),
    ]
    script.steps = [*(ChatChunk(tool_calls=(part,)) for part in parts), ChatChunk("", "tool_calls")]

    events = await _events(calls, caller)

    assert isinstance(events[0], Started)
    assert [part for delta in events if isinstance(delta, Delta) for part in delta.tool_calls] == parts


async def test_ids_of_calls_without_end_are_not_gathered(calls: CallService, caller: Call, script: Script) -> None:
    script.steps = [ChatChunk(tool_calls=(ToolCallDelta(0, "call-1"),))] * 2 * MOST_HELD

    *_, ended = await _events(calls, caller)

    assert isinstance(ended, Ended)
    assert isinstance(ended.error, ModelResponseInvalid)
    assert script.given == ended.logs[-1].attempts * (MOST_HELD + 1)


async def test_what_the_filter_says_behind_the_end_of_an_empty_answer_begins_no_other(
    calls: CallService, caller: Call, script: Script
) -> None:
    script.steps = [ChatChunk("", "stop"), ChatChunk("", "content_filter")]

    events = await _events(calls, caller)

    ended = events[-1]
    assert [type(event) for event in events if not isinstance(event, Heartbeat)] == [Started, Ended]
    assert isinstance(ended, Ended)
    assert ended.logs[-1].finish_reason == "content_filter"


async def test_a_call_that_leaves_things_open_takes_the_tenants_settings_under_the_models_ceiling(
    calls: CallService, caller: Call, script: Script
) -> None:
    script.steps = [ChatChunk("", "stop")]

    await _events(calls, caller)

    assert script.asked is not None
    read = about_tokens(["Hi"])
    assert (script.asked.model, script.asked.temperature, script.asked.max_tokens) == ("scripted", 0.7, 50 - read)
    assert script.asked.headers == {"traceparent": caller.traceparent, "x-request-id": "request-1"}


async def test_a_model_that_says_nothing_for_a_while_is_told_to_be_alive(
    calls: CallService, caller: Call, script: Script
) -> None:
    answers = asyncio.Event()
    script.steps = [ChatChunk("a"), answers, ChatChunk("b", "stop")]
    kinds: list[type] = []
    begin_call(caller)

    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(_asked())) as batches:
        async for batch in batches:
            kinds.extend(type(event) for event in batch)
            if kinds.count(Heartbeat) == 3:
                answers.set()

    assert kinds == [Started, Delta, Heartbeat, Heartbeat, Heartbeat, Delta, Ended]


async def test_a_model_that_counts_and_says_nothing_is_told_to_be_alive(
    calls: CallService, script: Script, caller: Call
) -> None:
    begin_call(caller)
    counting = [step for number in range(60) for step in (AT_ONCE / 5, ChatChunk(usage=Usage(1, number)))]
    script.steps = [ChatChunk("Hello"), *counting, ChatChunk(finish_reason="stop")]

    events = [event async for batch in calls.stream_chat(_asked()) for event in batch]

    assert sum(isinstance(event, Heartbeat) for event in events) > 1
    assert [type(event) for event in events if not isinstance(event, Heartbeat)] == [Started, Delta, Ended]


async def test_a_provider_that_counts_without_end_is_held_back_while_nobody_reads(
    calls: CallService, script: Script, caller: Call
) -> None:
    begin_call(caller)
    script.steps = [ChatChunk("Hello"), *[ChatChunk(usage=Usage(1, number)) for number in range(50_000)]]
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(_asked())) as batches:
        await anext(batches)
        ahead = script.given
        while script.given < len(script.steps):
            await anext(batches)

    assert ahead < 5_000


async def test_a_provider_that_fails_ends_the_call_with_what_it_had_used(
    calls: CallService, caller: Call, script: Script, records: Records
) -> None:
    script.steps = [ChatChunk("a", usage=Usage(10, 1)), ModelUnavailable()]

    ended = (await _events(calls, caller))[-1]

    (record,) = await records()
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, ModelUnavailable)
    assert (record["status"], record["error_code"]) == ("error", "MODEL_UNAVAILABLE")
    assert (record["prompt_tokens"], record["completion_tokens"]) == (10, 1)


async def test_a_mistake_of_ours_is_on_record_too(
    calls: CallService, caller: Call, script: Script, records: Records
) -> None:
    script.steps = [ChatChunk("a", usage=Usage(10, 1)), ZeroDivisionError()]

    with pytest.raises(ZeroDivisionError):
        await _events(calls, caller)

    (record,) = await records()
    assert (record["status"], record["error_code"], record["prompt_tokens"]) == ("error", "INTERNAL", 10)


@pytest.mark.parametrize("after", [Started, Delta, Heartbeat])
async def test_a_caller_who_leaves_leaves_a_record_of_what_was_used_until_then(
    calls: CallService, caller: Call, script: Script, records: Records, after: type[ChatEvent]
) -> None:
    script.steps = [ChatChunk("a", usage=Usage(10, 1)), asyncio.Event()]
    begin_call(caller)

    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(_asked())) as batches:
        async for batch in batches:
            if any(type(event) is after for event in batch):
                break

    (record,) = await records()
    assert (record["status"], record["error_code"]) == ("cancelled", None)
    assert record["completion_tokens"] == 1


@pytest.mark.parametrize(
    ("why", "reason"),
    [(GenerationCancelled(), "GENERATION_CANCELLED"), ("by a cancel scope of a library", None), (None, None)],
)
async def test_who_ends_a_call_from_here_says_why_and_what_a_library_says_is_no_reason(
    calls: CallService, caller: Call, script: Script, records: Records, why: object, reason: str | None
) -> None:
    script.steps = [ChatChunk("Hel", usage=Usage(3, 2)), asyncio.Event()]
    begun = asyncio.Event()

    async def read() -> None:
        begin_call(caller)
        async with aclosing(calls.stream_chat(_asked())) as batches:
            async for batch in batches:
                if any(isinstance(event, Delta) for event in batch):
                    begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel(why)
    await asyncio.wait([task])

    (log,) = await records()
    assert (log["status"], log["error_code"]) == ("cancelled", reason)


@pytest.mark.parametrize(("last", "status"), [(ChatChunk("", "stop"), "success"), (ModelUnavailable(), "error")])
async def test_a_caller_who_leaves_while_the_record_is_written_changes_nothing_in_it(
    calls: CallService, caller: Call, script: Script, scratch: Scratch, records: Records, last: Any, status: str
) -> None:
    script.steps = [ChatChunk("a", usage=Usage(10, 1)), last]
    async with scratch.connect() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("LOCK TABLE model_call_logs")
        here = await blocker.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
        call = asyncio.create_task(_events(calls, caller))
        async with asyncio.timeout(NOT_FOR_EVER):
            while not await blocker.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND database = $1", here):
                pass
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await transaction.rollback()

    (record,) = await records()
    assert (record["status"], record["prompt_tokens"]) == (status, 10)


async def test_a_model_without_a_price_costs_nothing_known(
    calls: CallService, caller: Call, script: Script, admin: Any, records: Records
) -> None:
    await admin.execute("DELETE FROM model_prices")
    script.steps = [ChatChunk("a", "stop", Usage(10, 1))]

    await _events(calls, caller)

    (record,) = await records()
    assert record["total_cost"] is None


async def test_an_answer_whose_copy_cannot_be_kept_is_given_and_is_on_record(
    calls: CallService, caller: Call, script: Script, admin: Any, records: Records
) -> None:
    await admin.execute("ALTER TABLE response_cache ADD CONSTRAINT none CHECK (false)")
    script.steps = [ChatChunk("a", "stop", Usage(10, 1))]
    begin_call(caller)

    with capture_logs() as logs:
        answer = await calls.chat(_asked(cache_ttl=60))

    (record,) = await records()
    assert (answer.text, record["status"], record["prompt_tokens"]) == ("a", "success", 10)
    assert [line["event"] for line in logs] == ["not kept to be given again"]


async def test_a_caller_who_leaves_while_the_copy_of_the_answer_is_kept_leaves_a_whole_record(
    calls: CallService, caller: Call, script: Script, scratch: Scratch, records: Records
) -> None:
    script.steps = [ChatChunk("a", "stop", Usage(10, 1))]
    begin_call(caller)
    async with scratch.connect() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("LOCK TABLE response_cache IN SHARE MODE")
        call = asyncio.create_task(calls.chat(_asked(cache_ttl=60)))
        here = await blocker.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
        async with asyncio.timeout(NOT_FOR_EVER):
            while not await blocker.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND database = $1", here):
                pass
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await transaction.rollback()

    (record,) = await records()
    assert (record["status"], record["prompt_tokens"]) == ("success", 10)


async def test_a_caller_who_leaves_a_cached_answer_leaves_a_record_too(
    calls: CallService, caller: Call, script: Script, records: Records
) -> None:
    script.steps = [ChatChunk("a", "stop", Usage(10, 1))]
    begin_call(caller)
    await calls.chat(_asked(cache_ttl=60))

    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(_asked(cache_ttl=60))) as batches:
        async for _ in batches:
            break

    assert [(record["cached"], record["prompt_tokens"]) for record in await records()] == [(False, 10), (True, 0)]
