"""Targets that failed, and the call that tries them again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from server.kernel.errors import DomainError
from server.kernel.principal import Call, Principal
from server.llm.port import ChatChunk, ChatRequest, ModelContextExceeded, ModelNotConfigured
from server.model.attempts import Attempts, Plan
from server.model.breakers import Breakers
from server.model.meter import Meter
from server.model.routes import Retry

TENANT, ROUTE, MODEL = uuid4(), uuid4(), uuid4()


def _open(breakers: Breakers, model: UUID = MODEL) -> None:
    breakers.failed(ROUTE, model, "outage", after=1, cooldown=10)


def test_a_trial_that_says_nothing_of_the_target_leaves_the_next_call_to_try() -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])
    _open(breakers)
    moment[0] = 10.0
    tried = [breakers.allows(ROUTE, MODEL), breakers.allows(ROUTE, MODEL)]

    breakers.left(ROUTE, MODEL)

    assert tried == [True, False]
    assert breakers.allows(ROUTE, MODEL)


def test_the_circuits_of_targets_that_failed_longest_ago_are_forgotten() -> None:
    breakers = Breakers(lambda: 0.0, most=2)
    first, second, third = (uuid4() for _ in range(3))
    for model in (first, second, first, third):
        _open(breakers, model)

    assert [breakers.allows(ROUTE, model) for model in (first, second, third)] == [False, True, False]


class Refusing:
    """A model that refuses, before or after its first words."""

    def __init__(self, error: DomainError, *words: str) -> None:
        self._error = error
        self._words = words

    async def stream(self, _: Any) -> AsyncGenerator[Sequence[ChatChunk], None]:
        for word in self._words:
            yield (ChatChunk(word),)
        raise self._error


async def _admits(_: Any, __: Any) -> None:
    """Nothing forbids another attempt."""


def _attempts(breakers: Breakers, chat: Any) -> Attempts:
    model: Any = SimpleNamespace(id=MODEL, name="model", price=None)
    call = Call("/test", "request-1", "ab" * 16, "cd" * 8)
    call.principal = Principal(TENANT, uuid4(), uuid4(), frozenset())

    def reach(_: Any) -> Any:
        if isinstance(chat, DomainError):
            raise chat
        return chat

    plan = Plan(TENANT, ROUTE, [model], {}, Retry(1), cooldown=10, cooldown_after=1)
    return Attempts(plan, reach, lambda model: Meter(call, model, "chat"), breakers)


@pytest.mark.parametrize(
    "chat",
    [
        Refusing(ModelContextExceeded([])),
        Refusing(ModelContextExceeded([]), "Hello"),
        ModelNotConfigured("model"),
        None,
    ],
    ids=["too long a conversation", "an answer that breaks off", "no key", "a call that is not made"],
)
async def test_a_trial_that_ends_in_what_says_nothing_of_the_target_is_the_next_calls(chat: Any) -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])
    _open(breakers)
    moment[0] = 10.0

    with suppress(DomainError):
        attempts = _attempts(breakers, chat)
        attempts.choose()
        if chat is None:
            attempts.leave()
        else:
            async for _ in attempts.stream(lambda _: ChatRequest("model", [], 0, 1), _admits):
                pass

    assert breakers.allows(ROUTE, MODEL)
