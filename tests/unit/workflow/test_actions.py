"""What a chat comes to, whatever the model writes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import pytest

from server.kernel.errors import DomainError, PermissionMissing
from server.kernel.json import MOST_DEPTH
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal, within
from server.llm.port import Message, ModelUnavailable, ToolCall
from server.workflow.definition import MOST_BYTES, AgentRun, Chat, ChatMessage, Prompt, Search
from server.workflow.errors import AgentToolsWanted, AnswerNotJson, ExpressionFailed
from server.workflow.ports import Passage
from server.workflow.runs import Ended, Run, Searched
from server.workflow.service.actions import Actions
from server.workflow.service.running import MOST_QUERY_BYTES

AGENT_ID = UUID(int=7)


@dataclass(frozen=True)
class _Answered:
    finish_reason: str | None = "stop"
    error: DomainError | None = None


@dataclass(frozen=True)
class _Turned:
    answered: _Answered
    message: Message


class _Writes:
    """A model that writes these pieces, and ends so. `begun`: what each conversation with it begins with."""

    calls_tools = False

    def __init__(self, *pieces: str, error: DomainError | None = None) -> None:
        self._pieces = pieces
        self._error = error
        self.messages: Sequence[Message] = ()
        self.begun: list[dict[str, Any]] = []

    async def begin(self, messages: Sequence[Message], **rest: Any) -> _Writes:
        self.messages = messages
        self.begun.append({"messages": messages, **rest})
        return self

    async def turn(self, messages: Sequence[Message], *tools: Any, whole: bool) -> AsyncGenerator[Any, None]:
        assert messages is self.messages
        assert whole
        for piece in self._pieces:
            yield piece
            yield None
        yield _Turned(_Answered(error=self._error), Message("assistant", "".join(self._pieces)))


class _Runs:
    """An agent whose runs end so."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self.asked: list[Run] = []

    async def run(self, asked: Run) -> AsyncGenerator[str | Ended, None]:
        self.asked.append(asked)
        yield "He"
        yield self._ended


class _NoPassages:
    async def find(self, base_ids: Sequence[UUID], text: str, top_k: int | None) -> Sequence[Passage]:
        raise NotImplementedError

    def told(self, found: Sequence[Passage]) -> str:
        raise NotImplementedError


def _actions(**given: Any) -> Actions:
    return Actions(given.get("model"), given.get("agents"), _NoPassages())  # type: ignore[arg-type]


async def _agent(agents: _Runs, *given: Any, variables: str = "", may: bool = True) -> Any:
    caller = Principal(UUID(int=1), UUID(int=2), None, frozenset({Permission.AGENTS_EXECUTE} if may else ()))
    with within(Call("test", "request", "ab" * 16, "cd" * 8, principal=caller)):
        return await _actions(agents=agents).agent(AgentRun(str(AGENT_ID), "m", variables), given, lambda: None)


def _said(*messages: Message, **fields: Any) -> Ended:
    return Ended([], messages, "stop", **fields)


async def _chat(
    model: _Writes,
    *permissions: Permission,
    json: bool = False,
    prompt: Prompt | None = None,
    given: Sequence[Any] = (),
) -> dict[str, Any]:
    caller = Principal(UUID(int=1), UUID(int=2), None, frozenset(permissions or {Permission.MODELS_EXECUTE}))
    with within(Call("test", "request", "ab" * 16, "cd" * 8, principal=caller)):
        chat = Chat([ChatMessage("user", "Say")], json=json, prompt=prompt)
        return await _actions(model=model).chat(chat, ["Say", *given])


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["Hel", "lo"], "Hello"),
        ([], ""),
        (["\ud83d", "\ude00"], "\U0001f600"),
        (["a\ud83d", "b"], "a\ufffdb"),
    ],
)
async def test_a_chat_comes_to_what_the_model_wrote(pieces: list[str], text: str) -> None:
    output = await _chat(_Writes(*pieces))

    assert output == {"text": text, "finish_reason": "stop"}
    assert orjson.loads(orjson.dumps(output)) == output


TEMPLATE_ID = UUID(int=8)


@pytest.mark.parametrize(
    ("prompt", "given", "values"),
    [
        (Prompt(str(TEMPLATE_ID), label="production"), (), ({}, b"{}")),
        (
            Prompt(str(TEMPLATE_ID), version="v1.0", variables="input"),
            ({"b": 1, "a": "x"},),
            ({"b": 1, "a": "x"}, b'{"a":"x","b":1}'),
        ),
    ],
)
async def test_a_chat_begins_with_its_prompt(prompt: Prompt, given: Sequence[Any], values: Any) -> None:
    model = _Writes("Hello")

    await _chat(model, prompt=prompt, given=given)

    (begun,) = model.begun
    assert begun["prompt"] == (TEMPLATE_ID, prompt.version, prompt.label)
    assert begun["values"] == values
    assert begun["messages"] == [Message("user", "Say")]


async def test_the_values_of_a_chats_prompt_are_an_object() -> None:
    with pytest.raises(ExpressionFailed) as refusal:
        await _chat(_Writes(), prompt=Prompt(str(TEMPLATE_ID), variables="[1]"), given=[[1]])

    assert "chat.prompt.variables" in str(refusal.value.fields)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n[]\n```", []),
        (r'"\\u0000"', r"\u0000"),
        ('"\\u0000"', "\0"),  # which the database's connections write as they can
    ],
)
async def test_json_is_read(text: str, value: Any) -> None:
    assert (await _chat(_Writes(text), json=True))["value"] == value


@pytest.mark.parametrize("text", ["Certainly!", "", "{", "NaN", '"\\ud800"', "[" * 2_000 + "]" * 2_000])
async def test_what_is_no_json_is_asked_for_again(text: str) -> None:
    with pytest.raises(AnswerNotJson):
        await _chat(_Writes(text), json=True)


@pytest.mark.parametrize(
    "text", ["[" * 300 + "]" * 300, "[" * MOST_DEPTH + "]" * MOST_DEPTH, '"' + "1" * MOST_BYTES + '"']
)
async def test_what_is_more_than_is_kept_fails(text: str) -> None:
    with pytest.raises(ExpressionFailed):
        await _chat(_Writes(text), json=True)


async def test_a_model_that_fails_fails_the_chat() -> None:
    with pytest.raises(ModelUnavailable):
        await _chat(_Writes("Hel", error=ModelUnavailable(1.0)))


async def test_no_model_is_asked_for_who_may_not() -> None:
    with pytest.raises(PermissionMissing):
        await _chat(_Writes("Hello"), Permission.WORKFLOWS_EXECUTE)


async def test_an_agent_is_run_with_one_message_and_its_last_word_is_the_output() -> None:
    told = [Message("assistant", "Look:", [ToolCall("1", "search_knowledge", "{}")]), Message("tool", "Found")]
    agents = _Runs(_said(*told, Message("assistant", "Salt."), agent_type="reader"))

    output, agent_type = await _agent(agents, "Which?", {"b": 1.0, "a": "x"}, variables="input")

    assert (output, agent_type) == ({"text": "Salt.", "finish_reason": "stop"}, "reader")
    (asked,) = agents.asked
    assert (asked.agent_id, asked.messages, asked.whole) == (AGENT_ID, [Message("user", "Which?")], True)
    assert (asked.values, asked.said) == ({"b": 1.0, "a": "x"}, b'{"a":"x","b":1.0}')


async def test_an_agents_answer_that_has_a_schema_is_a_value_too() -> None:
    ended = _said(Message("assistant", '{"a": 1}'), is_json=True, output={"a": 1})

    output, agent_type = await _agent(_Runs(ended), "Which?")

    assert output == {"text": '{"a": 1}', "finish_reason": "stop", "value": {"a": 1}}
    assert agent_type is None


@pytest.mark.parametrize(
    ("ended", "wrong"),
    [
        (_said(error=ModelUnavailable()), ModelUnavailable),
        (_said(tool_calls=[ToolCall("1", "weather", "{}")]), AgentToolsWanted),
        (_said(Message("assistant", "x" * MOST_BYTES)), ExpressionFailed),
    ],
    ids=["the run fails", "the caller's tools are wanted", "it says too much"],
)
async def test_a_run_that_comes_to_nothing_fails_the_step(ended: Ended, wrong: type[Exception]) -> None:
    with pytest.raises(wrong):
        await _agent(_Runs(ended), "Which?")


async def test_an_agent_is_not_run_for_whoever_may_not_or_with_no_object_of_variables() -> None:
    agents = _Runs(_said())

    with pytest.raises(PermissionMissing):
        await _agent(agents, "Which?", may=False)
    with pytest.raises(ExpressionFailed):
        await _agent(agents, "Which?", [1.0], variables="[1]")

    assert agents.asked == []


async def test_between_its_turns_an_agent_is_asked_whether_it_goes_on() -> None:
    class Spent(Exception):
        pass

    class Searches(_Runs):
        async def run(self, asked: Run) -> AsyncGenerator[Any, None]:
            yield Searched("Which?", [])
            yield self._ended

    def spent() -> None:
        raise Spent

    caller = Principal(UUID(int=1), UUID(int=2), None, frozenset({Permission.AGENTS_EXECUTE}))
    with within(Call("test", "request", "ab" * 16, "cd" * 8, principal=caller)), pytest.raises(Spent):
        await _actions(agents=Searches(_said())).agent(AgentRun(str(AGENT_ID), "m"), ["Which?"], spent)


@pytest.mark.parametrize("query", ["", "日" * (MOST_QUERY_BYTES // 3 + 1)], ids=["nothing", "too much"])
async def test_what_no_search_takes_is_not_searched_for(query: str) -> None:
    caller = Principal(UUID(int=1), UUID(int=2), None, frozenset({Permission.KNOWLEDGE_BASES_READ}))

    with within(Call("test", "request", "ab" * 16, "cd" * 8, principal=caller)), pytest.raises(ExpressionFailed):
        await _actions().search(Search([str(AGENT_ID)], "${input.query}"), query)
