"""The chat model that comes with Atrium. It is loaded once for the tests of this file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from time import perf_counter
from typing import Any

import psutil
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from server.embedded.chat import CONTEXT_TOKENS, NAME, PARALLEL, LocalChat
from server.kernel.errors import DomainError
from server.llm.port import ChatChunk, ChatRequest, Message, ModelContextExceeded, ModelNotConfigured

pytestmark = [pytest.mark.xdist_group("local-model"), pytest.mark.asyncio(loop_scope="module")]

PROMPTLY = 30.0
"""Generous: what is measured is that something ends at all, on however busy a machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[LocalChat]:
    made = LocalChat()
    yield made
    await made.close()


def _asking(text: str = "Tell me a story.", **changes: Any) -> ChatRequest:
    given: dict[str, Any] = {"temperature": 0, "max_tokens": 16, "seed": 1}
    return ChatRequest(model=NAME, messages=[Message("user", text)], **(given | changes))


async def _chunks(model: LocalChat, request: ChatRequest) -> list[ChatChunk]:
    async with asyncio.timeout(PROMPTLY), aclosing(model.stream(request)) as batches:
        return [chunk async for batch in batches for chunk in batch]


async def _text(model: LocalChat, request: ChatRequest) -> str:
    return "".join(chunk.text for chunk in await _chunks(model, request))


async def test_an_answer_comes_token_by_token_each_with_its_count(model: LocalChat) -> None:
    chunks = await _chunks(model, _asking())

    written = [chunk for chunk in chunks if chunk.text]
    counts = [chunk.usage.completion_tokens for chunk in written if chunk.usage is not None]
    assert len(written) > 8
    assert counts == sorted(set(counts))
    assert len(counts) == len(written)
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["length"]


async def test_the_usage_is_counted_and_what_was_read_before_is_cached(model: LocalChat) -> None:
    request = _asking("What is the capital of France?")
    await _chunks(model, request)

    used = (await _chunks(model, request))[-1].usage

    assert used is not None
    assert (used.completion_tokens, used.estimated) == (16, False)
    assert 0 < used.cached_tokens < used.prompt_tokens < 60


async def test_the_same_seed_gives_the_same_answer(model: LocalChat) -> None:
    answers = [await _text(model, _asking()) for _ in range(3)]

    assert answers[0].strip()
    assert set(answers) == {answers[0]}


async def test_another_seed_gives_another_answer_where_chance_has_a_part(model: LocalChat) -> None:
    answers = {await _text(model, _asking(temperature=1.5, seed=seed)) for seed in range(4)}

    assert len(answers) > 1


async def test_writing_stops_at_a_stop_word(model: LocalChat) -> None:
    whole = await _text(model, _asking())
    stop = whole.split()[3]

    chunks = await _chunks(model, _asking(stop=[stop]))

    assert "".join(chunk.text for chunk in chunks) == whole[: whole.index(stop)]
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]


async def test_a_conversation_longer_than_the_context_is_refused(model: LocalChat) -> None:
    with pytest.raises(ModelContextExceeded):
        await _chunks(model, _asking("word " * (CONTEXT_TOKENS + 1)))

    assert await _text(model, _asking())


async def test_answers_that_are_broken_off_leave_the_model_to_others(model: LocalChat) -> None:
    """More calls than the model takes at once, each for a long answer, and each left after its first token."""
    whole = CONTEXT_TOKENS - 100
    for _ in range(PARALLEL + 1):
        async with asyncio.timeout(PROMPTLY), aclosing(model.stream(_asking(max_tokens=whole))) as batches:
            await anext(batches)

    started = perf_counter()
    used = (await _chunks(model, _asking(max_tokens=4)))[-1].usage

    assert used is not None
    assert used.completion_tokens == 4
    assert perf_counter() - started < PROMPTLY


async def test_calls_that_are_broken_off_while_their_prompts_are_read_leave_the_model_to_others(
    model: LocalChat,
) -> None:
    """As many as the model takes at once: the next is answered sooner than one of these prompts is read to its end."""
    prompt = "A word, and then another. " * 50
    started = perf_counter()
    await _chunks(model, _asking(f"Read to the end: {prompt}", max_tokens=1))
    whole = perf_counter() - started

    calls = [asyncio.create_task(_chunks(model, _asking(f"{number}. {prompt}"))) for number in range(PARALLEL)]
    await asyncio.sleep(whole / 8)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    started = perf_counter()
    await _chunks(model, _asking("Hello.", max_tokens=1))

    assert all(call.cancelled() for call in calls)
    assert perf_counter() - started < whole


async def test_prompts_are_read_one_after_the_other_beside_the_answers_to_those_before(model: LocalChat) -> None:
    """So that there is one alone whose reading is to be broken off when all are left."""
    written: list[tuple[int, int]] = []

    async def ask(number: int) -> None:
        asked = _asking(f"{number}. Tell me a story.", max_tokens=64)
        async with asyncio.timeout(PROMPTLY), aclosing(model.stream(asked)) as batches:
            async for batch in batches:
                written.extend((number, chunk.usage.completion_tokens) for chunk in batch if chunk.usage is not None)

    await asyncio.gather(*(ask(number) for number in range(PARALLEL)))

    begun = [next(place for place, (of, _) in enumerate(written) if of == number) for number in range(PARALLEL)]
    answering = [written.index((number, 1)) for number in range(PARALLEL)]
    assert all(earlier < later for earlier, later in zip(answering, begun[1:], strict=False))
    assert all(later < written.index((number, 64)) for number, later in enumerate(begun[1:]))


async def test_more_calls_than_the_model_takes_at_once_are_all_answered(model: LocalChat) -> None:
    calls = (_text(model, _asking(f"Say {number}.", max_tokens=4)) for number in range(PARALLEL + 2))

    assert all(await asyncio.gather(*calls))


async def test_of_many_first_calls_one_loads_and_goes_on_when_the_first_leaves() -> None:
    model = LocalChat()
    listening = _listening()
    first = asyncio.create_task(_text(model, _asking()))
    await asyncio.sleep(0)
    others = [asyncio.create_task(_text(model, _asking())) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()

    answers = await asyncio.gather(*others)

    assert len(set(answers)) == 1
    assert len(_listening() - listening) == 1
    await model.close()
    assert _listening() == listening


def _listening() -> set[int]:
    """The ports that this process listens on."""
    found = psutil.Process().net_connections(kind="tcp")
    return {connection.laddr.port for connection in found if connection.status == psutil.CONN_LISTEN}


async def test_closed_in_the_middle_of_an_answer_it_is_gone_with_its_threads() -> None:
    model, listening = LocalChat(), _listening()
    async with asyncio.timeout(PROMPTLY):
        batches = model.stream(_asking(max_tokens=CONTEXT_TOKENS - 100))
        await anext(batches)

        await model.close()

        with pytest.raises(DomainError):
            async for _ in batches:
                pass
    assert _listening() == listening


async def test_a_machine_without_what_it_needs_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    made = LocalChat()

    with capture_logs() as logs, pytest.raises(ModelNotConfigured):
        await _chunks(made, _asking())

    assert [line["event"].partition(":")[0] for line in logs] == ["the local chat model cannot be loaded"]
    await made.close()


async def test_closed_before_its_first_call_nothing_happens() -> None:
    await LocalChat().close()


async def test_one_tenants_many_do_not_keep_anothers_one_waiting(model: LocalChat) -> None:
    ended: list[str] = []

    async def ask(line: str) -> None:
        await _chunks(model, _asking(line=line, max_tokens=8))
        ended.append(line)

    many = [asyncio.create_task(ask("many")) for _ in range(4 * PARALLEL)]
    await asyncio.sleep(0)
    await asyncio.gather(*many, ask("one"))

    # Those that had their places before it, and one place's worth of turns.
    assert ended.index("one") <= 2 * PARALLEL
