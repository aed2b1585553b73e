"""Runs of agents whose models and searches are slow, or fail in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from server.kernel.clock import now
from server.kernel.errors import DomainError
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal, within
from server.llm.port import Message, ModelUnavailable, ToolCall
from server.workflow.agents import SEARCH, Agent
from server.workflow.runs import Ended, Run
from server.workflow.service.running import AgentRunning

BASE_ID = UUID(int=5)
FOUND = "Twenty-eight days."
AGENT = Agent(
    id=UUID(int=1),
    tenant_id=UUID(int=2),
    agent_type="reader",
    name="ann",
    description=None,
    model=None,
    prompt_template_id=None,
    prompt_label=None,
    temperature=None,
    max_tokens=None,
    knowledge_base_ids=[BASE_ID],
    tools=[],
    output_schema=None,
    max_turns=8,
    revision=1,
    created_at=now(),
    updated_at=now(),
    deleted_at=None,
    deleted_by=None,
)


@dataclass(frozen=True)
class _Answered:
    finish_reason: str | None = "stop"
    error: DomainError | None = None


@dataclass(frozen=True)
class _Turned:
    answered: _Answered
    message: Message


@dataclass(frozen=True)
class _Passage:
    content: str = FOUND


class _Agents:
    async def get(self, agent_id: UUID) -> Agent:
        return AGENT


class _Talks:
    """A conversation in which the model says this, turn by turn."""

    calls_tools = True

    def __init__(self, *turns: _Turned) -> None:
        self._turns = list(turns)
        self.messages = [Message("user", "How much leave?")]
        self.asked: list[list[Message]] = []

    async def begin(self, *said: Any, **settings: Any) -> _Talks:
        return self

    async def turn(self, messages: Sequence[Message], *how: Any, whole: bool) -> AsyncGenerator[str | _Turned, None]:
        self.asked.append(list(messages))
        yield self._turns.pop(0)


class _Passages:
    """What is found, in turn: a passage, or what a search fails with. `go_on`: what each waits for."""

    def __init__(self, *found: DomainError | None) -> None:
        self._found = list(found)
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def find(self, *asked: Any) -> Sequence[_Passage]:
        await self.go_on.wait()
        if (wrong := self._found.pop(0)) is not None:
            raise wrong
        return [_Passage()]

    def told(self, found: Sequence[_Passage]) -> str:
        return "; ".join(passage.content for passage in found)


def _looks(*ids: str) -> _Turned:
    calls = [ToolCall(one, SEARCH, '{"query": "Leave"}') for one in ids]
    return _Turned(_Answered("tool_calls"), Message("assistant", "", calls))


def _says(text: str) -> _Turned:
    return _Turned(_Answered(), Message("assistant", text))


def _running(talks: _Talks, passages: _Passages, heartbeat: float = 60.0) -> AsyncGenerator[Any, None]:
    running = AgentRunning(_Agents(), talks, passages, heartbeat)  # type: ignore[arg-type]
    return running.run(Run(AGENT.id, talks.messages, {}, b""))


@pytest.fixture(autouse=True)
def call() -> Any:
    permissions = frozenset({Permission.MODELS_EXECUTE, Permission.KNOWLEDGE_BASES_READ})
    caller = Principal(UUID(int=2), UUID(int=3), None, permissions)
    with within(Call("test", "request", "ab" * 16, "cd" * 8, principal=caller)):
        yield


async def test_while_it_looks_something_up_a_run_says_that_it_is_alive() -> None:
    passages = _Passages(None)
    passages.go_on.clear()
    events = _running(_Talks(_looks("a"), _says("Much.")), passages, heartbeat=0.01)

    alive = [await anext(events), await anext(events), await anext(events)]
    passages.go_on.set()
    rest = [event async for event in events if event is not None]

    assert alive[1:] == [None, None]
    assert [message.content for message in rest[-1].messages] == ["", FOUND, "Much."]


async def test_what_was_not_looked_up_to_its_end_is_no_part_of_the_conversation() -> None:
    talks = _Talks(_looks("a"), _looks("b", "c"))

    events = [event async for event in _running(talks, _Passages(None, None, ModelUnavailable()))]

    ended = events[-1]
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, ModelUnavailable)
    assert (ended.finish_reason, len(ended.turns)) == (None, 2)
    assert [message.tool_call_id for message in ended.messages] == ["", "a"]


async def test_a_turn_that_fails_later_leaves_what_was_looked_up() -> None:
    failed = _Turned(_Answered(None, ModelUnavailable()), Message("assistant", "Mu"))

    events = [event async for event in _running(_Talks(_looks("a"), failed), _Passages(None))]

    assert isinstance(events[-1].error, ModelUnavailable)
    assert [message.content for message in events[-1].messages] == ["", FOUND]


async def test_a_first_turn_that_fails_is_raised() -> None:
    failed = _Turned(_Answered(None, ModelUnavailable()), Message("assistant", ""))

    with pytest.raises(ModelUnavailable):
        await anext(_running(_Talks(failed), _Passages()))
