"""Runs of agents: what they look up, what they have done, and how they end."""

from __future__ import annotations

import asyncio
import json
import re
from time import monotonic
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2

from atrium.errors.v1 import error_reason_pb2
from atrium.identity.v1 import role_pb2
from atrium.model.v1 import chat_pb2
from atrium.tenant.v1 import tenant_config_pb2
from atrium.workflow.v1 import agent_run_pb2 as pb
from tests.factories.agents import make_agent
from tests.factories.api_keys import make_account, make_key, with_key
from tests.factories.knowledge import make_base
from tests.factories.models import make_model
from tests.factories.prompts import NAME, make_template, make_version, set_label
from tests.factories.searches import indexed
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER, logs_of
from tests.promptly import ENDED_WITHIN, within
from tests.rpc.malformed import SOME_ID

Code = grpc.StatusCode
SCRIPT = "stub-script"
RUNS = ("agents:execute", "models:execute", "knowledge_bases:read")
SEARCH = "search_knowledge"
SOURCES = ("Sweet water runs down the hill", "Salt water fills the sea", "Flour and yeast make bread")
SALT = {"query": "Which water is salt?"}
WEATHER = {"name": "weather", "description": "The weather of a city."}
USER, ASSISTANT, TOOL = (
    chat_pb2.ChatMessage.ROLE_USER,
    chat_pb2.ChatMessage.ROLE_ASSISTANT,
    chat_pb2.ChatMessage.ROLE_TOOL,
)


@pytest.fixture
async def owner(library: World, stub: OpenAIStub) -> Person:
    await make_model(library, stub.base_url, SCRIPT, usd=1, supports_function_calling=True)
    return await library.tenant()


async def _base(world: World, owner: Person) -> str:
    base_id = await make_base(world, owner)
    await indexed(world, owner, base_id, *SOURCES)
    return base_id


async def _agent(world: World, owner: Person, **fields: Any) -> str:
    return str((await make_agent(world, owner, **{"model": SCRIPT, **fields})).id)


def _says(*turns: dict[str, Any]) -> chat_pb2.ChatMessage:
    return chat_pb2.ChatMessage(role=USER, content=f"Please: {json.dumps(turns)}")


def _running(world: World, person: Person | Any, agent_id: str, *messages: Any, **fields: Any) -> Any:
    request = pb.RunAgentRequest(agent_id=agent_id, messages=messages, **fields)
    metadata = person.metadata if isinstance(person, Person) else person
    return world.workflows.RunAgent(request, metadata=metadata, timeout=NOT_FOR_EVER)


async def _run(world: World, person: Person | Any, agent_id: str, *messages: Any, **fields: Any) -> list[Any]:
    events = [event async for event in _running(world, person, agent_id, *messages, **fields)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event for event in events if not event.HasField("heartbeat")]


def _kinds(events: list[Any]) -> list[str]:
    kinds: list[str] = [event.WhichOneof("event") for event in events]
    return [kind for place, kind in enumerate(kinds) if kind != "delta" or kinds[place - 1 : place] != ["delta"]]


async def test_what_a_model_looks_up_is_found_and_told_it_and_it_answers(
    library: World, owner: Person, stub: OpenAIStub
) -> None:
    agent_id = await _agent(library, owner, knowledge_base_ids=[await _base(library, owner)])
    person = await library.user(owner, *RUNS)

    events = await _run(library, person, agent_id, _says({"calls": [[SEARCH, SALT]]}, {"text": "The sea's [1]."}))

    end = events[-1].ended
    assert _kinds(events) == ["turn", "searched", "delta", "turn", "ended"]
    searched = events[1].searched
    assert (searched.query, searched.sources[0].content) == (SALT["query"], SOURCES[1])
    assert [message.role for message in end.messages] == [ASSISTANT, TOOL, ASSISTANT]
    assert end.messages[1].tool_call_id == end.messages[0].tool_calls[0].id
    assert end.messages[1].content.startswith("[1] ")
    assert SOURCES[1] in end.messages[1].content
    assert (end.messages[2].content, end.finish_reason) == ("The sea's [1]. ", chat_pb2.FINISH_REASON_STOP)
    assert not end.tool_calls
    told = [one.body["messages"] for one in stub.exchanges if one.body["model"] == SCRIPT][-1]
    assert [(message["role"], message["content"]) for message in told[1:]] == [
        ("assistant", ""),
        ("tool", end.messages[1].content),
    ]
    logs = [log for log in await logs_of(library, owner) if log.kind == log.KIND_CHAT]
    assert {log.user_id for log in logs} == {person.id}
    assert {log.id for log in logs} == {event.turn.call_log_id for event in events if event.HasField("turn")}
    assert end.usage.total_tokens == sum(log.usage.total_tokens for log in logs)
    assert float(end.usage.cost_usd) == pytest.approx(sum(float(log.usage.cost_usd) for log in logs))


async def test_a_tool_of_the_callers_ends_the_run_which_goes_on_with_its_result(library: World, owner: Person) -> None:
    base_id = await _base(library, owner)
    agent_id = await _agent(library, owner, knowledge_base_ids=[base_id], tools=[WEATHER])
    asked = _says({"calls": [[SEARCH, SALT], ["weather", {"city": "Oslo"}]]}, {"text": "It rains on the sea."})

    first = (await _run(library, owner, agent_id, asked))[-1].ended
    result = chat_pb2.ChatMessage(role=TOOL, content="Rain", tool_call_id=first.tool_calls[0].id)
    second = (await _run(library, owner, agent_id, asked, *first.messages, result))[-1].ended

    assert first.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS
    assert [(call.name, json.loads(call.arguments)) for call in first.tool_calls] == [("weather", {"city": "Oslo"})]
    assert [message.role for message in first.messages] == [ASSISTANT, TOOL]
    assert [message.content for message in second.messages] == ["It rains on the sea. "]
    assert second.finish_reason == chat_pb2.FINISH_REASON_STOP


async def test_a_model_that_calls_no_tools_is_told_what_is_found_for_the_last_message(
    library: World, owner: Person, stub: OpenAIStub
) -> None:
    base_id = await _base(library, owner)
    agent_id = await _agent(library, owner, model="stub-fast-3", knowledge_base_ids=[base_id])
    asked = chat_pb2.ChatMessage(role=USER, content=SALT["query"])

    events = await _run(library, owner, agent_id, asked)

    assert _kinds(events) == ["searched", "delta", "turn", "ended"]
    assert events[0].searched.sources[0].content == SOURCES[1]
    told = stub.exchanges[-1].body
    assert told["messages"][-1]["content"].startswith("Sources:\n\n[1] ")
    assert told["messages"][-1]["content"].endswith(f"\n\nQuestion: {SALT['query']}")
    assert "tools" not in told
    assert [message.content for message in events[-1].ended.messages] == ["t0 t1 t2 "]


async def test_a_run_begins_with_the_agents_prompt_and_goes_by_its_settings(
    library: World, owner: Person, stub: OpenAIStub
) -> None:
    template_id = await make_template(library, owner)
    await make_version(library, owner, template_id, "Speak with {{ name }}.", variables=[NAME])
    await set_label(library, owner, template_id, "production", "v1.0")
    await make_version(library, owner, template_id, "Say nothing.")
    agent_id = await _agent(
        library,
        owner,
        prompt_template_id=template_id,
        prompt_label="production",
        temperature=0.25,
        max_tokens=7,
    )
    asked = _says({"text": "Hello."})

    await _run(library, owner, agent_id, asked, variables={"name": "Ada"})
    refusal = await refused(_running(library, owner, agent_id, asked))

    told = stub.exchanges[-1].body
    assert told["messages"][0] == {"role": "system", "content": "Speak with Ada."}
    assert (told["temperature"], told["max_tokens"]) == (0.25, 7)
    assert refusal.code == Code.INVALID_ARGUMENT
    assert "name" in str(refusal)


async def test_in_its_last_turn_a_model_looks_nothing_up(library: World, owner: Person, stub: OpenAIStub) -> None:
    agent_id = await _agent(library, owner, knowledge_base_ids=[await _base(library, owner)], max_turns=2)
    looks = {"text": "Enough.", "calls": [[SEARCH, SALT]]}

    events = await _run(library, owner, agent_id, _says(looks, looks, looks))

    asked = [one.body.get("tool_choice") for one in stub.exchanges if one.body["model"] == SCRIPT]
    assert _kinds(events) == ["delta", "turn", "searched", "delta", "turn", "ended"]
    assert asked == ["auto", "none"]
    assert events[-1].ended.finish_reason == chat_pb2.FINISH_REASON_STOP


async def test_what_a_model_asks_for_wrongly_it_is_told(library: World, owner: Person) -> None:
    agent_id = await _agent(library, owner, knowledge_base_ids=[await _base(library, owner)])
    wrong = ["{", "[]", "{}", {"query": ""}, {"query": 7}, {"query": "q" * 8193}, {"query": "a\0b"}]
    calls = [[SEARCH, one] for one in (*wrong, SALT, SALT)]

    events = await _run(library, owner, agent_id, _says({"calls": calls}, {"text": "Well."}))

    told = [message.content for message in events[-1].ended.messages if message.role == TOOL]
    assert _kinds(events) == ["turn", "searched", "delta", "turn", "ended"]
    assert told[:7] == ['Not looked up: the arguments are to be {"query": "..."}.'] * 7
    assert told[7].startswith("[1] ")
    assert told[8] == "Not looked up: there were too many searches."


async def test_an_answer_that_has_a_schema_is_read_as_json(library: World, owner: Person, stub: OpenAIStub) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    agent_id = await _agent(library, owner, output_schema=schema)

    good = (await _run(library, owner, agent_id, _says({"text": '{"city": "Oslo"}'})))[-1].ended
    null = (await _run(library, owner, agent_id, _says({"text": "null"})))[-1].ended
    deep = (await _run(library, owner, agent_id, _says({"text": "[" * 60 + "]" * 60})))[-1].ended
    bad = (await _run(library, owner, agent_id, _says({"text": "Oslo"})))[-1].ended

    form = stub.exchanges[-1].body["response_format"]
    assert (form["type"], form["json_schema"]["schema"]) == ("json_schema", schema)
    assert (MessageToDict(good.output), good.error_reason) == ({"city": "Oslo"}, 0)
    assert null.output.WhichOneof("kind") == "null_value"
    assert not bad.HasField("output")
    assert not deep.HasField("output")
    assert bad.error_reason == deep.error_reason == error_reason_pb2.ERROR_REASON_ANSWER_NOT_JSON
    assert [message.content for message in bad.messages] == ["Oslo "]


async def test_what_fails_before_anything_came_is_a_status_and_afterwards_the_end(
    library: World, owner: Person
) -> None:
    agent_id = await _agent(library, owner, knowledge_base_ids=[await _base(library, owner)])
    fails = {"refuses": "400 Bad Request"}

    refusal = await refused(_running(library, owner, agent_id, _says(fails)))
    events = await _run(library, owner, agent_id, _says({"calls": [[SEARCH, SALT]]}, fails))

    end = events[-1].ended
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "MODEL_REQUEST_REJECTED")
    assert _kinds(events) == ["turn", "searched", "turn", "ended"]
    assert end.error_reason == error_reason_pb2.ERROR_REASON_MODEL_REQUEST_REJECTED
    assert end.error_message
    assert [message.role for message in end.messages] == [ASSISTANT, TOOL]
    assert end.finish_reason == events[2].turn.finish_reason == chat_pb2.FINISH_REASON_UNSPECIFIED


async def test_of_a_model_that_is_told_sources_a_failed_turn_is_told_too(library: World, owner: Person) -> None:
    agent_id = await _agent(library, owner, model="stub-500", knowledge_base_ids=[await _base(library, owner)])

    events = await _run(library, owner, agent_id, chat_pb2.ChatMessage(role=USER, content=SALT["query"]))

    (log,) = [log for log in await logs_of(library, owner) if log.kind == log.KIND_CHAT]
    assert _kinds(events) == ["searched", "turn", "ended"]
    assert events[1].turn.call_log_id == log.id
    assert events[2].ended.error_reason == error_reason_pb2.ERROR_REASON_MODEL_UNAVAILABLE


async def test_a_model_that_looks_things_up_whatever_it_is_told_comes_to_an_end(
    library: World, owner: Person, stub: OpenAIStub
) -> None:
    await make_model(library, stub.base_url, "stub-tools-2", usd=1, supports_function_calling=True)
    base_id = await _base(library, owner)
    agent_id = await _agent(library, owner, model="stub-tools-2", knowledge_base_ids=[base_id], max_turns=2)
    looks = _says({"calls": [[SEARCH, SALT]]}, {"text": "Well."})
    bare_id = await _agent(library, owner, name="bare")

    events = await _run(library, owner, agent_id, chat_pb2.ChatMessage(role=USER, content="Hello"))
    bare = (await _run(library, owner, bare_id, looks))[-1].ended

    end = events[-1].ended
    assert _kinds(events) == ["turn", "turn", "ended"]
    assert end.error_reason == error_reason_pb2.ERROR_REASON_AGENT_TURNS_SPENT
    assert [message.role for message in end.messages] == [ASSISTANT, TOOL, TOOL] * 2
    assert [message.content for message in bare.messages][1:] == [
        "Not looked up: there is nothing to search.",
        "Well. ",
    ]


async def test_in_its_last_turn_a_model_may_call_the_callers_tools(
    library: World, owner: Person, stub: OpenAIStub
) -> None:
    base_id = await _base(library, owner)
    agent_id = await _agent(library, owner, knowledge_base_ids=[base_id], tools=[WEATHER], max_turns=1)

    events = await _run(library, owner, agent_id, _says({"calls": [["weather", {}]]}))

    told = stub.exchanges[-1].body
    assert _kinds(events) == ["searched", "turn", "ended"], "with one turn it is told what is found"
    assert [call.name for call in events[-1].ended.tool_calls] == ["weather"]
    assert [tool["function"]["name"] for tool in told["tools"]] == ["weather"]


async def test_calls_that_a_provider_leaves_bare_can_be_sent_again(library: World, owner: Person) -> None:
    agent_id = await _agent(library, owner, tools=[WEATHER])
    asked = _says({"calls": [["weather", {}], ["", {}], ["w" * 65, {}]], "ids": ["", "b", "c"]}, {"text": "Well."})

    first = (await _run(library, owner, agent_id, asked))[-1].ended
    (call,) = first.tool_calls
    result = chat_pb2.ChatMessage(role=TOOL, content="Rain", tool_call_id=call.id)
    second = (await _run(library, owner, agent_id, asked, *first.messages, result))[-1].ended

    assert call.id.startswith("call-")
    assert [message.content for message in second.messages] == ["Well. "]


async def test_each_turn_counts_within_the_limits(library: World, owner: Person) -> None:
    agent_id = await _agent(library, owner, knowledge_base_ids=[await _base(library, owner)], max_tokens=16)
    looks = _says({"calls": [[SEARCH, SALT]]}, {"text": "Well."})
    await _limit(library, owner, 1)
    refusal = await refused(_running(library, owner, agent_id, looks))
    (used, needed) = (int(re.findall(told, refusal.message)[0]) for told in (r"(\d+) are used", r"may need (\d+)"))

    # Room for the first turn alone: the second one has what was found to read too.
    await _limit(library, owner, used + needed)
    short = await _run(library, owner, agent_id, looks)
    await _limit(library, owner, used + 100 * needed)
    enough = await _run(library, owner, agent_id, looks)

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    assert _kinds(short) == ["turn", "searched", "ended"]
    assert short[-1].ended.error_reason == error_reason_pb2.ERROR_REASON_LIMIT_REACHED
    assert [message.role for message in short[-1].ended.messages] == [ASSISTANT, TOOL]
    assert enough[-1].ended.error_reason == 0


async def _limit(world: World, owner: Person, tokens: int) -> None:
    """So many tokens a month, for the tenant."""
    limits = tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=owner.tenant_id, monthly_token_quota=tokens)
    await world.tenants.UpdateTenantConfig(limits, metadata=(await world.platform()).metadata)


async def test_whoever_lacks_what_a_run_takes_is_refused_before_a_model_is_asked(
    library: World, owner: Person, stub: OpenAIStub
) -> None:
    agent_id = await _agent(library, owner, knowledge_base_ids=[await _base(library, owner)])
    bare_id = await _agent(library, owner, name="bare")
    looks = _says({"text": "Well."})
    scopes = [[one for one in RUNS if one != lacking] for lacking in RUNS]
    keys = [with_key((await make_key(library, owner, *some)).secret) for some in (*scopes, RUNS[:2])]
    stranger = await library.tenant()

    refusals = [await refused(_running(library, key, agent_id, looks)) for key in keys[:3]]
    abroad = await refused(_running(library, stranger, agent_id, looks))
    nowhere = await refused(_running(library, stranger, SOME_ID, looks))

    assert {(refusal.code, refusal.reason) for refusal in refusals} == {(Code.PERMISSION_DENIED, "PERMISSION_MISSING")}
    assert (abroad.code, abroad.reason) == (nowhere.code, nowhere.reason) == (Code.NOT_FOUND, "AGENT_NOT_FOUND")
    assert not [one for one in stub.exchanges if one.body["model"] == SCRIPT]
    assert _kinds(await _run(library, keys[3], bare_id, looks)) == ["delta", "turn", "ended"]


@pytest.mark.parametrize("model", ["stub-slow-2000", "stub-silent"])
async def test_whoever_loses_the_models_in_a_run_hears_no_more(
    library: World, owner: Person, stub: OpenAIStub, model: str
) -> None:
    agent_id = await _agent(library, owner, model=model)
    account = await make_account(library, owner, "agents:execute")
    role = await library.role(owner, "models:execute")
    held = {"user_id": account, "role_id": role.id}
    await library.identity.AssignRole(role_pb2.AssignRoleRequest(**held), metadata=owner.metadata)
    key = with_key((await make_key(library, owner, *RUNS[:2], user_id=account)).secret)
    stream = _running(library, key, agent_id, chat_pb2.ChatMessage(role=USER, content="Go on."))
    exchange = await asyncio.wait_for(stub.arrival(), NOT_FOR_EVER)

    async def ends() -> float:
        await library.identity.UnassignRole(role_pb2.UnassignRoleRequest(**held), metadata=owner.metadata)
        lost_at = monotonic()
        refusal = await refused(stream)
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
        return monotonic() - lost_at

    await within(ENDED_WITHIN, ends)
    await asyncio.wait_for(exchange.left.wait(), NOT_FOR_EVER)


async def test_what_an_agent_names_and_is_not_there_is_told(library: World, owner: Person) -> None:
    looks = _says({"calls": [[SEARCH, SALT]]}, {"text": "Well."})
    without_model = await _agent(library, owner, name="a", model="nothing")
    without_prompt = await _agent(library, owner, name="b", prompt_template_id=SOME_ID)
    without_base = await _agent(library, owner, name="c", knowledge_base_ids=[SOME_ID])
    bare = await _agent(library, owner, name="d")

    refusals = [await refused(_running(library, owner, one, looks)) for one in (without_model, without_prompt)]
    end = (await _run(library, owner, without_base, looks))[-1].ended
    silent = await refused(_running(library, owner, bare))

    assert [refusal.reason for refusal in refusals] == ["MODEL_NOT_FOUND", "TEMPLATE_NOT_FOUND"]
    assert end.error_reason == error_reason_pb2.ERROR_REASON_KNOWLEDGE_BASE_NOT_FOUND
    assert (end.finish_reason, list(end.messages)) == (0, []), "calls that nothing answers cannot be sent again"
    assert silent.code == Code.INVALID_ARGUMENT
    assert [one.field for one in silent.detail(error_details_pb2.BadRequest).field_violations] == ["messages"]


async def test_a_run_that_is_left_stops_its_model_and_is_on_record(
    library: World, owner: Person, stub: OpenAIStub
) -> None:
    agent_id = await _agent(library, owner, model="stub-slow-2000")
    call = _running(library, owner, agent_id, chat_pb2.ChatMessage(role=USER, content="Go on."))
    assert (await call.read()).HasField("delta")

    call.cancel()

    await asyncio.wait_for(stub.exchanges[-1].left.wait(), NOT_FOR_EVER)
    async with asyncio.timeout(NOT_FOR_EVER):
        while not (logs := await logs_of(library, owner)):  # noqa: ASYNC110 - it is written down behind the caller
            await asyncio.sleep(0.02)
    assert [log.status for log in logs] == [logs[0].STATUS_CANCELLED]
