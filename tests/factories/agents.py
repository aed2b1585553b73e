"""What tests of agents do with them."""

from __future__ import annotations

from typing import Any

from atrium.workflow.v1 import agent_pb2 as pb
from tests.factories.world import Person, World


async def make_agent(world: World, person: Person, name: str = "ann", **fields: Any) -> Any:
    request = pb.CreateAgentRequest(name=name, **fields)
    return (await world.workflows.CreateAgent(request, metadata=person.metadata)).agent


async def get_agent(world: World, person: Person, agent_id: str, **fields: Any) -> Any:
    request = pb.GetAgentRequest(id=agent_id, **fields)
    return (await world.workflows.GetAgent(request, metadata=person.metadata)).agent


async def update_agent(world: World, person: Person, agent_id: str, **fields: Any) -> Any:
    request = pb.UpdateAgentRequest(id=agent_id, **fields)
    return (await world.workflows.UpdateAgent(request, metadata=person.metadata)).agent


def step_agent(world: World, verb: str, agent_id: str, metadata: Any, **fields: Any) -> Any:
    """The call that updates, deletes, restores or purges the agent. `verb`: as the method begins."""
    request = getattr(pb, f"{verb}AgentRequest")(id=agent_id, **fields)
    return getattr(world.workflows, f"{verb}Agent")(request, metadata=metadata)


async def listed_agents(world: World, person: Person, **fields: Any) -> list[str]:
    """Their names."""
    found = await world.workflows.ListAgents(pb.ListAgentsRequest(**fields), metadata=person.metadata)
    return [agent.name for agent in found.agents]
