"""Agents: who sees them, what is said of them, and what becomes of them."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from atrium.common.v1 import deleted_pb2
from atrium.workflow.v1 import agent_pb2 as pb
from server.kernel.json import MOST_DEPTH
from server.workflow.agents import MOST_BYTES
from tests.factories.agents import get_agent, listed_agents, make_agent, step_agent, update_agent
from tests.factories.knowledge import platform_inside
from tests.factories.nested import nested
from tests.factories.workflows import EDITS
from tests.factories.world import World, refused
from tests.rpc.malformed import SOME_ID

Code = grpc.StatusCode
BASES = ["01890a5d-ac96-774b-bcce-b30209900002", "01890a5d-ac96-774b-bcce-b30209900001"]
LOOK_UP: dict[str, Any] = {
    "name": "look_up",
    "description": "Looks an order up.",
    "parameters": {"type": "object", "properties": {"number": {"type": "integer", "minimum": 1}}},
}
PING = {"name": "ping"}
EVERYTHING: dict[str, Any] = {
    "description": "Answers mails",
    "agent_type": "writer",
    "model": "local-chat",
    "prompt_template_id": SOME_ID,
    "prompt_label": "production",
    "temperature": 0.125,
    "max_tokens": 64,
    "knowledge_base_ids": BASES,
    "tools": [LOOK_UP, PING],
    "output_schema": {"type": "object", "maxProperties": 3},
    "max_turns": 32,
}


def _said(agent: pb.Agent) -> pb.Agent:
    """The agent without what is Atrium's to say."""
    said = pb.Agent()
    said.CopyFrom(agent)
    for name in ("id", "etag", "create_time", "update_time"):
        assert said.HasField(name) if name.endswith("time") else getattr(said, name)
        said.ClearField(name)
    return said


async def test_an_agent_is_read_as_it_was_made(world: World) -> None:
    owner = await world.tenant()

    made = await make_agent(world, owner, "Ann 安", **EVERYTHING)

    assert made == await get_agent(world, owner, made.id)
    assert _said(made) == pb.Agent(name="Ann 安", **EVERYTHING)


async def test_lists_have_agents_without_what_may_be_much(world: World) -> None:
    owner = await world.tenant()
    made = await make_agent(world, owner, "ann", tools=[LOOK_UP], output_schema={"type": "object"})
    many = {"enum": [1] * 2_001}

    listed = await world.workflows.ListAgents(pb.ListAgentsRequest(), metadata=owner.metadata)
    refusal = await refused(make_agent(world, owner, "many", output_schema=many))

    (agent,) = listed.agents
    assert (agent.id, list(agent.tools), agent.HasField("output_schema")) == (made.id, [], False)
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_what_is_not_said_of_an_agent_is_usual(world: World) -> None:
    owner = await world.tenant()

    made = await make_agent(world, owner, "ann")

    assert _said(made) == pb.Agent(name="ann", max_turns=8)


async def test_whole_numbers_of_schemas_are_kept_as_integers_which_models_are_told(world: World, admin: Any) -> None:
    owner = await world.tenant()

    await make_agent(world, owner, **EVERYTHING)

    kept = await admin.fetchrow("SELECT tools #>> '{0,parameters}' AS of_tool, output_schema::text FROM agent_configs")
    assert '"minimum": 1}' in kept["of_tool"]
    assert kept["output_schema"] == '{"type": "object", "maxProperties": 3}'


async def test_what_is_set_is_changed_and_nothing_else(world: World) -> None:
    owner = await world.tenant()
    editor = await world.user(owner, *EDITS)
    made = await make_agent(world, owner, "ann", **EVERYTHING)
    other: dict[str, Any] = {
        "name": "bob",
        "agent_type": "planner",
        "model": "fast",
        "prompt_template_id": BASES[0],
        "prompt_label": "staging",
        "temperature": 0,
        "max_tokens": 1,
        "knowledge_base_ids": BASES[:1],
        "tools": [PING],
        "max_turns": 1,
    }

    changed = await update_agent(world, editor, made.id, **other)

    assert (changed.id, changed.create_time) == (made.id, made.create_time)
    assert changed.etag != made.etag
    assert changed == await get_agent(world, owner, made.id)
    assert _said(changed) == pb.Agent(**{**EVERYTHING, **other})


async def test_what_the_mask_names_and_is_unset_is_cleared(world: World) -> None:
    owner = await world.tenant()
    made = await make_agent(world, owner, "ann", **EVERYTHING)

    cleared = await update_agent(world, owner, made.id, update_mask={"paths": sorted(EVERYTHING)})

    assert cleared == await get_agent(world, owner, made.id)
    assert _said(cleared) == pb.Agent(name="ann", max_turns=8)


async def test_a_label_goes_with_a_prompt_whatever_is_changed_of_the_two(world: World) -> None:
    owner = await world.tenant()
    without = await make_agent(world, owner, "ann")
    labelled = await make_agent(world, owner, "bob", prompt_template_id=SOME_ID, prompt_label="production")

    for call in (
        update_agent(world, owner, without.id, prompt_label="production"),
        update_agent(world, owner, labelled.id, update_mask={"paths": ["prompt_template_id"]}),
    ):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason, refusal.fields) == (
            Code.INVALID_ARGUMENT,
            "INVALID_REQUEST",
            ["prompt_label"],
        )
    both = await update_agent(world, owner, without.id, prompt_template_id=SOME_ID, prompt_label="production")
    neither = {"paths": ["prompt_template_id", "prompt_label"]}
    cleared = await update_agent(world, owner, labelled.id, update_mask=neither)

    assert (both.prompt_template_id, both.prompt_label) == (SOME_ID, "production")
    assert (cleared.prompt_template_id, cleared.prompt_label) == ("", "")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"output_schema": {"title": "t" * MOST_BYTES}}, "output_schema"),
        ({"output_schema": nested(MOST_DEPTH + 1)}, "output_schema"),
        ({"output_schema": {"minimum": float("nan")}}, "output_schema"),
        ({"tools": [{**LOOK_UP, "parameters": {"title": "t" * MOST_BYTES}}]}, "tools"),
        ({"tools": [{"name": f"t{n}", "description": "d" * 4096} for n in range(16)]}, "tools"),
        ({"tools": [{**LOOK_UP, "parameters": {"minimum": float("inf")}}]}, "tools"),
    ],
    ids=["a large schema", "a deep one", "no number in it", "a large tool", "large tools", "no number in one"],
)
async def test_what_is_more_than_an_agent_holds_is_refused(world: World, fields: dict[str, Any], field: str) -> None:
    owner = await world.tenant()
    agent = await make_agent(world, owner)

    refusals = [
        await refused(make_agent(world, owner, "bob", **fields)),
        await refused(update_agent(world, owner, agent.id, **fields)),
    ]

    for refusal in refusals:
        assert (refusal.code, refusal.reason, refusal.fields) == (Code.INVALID_ARGUMENT, "INVALID_REQUEST", [field])


async def test_what_is_as_deep_as_it_may_be_is_read(world: World) -> None:
    owner = await world.tenant()
    made = await make_agent(world, owner, output_schema=nested(MOST_DEPTH))

    found = await get_agent(world, owner, made.id)

    assert found == made


async def test_an_agent_is_there_for_everyone_in_its_tenant_who_reads_workflows_and_for_nobody_else(
    world: World,
) -> None:
    owner, other, platform = await world.tenant(), await world.tenant(), await world.platform()
    reader, nobody = await world.user(owner, "workflows:read"), await world.nobody(owner)
    agent = await make_agent(world, owner, "ann")

    assert await get_agent(world, reader, agent.id) == agent
    assert await listed_agents(world, reader) == ["ann"]
    for somebody in (other, platform):
        assert await listed_agents(world, somebody) == []
        refusal = await refused(get_agent(world, somebody, agent.id))
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "AGENT_NOT_FOUND")
    for call in (
        get_agent(world, nobody, agent.id),
        make_agent(world, reader, "bob"),
        update_agent(world, reader, agent.id, name="bob"),
        step_agent(world, "Delete", agent.id, reader.metadata),
    ):
        assert (await refused(call)).reason == "PERMISSION_MISSING"


async def test_a_list_is_of_one_kind_and_comes_in_pages_each_agent_once(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    for name, kind in (("ann", "writer"), ("bob", ""), ("cy", "writer"), ("dee", "writer")):
        await make_agent(world, owner, name, agent_type=kind)

    request, pages = pb.ListAgentsRequest(agent_type="writer", page_size=2), []
    while not pages or request.page_token:
        reply = await world.workflows.ListAgents(request, metadata=owner.metadata)
        pages.append([agent.name for agent in reply.agents])
        token, request.page_token = request.page_token, reply.next_page_token
    request.page_token = token
    refusal = await refused(world.workflows.ListAgents(request, metadata=other.metadata))

    assert pages == [["dee", "cy"], ["ann"]]
    assert await listed_agents(world, owner) == ["dee", "cy", "bob", "ann"]
    assert await listed_agents(world, owner, agent_type="planner") == []
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_names_are_unique_among_the_live_agents_of_a_tenant(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    await make_agent(world, other, "same")
    first, another = await make_agent(world, owner, "same"), await make_agent(world, owner, "another")

    for call in (make_agent(world, owner, "same"), update_agent(world, owner, another.id, name="same")):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "AGENT_NAME_TAKEN")
        assert refusal.message == "Another agent is called same."
    await step_agent(world, "Delete", first.id, owner.metadata)

    assert (await update_agent(world, owner, another.id, name="same")).name == "same"
    assert (await refused(step_agent(world, "Restore", first.id, owner.metadata))).reason == "AGENT_NAME_TAKEN"


async def test_of_several_who_take_a_name_at_one_moment_one_has_it(world: World) -> None:
    owner = await world.tenant()

    made = await asyncio.gather(*(make_agent(world, owner, "same") for _ in range(4)), return_exceptions=True)

    refusals = [one.code() for one in made if isinstance(one, grpc.aio.AioRpcError)]
    assert refusals == [Code.ALREADY_EXISTS] * 3
    assert await listed_agents(world, owner) == ["same"]


async def test_a_deleted_agent_is_hidden_refused_and_brought_back_as_it_was(world: World) -> None:
    owner = await world.tenant()
    before = await make_agent(world, owner, "ann", **EVERYTHING)
    await step_agent(world, "Delete", before.id, owner.metadata)

    assert await listed_agents(world, owner) == []
    assert await listed_agents(world, owner, deleted=deleted_pb2.DELETED_ONLY, agent_type="writer") == ["ann"]
    hidden = await get_agent(world, owner, before.id, deleted=deleted_pb2.DELETED_INCLUDE)
    assert hidden.HasField("delete_time")
    for call in (
        get_agent(world, owner, before.id),
        update_agent(world, owner, before.id, name="mine"),
        step_agent(world, "Delete", before.id, owner.metadata),
    ):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "AGENT_NOT_FOUND")
    restored = (await step_agent(world, "Restore", before.id, owner.metadata)).agent
    assert restored == await get_agent(world, owner, before.id)
    restored.update_time.CopyFrom(before.update_time)
    assert restored == before


async def test_a_live_agent_is_neither_restored_nor_purged_and_a_purged_one_is_gone(world: World) -> None:
    owner = await world.tenant()
    inside = await platform_inside(world, owner)
    agent_id = (await make_agent(world, owner)).id

    for verb in ("Restore", "Purge"):
        refusal = await refused(step_agent(world, verb, agent_id, inside))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "NOT_DELETED")
    await step_agent(world, "Delete", agent_id, owner.metadata)
    await step_agent(world, "Purge", agent_id, inside)
    assert await listed_agents(world, owner, deleted=deleted_pb2.DELETED_INCLUDE) == []
    for verb in ("Restore", "Purge"):
        assert (await refused(step_agent(world, verb, agent_id, inside))).reason == "AGENT_NOT_FOUND"


@pytest.mark.parametrize("verb", ["Update", "Delete"])
async def test_a_change_is_refused_where_the_agent_changed_since(world: World, verb: str) -> None:
    owner = await world.tenant()
    agent = await make_agent(world, owner)
    changed = await update_agent(world, owner, agent.id, max_turns=2, etag=agent.etag)

    refusal = await refused(step_agent(world, verb, agent.id, owner.metadata, etag=agent.etag))

    assert changed.etag != agent.etag
    assert (refusal.code, refusal.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    assert await get_agent(world, owner, agent.id) == changed
    await step_agent(world, verb, agent.id, owner.metadata, etag=changed.etag)
