"""What is written down of a call, however it goes."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.principal import Call, begin_call
from server.llm.port import (
    ChatChunk,
    ModelResponseInvalid,
    ModelUnavailable,
    Outage,
    ToolCallDelta,
    Usage,
)
from server.model.attempts import MOST_HELD
from server.model.chat import ChatEvent, Delta, Ended, Heartbeat, Started, Writing
from server.model.service.calls import CallService
from server.model.service.planning import about_tokens
from tests.databases import Scratch, somebody_waits
from tests.unit.model.scripted import AT_ONCE, NOT_FOR_EVER, Records, Script, as_it_is, asked, events_of


async def test_a_finished_call_is_on_record_with_all_that_is_known_of_it(
    calls: CallService, caller: Call, script: Script, records: Records
) -> None:
    script.steps = [ChatChunk("Hel"), ChatChunk("lo", "stop"), ChatChunk(usage=Usage(1000, 200, 400))]

    events = await events_of(calls, caller)

    (record,) = await records()
    started, *deltas, ended = [event for event in events if not isinstance(event, Heartbeat)]
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

    events = await events_of(calls, caller)

    assert next(type(event) for event in events if not isinstance(event, Heartbeat)) is Started
    assert [part for delta in events if isinstance(delta, Delta) for part in delta.tool_calls] == parts


async def test_a_model_that_has_kept_silent_is_not_waited_for_once_more(
    calls: CallService, caller: Call, script: Script, records: Records
) -> None:
    script.steps = [ModelUnavailable(outage=Outage.SILENT)]

    *_, ended = await events_of(calls, caller)

    assert isinstance(ended, Ended)
    assert isinstance(ended.error, ModelUnavailable)
    assert ended.logs[-1].attempts == 1
    assert [(record["error_code"], record["outage"]) for record in await records()] == [("MODEL_UNAVAILABLE", "silent")]


async def test_ids_of_calls_without_end_are_not_gathered(calls: CallService, caller: Call, script: Script) -> None:
    script.steps = [ChatChunk(tool_calls=(ToolCallDelta(0, "call-1"),))] * 2 * MOST_HELD

    *_, ended = await events_of(calls, caller)

    assert isinstance(ended, Ended)
    assert isinstance(ended.error, ModelResponseInvalid)
    assert script.given == ended.logs[-1].attempts * (MOST_HELD + 1)


async def test_what_the_filter_says_behind_the_end_of_an_empty_answer_begins_no_other(
    calls: CallService, caller: Call, script: Script
) -> None:
    script.steps = [ChatChunk("", "stop"), ChatChunk("", "content_filter")]

    events = await events_of(calls, caller)

    ended = events[-1]
    assert [type(event) for event in events if not isinstance(event, Heartbeat)] == [Started, Ended]
    assert isinstance(ended, Ended)
    assert ended.logs[-1].finish_reason == "content_filter"


async def test_a_call_that_leaves_things_open_takes_the_tenants_settings_under_the_models_ceiling(
    calls: CallService, caller: Call, script: Script
) -> None:
    script.steps = [ChatChunk("", "stop")]

    await events_of(calls, caller)

    assert script.asked is not None
    read = about_tokens(["Hi"])
    assert (script.asked.model, script.asked.temperature, script.asked.max_tokens) == ("scripted", 0.7, 50 - read)
    assert script.asked.line == str(PLATFORM_TENANT_ID)
    assert script.asked.headers == {"traceparent": caller.traceparent, "x-request-id": "request-1"}


async def test_a_model_that_says_nothing_for_a_while_is_told_to_be_alive(
    calls: CallService, caller: Call, script: Script
) -> None:
    answers = asyncio.Event()
    script.steps = [ChatChunk("a"), answers, ChatChunk("b", "stop")]
    kinds: list[type] = []
    begin_call(caller)

    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(asked())) as batches:
        async for batch in batches:
            kinds.extend(type(event) for event in batch)
            # On a busy machine it may be told before the first word too.
            if Delta in kinds and kinds[kinds.index(Delta) :].count(Heartbeat) >= 3:
                answers.set()

    assert [kind for kind in kinds if kind is not Heartbeat] == [Started, Delta, Delta, Ended]


async def test_a_model_that_counts_and_says_nothing_is_told_to_be_alive(
    calls: CallService, script: Script, caller: Call
) -> None:
    begin_call(caller)
    counting = [step for number in range(60) for step in (AT_ONCE / 5, ChatChunk(usage=Usage(1, number)))]
    script.steps = [ChatChunk("Hello"), *counting, ChatChunk(finish_reason="stop")]

    events = [event async for batch in calls.stream_chat(asked()) for event in batch]

    assert sum(isinstance(event, Heartbeat) for event in events) > 1
    assert [type(event) for event in events if not isinstance(event, Heartbeat)] == [Started, Delta, Ended]


async def test_a_provider_that_counts_without_end_is_held_back_while_nobody_reads(
    calls: CallService, script: Script, caller: Call
) -> None:
    begin_call(caller)
    script.steps = [ChatChunk("Hello"), *[ChatChunk(usage=Usage(1, number)) for number in range(50_000)]]
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(asked())) as batches:
        await anext(batches)
        ahead = script.given
        while script.given < len(script.steps):
            await anext(batches)

    assert ahead < 5_000


async def test_a_provider_that_fails_ends_the_call_with_what_it_had_used(
    calls: CallService, caller: Call, script: Script, records: Records
) -> None:
    script.steps = [ChatChunk("a", usage=Usage(10, 1)), ModelUnavailable()]

    ended = (await events_of(calls, caller))[-1]

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
        await events_of(calls, caller)

    (record,) = await records()
    assert (record["status"], record["error_code"], record["prompt_tokens"]) == ("error", "INTERNAL", 10)


async def test_a_model_without_a_price_costs_nothing_known(
    calls: CallService, caller: Call, script: Script, admin: Any, records: Records
) -> None:
    await admin.execute("DELETE FROM model_prices")
    script.steps = [ChatChunk("a", "stop", Usage(10, 1))]

    await events_of(calls, caller)

    (record,) = await records()
    assert record["total_cost"] is None


async def test_an_answer_whose_copy_cannot_be_kept_is_given_and_is_on_record(
    calls: CallService, caller: Call, script: Script, admin: Any, records: Records
) -> None:
    await admin.execute("ALTER TABLE response_cache ADD CONSTRAINT none CHECK (false)")
    script.steps = [ChatChunk("a", "stop", Usage(10, 1))]
    begin_call(caller)

    with capture_logs() as logs:
        answer = await calls.chat(asked(cache_ttl=60), as_it_is)

    (record,) = await records()
    assert (answer.text, record["status"], record["prompt_tokens"]) == ("a", "success", 10)
    assert [line["event"] for line in logs] == ["not kept to be given again"]


@pytest.mark.parametrize(
    ("reason", "asked_again"),
    [
        *(("stop", False), ("length", False), ("content_filter", True)),
        *(("other", True), ("abort", True), ("insufficient_system_resource", True)),
    ],
)
async def test_what_a_filter_or_the_provider_cut_short_is_not_kept(
    calls: CallService, caller: Call, script: Script, reason: str, asked_again: bool
) -> None:
    script.steps = [ChatChunk("a"), ChatChunk("b", reason, Usage(10, 2))]

    for _ in range(2):
        begin_call(caller)
        await calls.chat(asked(cache_ttl=60), as_it_is)

    assert (script.given == 4) == asked_again


async def test_who_tells_of_the_end_may_get_ready_while_it_is_written_down(
    calls: CallService, caller: Call, script: Script, scratch: Scratch
) -> None:
    script.steps = [ChatChunk("a", "stop", Usage(10, 1))]
    foreseen: list[Ended] = []
    begin_call(caller)

    async def events() -> list[ChatEvent]:
        async with aclosing(calls.stream_chat(asked(), foreseen.append)) as batches:
            return [event async for batch in batches for event in batch]

    async with scratch.connect() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("LOCK TABLE call_journal")
        call = asyncio.create_task(events())
        await somebody_waits(blocker)
        (ended,) = foreseen
        told_before = call.done()
        await transaction.rollback()

    assert not told_before
    assert (await call)[-1] == ended


async def test_a_whole_answer_is_put_together_as_it_comes(calls: CallService, caller: Call, script: Script) -> None:
    """However many parts it came in: to look at all of them in its end would keep every other call waiting."""
    words = [ChatChunk(str(number)) for number in range(300)]
    call = [ChatChunk(tool_calls=(ToolCallDelta(0, "call-1", "weather"),))]
    call += [ChatChunk(tool_calls=(ToolCallDelta(0, arguments=str(number)),)) for number in range(300)]
    script.steps = [*words, *call, ChatChunk("", "tool_calls", Usage(1, 1))]
    begin_call(caller)

    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(asked(), whole=True)) as batches:
        events = [event async for batch in batches for event in batch]

    text = "".join(map(str, range(300)))
    deltas = [event for event in events if isinstance(event, Delta)]
    assert deltas == [Delta(text, (ToolCallDelta(0, "call-1", "weather", text),))]


def test_a_calls_arguments_are_not_copied_with_every_part() -> None:
    """What the parts allocate is counted."""
    writing, part, allocated = Writing(), "x" * 1024, 0

    tracemalloc.start()
    for _ in range(500):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        writing.add(Delta("", (ToolCallDelta(0, arguments=part),)))
        allocated += tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()

    assert allocated < 500 * len(part)
    assert writing.tool_calls[0].arguments == 500 * part


async def test_what_a_model_writes_with_a_nul_is_given_without(
    calls: CallService, caller: Call, script: Script
) -> None:
    parts = [ToolCallDelta(0, "call-\x001", "wea\0ther", "{\0}")]
    script.steps = [ChatChunk("\0"), ChatChunk("a\0b"), ChatChunk("", "stop", tool_calls=tuple(parts))]

    deltas = [event for event in await events_of(calls, caller) if isinstance(event, Delta)]

    assert deltas == [Delta("ab"), Delta("", (ToolCallDelta(0, "call-1", "weather", "{}"),))]
