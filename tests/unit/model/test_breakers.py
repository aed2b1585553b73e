"""Targets that failed, and the call that tries them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from server.kernel.errors import DomainError
from server.kernel.principal import Call, Principal
from server.llm.port import ChatChunk, ChatRequest, ModelContextExceeded, ModelNotConfigured, ModelUnavailable, Usage
from server.model.attempts import Attempts, Plan
from server.model.breakers import UNHEARD_SECONDS, UNHEARD_WHOLE_SECONDS, Breakers, Health
from server.model.meter import Meter
from server.model.routes import Failure, Retry

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


@pytest.mark.parametrize(
    ("failure", "retry_after", "seconds"),
    [("rate_limit", 60.0, 60.0), ("rate_limit", 2.0, 10.0), ("rate_limit", None, 10.0), ("outage", 60.0, 10.0)],
)
def test_a_target_is_left_alone_for_its_cooldown_or_for_as_long_as_a_rate_limit_asks_for(
    failure: Failure, retry_after: float | None, seconds: float
) -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])

    breakers.failed(ROUTE, MODEL, failure, after=1, cooldown=10, retry_after=retry_after)

    allowed = []
    for moment[0] in (seconds - 0.1, seconds):
        allowed.append(breakers.allows(ROUTE, MODEL))
    assert allowed == [False, True]


def test_a_rate_limit_opens_the_circuit_at_once_and_an_outage_after_so_many_in_a_row() -> None:
    breakers = Breakers(lambda: 0.0)
    limited, failing, answering = (uuid4() for _ in range(3))

    breakers.failed(ROUTE, limited, "rate_limit", after=3, cooldown=10)
    for number in range(3):
        breakers.failed(ROUTE, failing, "outage", after=3, cooldown=10)
        breakers.failed(ROUTE, answering, "outage", after=3, cooldown=10)
        if number == 1:
            breakers.succeeded(ROUTE, answering)

    assert breakers.health(ROUTE, limited) == Health("cooling", 1, 10.0, "rate_limit")
    assert breakers.health(ROUTE, failing) == Health("cooling", 3, 10.0)
    assert breakers.health(ROUTE, answering) == Health("healthy", 1, 0.0)


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


class Hanging:
    """A model that is sent what it is asked, says these things, and then nothing. `silent`: it has said them."""

    def __init__(self, *said: ChatChunk) -> None:
        self._said = said
        self.silent = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        request.sent()
        for chunk in self._said:
            yield (chunk,)
        self.silent.set()
        await asyncio.Event().wait()


def _attempts(breakers: Breakers, *chats: Any, fallbacks: Sequence[Any] = ()) -> Attempts:
    """A call of a route to these models, the first of which is MODEL. An error in place of one: it is not set up."""

    def model(chat: Any) -> Any:
        return SimpleNamespace(id=MODEL if chat is chats[0] else uuid4(), name="model", price=None, chat=chat)

    call = Call("/test", "request-1", "ab" * 16, "cd" * 8)
    call.principal = Principal(TENANT, uuid4(), uuid4(), frozenset())

    def reach(model: Any) -> Any:
        if isinstance(model.chat, DomainError):
            raise model.chat
        return model.chat

    outage = [model(chat) for chat in fallbacks]
    targets = [model(chat) for chat in chats]
    plan = Plan(TENANT, ROUTE, targets, {"outage": outage}, Retry(1), cooldown=10, cooldown_after=1)
    return Attempts(plan, reach, lambda model: Meter(call, model, "chat"), breakers)


@pytest.mark.parametrize("as_fallback", [False, True], ids=["a target", "a fallback"])
def test_where_one_cools_down_and_the_other_is_not_set_up_the_caller_is_told_for_how_long(as_fallback: bool) -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])
    _open(breakers)
    moment[0] = 4.0
    unset = ModelNotConfigured("model")
    attempts = _attempts(breakers, None, fallbacks=[unset]) if as_fallback else _attempts(breakers, None, unset)

    with pytest.raises(ModelUnavailable) as refusal:
        attempts.choose()

    assert refusal.value.retry_after == 6.0


def test_where_none_is_set_up_and_none_cools_down_that_is_what_the_caller_is_told() -> None:
    with pytest.raises(ModelNotConfigured):
        _attempts(Breakers(), ModelNotConfigured("model")).choose()


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


async def _nothing() -> None:
    """What happens where nothing does."""


async def _left(
    breakers: Breakers,
    moment: list[float],
    chat: Hanging,
    seconds: float,
    meanwhile: Callable[[], Awaitable[None]] = _nothing,
    **asked: Any,
) -> None:
    """A call whose caller leaves it so long after the model has become silent."""

    async def read() -> None:
        attempts = _attempts(breakers, chat)
        attempts.choose()
        try:
            async for _ in attempts.stream(lambda _: ChatRequest("model", [], 0, 1, **asked), _admits):
                pass
        finally:
            attempts.leave()

    call = asyncio.create_task(read())
    await chat.silent.wait()
    await meanwhile()
    moment[0] += seconds
    call.cancel()
    await asyncio.wait([call])


@pytest.mark.parametrize(("streams", "seconds"), [(True, UNHEARD_SECONDS), (False, UNHEARD_WHOLE_SECONDS)])
async def test_a_target_that_says_nothing_is_left_alone_though_all_its_callers_leave_it(
    streams: bool, seconds: float
) -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])

    await _left(breakers, moment, Hanging(), seconds, streams=streams)

    assert not breakers.allows(ROUTE, MODEL)


async def test_a_trial_that_is_left_by_who_waited_long_has_the_target_left_alone_once_more() -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])
    _open(breakers)
    moment[0] = 10.0

    await _left(breakers, moment, Hanging(), UNHEARD_SECONDS)

    assert breakers.health(ROUTE, MODEL) == Health("cooling", 2, 10.0)


@pytest.mark.parametrize(
    ("said", "streams", "seconds"),
    [
        ((), True, UNHEARD_SECONDS - 0.1),
        ((), False, UNHEARD_WHOLE_SECONDS - 0.1),
        ((ChatChunk("Hello"),), True, 1000),
        ((ChatChunk(usage=Usage(1)),), True, 1000),
        ((ChatChunk(thought=3),), True, 1000),
    ],
    ids=["left soon", "left soon by one that does not stream", "words", "a count", "a thought"],
)
async def test_who_leaves_soon_or_what_has_begun_to_answer_has_no_target_left_alone(
    said: Sequence[ChatChunk], streams: bool, seconds: float
) -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])

    for _ in range(20):
        await _left(breakers, moment, Hanging(*said), seconds, streams=streams)

    assert breakers.health(ROUTE, MODEL) == Health("healthy", 0, 0.0)


@pytest.mark.parametrize(("meanwhile", "alone"), [(True, False), (False, True)], ids=["meanwhile", "before"])
async def test_what_a_target_says_to_others_counts_for_whoever_waits_then(meanwhile: bool, alone: bool) -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])

    def another() -> Awaitable[None]:
        return _left(breakers, moment, Hanging(ChatChunk("Hello")), 1.0)

    if meanwhile:
        await _left(breakers, moment, Hanging(), 1000, another)
    else:
        await another()
        await _left(breakers, moment, Hanging(), 1000)

    assert breakers.allows(ROUTE, MODEL) is not alone


def test_while_somebody_tries_a_target_others_are_not_told_to_come_back_at_once() -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])
    _open(breakers)
    moment[0] = 10.0
    _attempts(breakers, None).choose()

    with pytest.raises(ModelUnavailable) as refusal:
        _attempts(breakers, None).choose()

    assert refusal.value.retry_after == 1.0
