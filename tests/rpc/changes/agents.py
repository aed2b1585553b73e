"""Changes to agents."""

from __future__ import annotations

from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of, numbers
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import WORKFLOW

_KIND = "agent"
_SAID = {
    "description": "Made",
    "agent_type": "writer",
    "model": "local-chat",
    "prompt_template_id": SOME_ID,
    "prompt_label": "production",
    "temperature": 0.5,
    "max_tokens": 64,
    "knowledge_base_ids": [SOME_ID],
    "tools": [{"name": "look_up", "parameters": {"type": "object"}}],
    "output_schema": {"maxProperties": 3},
    "max_turns": 2,
}


@change_of(WORKFLOW + "CreateAgent")
async def _(stage: Stage) -> Attempt:
    taken = (await stage.call(WORKFLOW + "CreateAgent", name=f"taken {next(numbers)}")).agent.name
    fields = {**_SAID, "name": f"made {next(numbers)}"}
    return stage.attempt(
        WORKFLOW + "CreateAgent",
        *("agents.create", _KIND),
        fields,
        {**fields, "name": taken},
        tables=("agent_configs",),
    )


@change_of(WORKFLOW + "UpdateAgent")
async def _(stage: Stage) -> Attempt:
    agent_id = await stage.agent()
    fields = {**_SAID, "id": agent_id, "name": f"other {next(numbers)}"}
    return stage.attempt(
        WORKFLOW + "UpdateAgent",
        *("agents.update", _KIND),
        fields,
        {**fields, "id": SOME_ID},
        target=agent_id,
        tables=("agent_configs",),
    )


@change_of(WORKFLOW + "DeleteAgent")
async def _(stage: Stage) -> Attempt:
    return by_id(stage, WORKFLOW + "DeleteAgent", "agents.delete", _KIND, await stage.agent())


@change_of(WORKFLOW + "RestoreAgent")
async def _(stage: Stage) -> Attempt:
    agent_id = await stage.agent()
    await stage.call(WORKFLOW + "DeleteAgent", id=agent_id)
    return by_id(stage, WORKFLOW + "RestoreAgent", "agents.restore", _KIND, agent_id)


@change_of(WORKFLOW + "PurgeAgent")
async def _(stage: Stage) -> Attempt:
    agent_id = await stage.agent(stage.platform)
    await stage.call(WORKFLOW + "DeleteAgent", stage.platform, id=agent_id)
    return by_id(stage, WORKFLOW + "PurgeAgent", "agents.purge", _KIND, agent_id, by=stage.platform)
