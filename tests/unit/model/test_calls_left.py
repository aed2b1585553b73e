"""What is written down of a call whose caller leaves it, or that is ended from elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from server.kernel.principal import Call, begin_call
from server.llm.port import (
    ChatChunk,
    ModelUnavailable,
    Usage,
)
from server.model.chat import ChatEvent, Delta, Heartbeat, Started
from server.model.domain import GenerationCancelled
from server.model.service.calls import CallService
from tests.databases import Scratch, somebody_waits
from tests.unit.model.scripted import NOT_FOR_EVER, Records, Script, as_it_is, asked, events_of


@pytest.mark.parametrize("after", [Started, Delta, Heartbeat])
async def test_a_caller_who_leaves_leaves_a_record_of_what_was_used_until_then(
    calls: CallService, caller: Call, script: Script, records: Records, after: type[ChatEvent]
) -> None:
    script.steps = [ChatChunk("a", usage=Usage(10, 1)), asyncio.Event()]
    begin_call(caller)
    begun = False

    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(asked())) as batches:
        async for batch in batches:
            begun = begun or any(isinstance(event, Started) for event in batch)
            if begun and any(type(event) is after for event in batch):
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
        async with aclosing(calls.stream_chat(asked())) as batches:
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
        await blocker.execute("LOCK TABLE call_journal")
        call = asyncio.create_task(events_of(calls, caller))
        await somebody_waits(blocker)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await transaction.rollback()

    (record,) = await records()
    assert (record["status"], record["prompt_tokens"]) == (status, 10)


async def test_a_caller_who_leaves_while_the_copy_of_the_answer_is_kept_leaves_a_whole_record(
    calls: CallService, caller: Call, script: Script, scratch: Scratch, records: Records
) -> None:
    script.steps = [ChatChunk("a", "stop", Usage(10, 1))]
    begin_call(caller)
    async with scratch.connect() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("LOCK TABLE response_cache IN SHARE MODE")
        call = asyncio.create_task(calls.chat(asked(cache_ttl=60), as_it_is))
        await somebody_waits(blocker)
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
    await calls.chat(asked(cache_ttl=60), as_it_is)

    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(asked(cache_ttl=60))) as batches:
        async for _ in batches:
            break

    assert [(record["cached"], record["prompt_tokens"]) for record in await records()] == [(False, 10), (True, 0)]


async def test_who_leaves_while_the_last_of_a_whole_answer_is_on_its_way_leaves_one_that_is_on_record_as_whole(
    calls: CallService, caller: Call, script: Script, records: Records
) -> None:
    goes_on = asyncio.Event()
    script.steps = [ChatChunk("a"), goes_on, ChatChunk("b", "stop", Usage(10, 2))]
    begin_call(caller)

    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(asked())) as batches:
        async for batch in batches:
            said = "".join(event.text for event in batch if isinstance(event, Delta))
            goes_on.set()
            if "b" in said:
                for _ in range(20):  # turns of the loop in which nobody asks for more
                    await asyncio.sleep(0)
                break

    (record,) = await records()
    assert (record["status"], record["completion_tokens"]) == ("success", 2)
