"""What models do not take is learned from their refusals, and what is remembered of it has bounds."""

from __future__ import annotations

import asyncio

import pytest

from server.llm import http
from server.llm.endpoint import HttpEndpoint
from server.llm.port import ModelContextExceeded, Usage
from tests.fakes.openai_stub import OpenAIStub
from tests.unit.llm.chats import text_of
from tests.unit.llm.openai_calls import answer, usage_of


def _remembered(endpoint: HttpEndpoint) -> int:
    """Everything that an endpoint keeps by a name."""
    return sum(len(value) for value in vars(endpoint).values() if isinstance(value, dict))


async def test_nothing_is_remembered_of_models_that_refuse_nothing(endpoint: HttpEndpoint) -> None:
    await answer(endpoint, "stub-fast-1")
    before = _remembered(endpoint)

    for number in range(2, 9):
        await answer(endpoint, f"stub-fast-{number}")

    assert _remembered(endpoint) == before


async def test_the_models_that_were_learned_of_last_are_remembered(
    endpoint: HttpEndpoint, stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MOST_REFUSING", 2)
    for name in ("stub-reasoning-1", "stub-reasoning-2", "stub-reasoning-3"):
        await answer(endpoint, name)
    learned = len(stub.exchanges)

    for name in ("stub-reasoning-2", "stub-reasoning-3", "stub-fast-1", "stub-fast-2", "stub-reasoning-2"):
        await answer(endpoint, name)
    assert len(stub.exchanges) == learned + 5
    await answer(endpoint, "stub-reasoning-1")
    assert len(stub.exchanges) == learned + 5 + 3


async def test_calls_that_learn_the_same_at_once_all_get_their_answers(endpoint: HttpEndpoint) -> None:
    answers = await asyncio.gather(*(answer(endpoint, "stub-reasoning-2") for _ in range(5)))

    assert [text_of(chunks) for chunks in answers] == ["t0 t1 "] * 5


async def test_a_conversation_that_is_too_long_teaches_nothing(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    """vLLM names the limit of tokens, which is what has no room beside it."""
    with pytest.raises(ModelContextExceeded):
        await answer(endpoint, "stub-context-100", max_tokens=1000)

    chunks = await answer(endpoint, "stub-context-100", max_tokens=10)

    assert text_of(chunks) == "t0 t1 t2 "
    assert [exchange.body.get("max_tokens") for exchange in stub.exchanges] == [1000, 10]


async def test_an_endpoint_that_knows_no_options_of_a_stream_is_asked_without(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    answers = [await answer(endpoint, "stub-strict-2") for _ in range(2)]

    assert [text_of(chunks) for chunks in answers] == ["t0 t1 "] * 2
    assert [usage_of(chunks) for chunks in answers] == [Usage(2, 2, 1)] * 2
    assert ["stream_options" in exchange.body for exchange in stub.exchanges] == [True, False, False]
