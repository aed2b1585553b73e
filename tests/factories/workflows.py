"""What tests of workflows do with them."""

from __future__ import annotations

from typing import Any

from atrium.workflow.v1 import definition_pb2
from atrium.workflow.v1 import workflow_pb2 as pb
from tests.factories.world import Person, World

EDITS = ("workflows:create", "workflows:read", "workflows:update", "workflows:delete")
"""What it takes to do everything with workflows but to execute, or publish, them."""

PERSONAL, TENANT, PUBLIC = (
    pb.Workflow.VISIBILITY_PERSONAL,
    pb.Workflow.VISIBILITY_TENANT,
    pb.Workflow.VISIBILITY_PUBLIC,
)


def transform(step_id: str, value: str = "1", **fields: Any) -> dict[str, Any]:
    """A step that computes the expression, as it is read again."""
    return {"id": step_id, "on_failure": 1, "transform": {"value": value}, **fields}


def defined(*steps: dict[str, Any], output: str = "") -> definition_pb2.WorkflowDefinition:
    """What the steps make. Without any: one step."""
    return definition_pb2.WorkflowDefinition(steps=steps or [transform("one")], output=output)


async def make_workflow(world: World, person: Person, name: str = "report", **fields: Any) -> str:
    """A workflow of one step unless its `definition` is given, shared unless its `visibility` is."""
    request = pb.CreateWorkflowRequest(name=name, **{"definition": defined(), "visibility": TENANT, **fields})
    return str((await world.workflows.CreateWorkflow(request, metadata=person.metadata)).workflow.id)


async def get_workflow(world: World, person: Person, workflow_id: str, **fields: Any) -> Any:
    request = pb.GetWorkflowRequest(id=workflow_id, **fields)
    return (await world.workflows.GetWorkflow(request, metadata=person.metadata)).workflow


async def update_workflow(world: World, person: Person, workflow_id: str, **fields: Any) -> Any:
    request = pb.UpdateWorkflowRequest(id=workflow_id, **fields)
    return (await world.workflows.UpdateWorkflow(request, metadata=person.metadata)).workflow


def step_workflow(world: World, verb: str, workflow_id: str, metadata: Any, **fields: Any) -> Any:
    """The call that updates, deletes, restores or purges the workflow. `verb`: as the method begins."""
    request = getattr(pb, f"{verb}WorkflowRequest")(id=workflow_id, **fields)
    return getattr(world.workflows, f"{verb}Workflow")(request, metadata=metadata)


async def listed(world: World, person: Person, **fields: Any) -> list[str]:
    found = await world.workflows.ListWorkflows(pb.ListWorkflowsRequest(**fields), metadata=person.metadata)
    return [workflow.name for workflow in found.workflows]


async def versions_of(world: World, person: Person, workflow_id: str) -> list[Any]:
    """Newest first."""
    request = pb.ListWorkflowVersionsRequest(workflow_id=workflow_id)
    return list((await world.workflows.ListWorkflowVersions(request, metadata=person.metadata)).versions)
