"""Who sees executions, and what is refused of them."""

from __future__ import annotations

from time import monotonic
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2

from atrium.identity.v1 import role_pb2
from atrium.workflow.v1 import execution_pb2 as pb
from atrium.workflow.v1 import task_pb2, workflow_pb2
from tests.factories.executions import (
    State,
    approval,
    ended,
    execute,
    get,
    run,
    step_execution,
    transform,
    watched,
    workflow_of,
)
from tests.factories.knowledge import platform_inside
from tests.factories.world import World, refused
from tests.promptly import ENDED_WITHIN, within

Code = grpc.StatusCode
PERSONAL, PUBLIC = workflow_pb2.Workflow.VISIBILITY_PERSONAL, workflow_pb2.Workflow.VISIBILITY_PUBLIC
SOME_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
BY_ID = {
    "GetExecution": pb.GetExecutionRequest,
    "PauseExecution": pb.PauseExecutionRequest,
    "ResumeExecution": pb.ResumeExecutionRequest,
    "CancelExecution": pb.CancelExecutionRequest,
    "ReplayExecution": pb.ReplayExecutionRequest,
    "GetLineage": pb.GetLineageRequest,
}


async def _listed(world: World, person: Any, **fields: Any) -> list[str]:
    request = pb.ListExecutionsRequest(**fields)
    found = await world.workflows.ListExecutions(request, metadata=person.metadata)
    return [execution.id for execution in found.executions]


async def test_an_execution_of_a_personal_workflow_is_its_starters_and_those_who_change_workflows(world: World) -> None:
    owner = await world.tenant()
    author = await world.user(owner, "workflows:create", "workflows:execute")
    colleague = await world.user(owner, "workflows:read", "workflows:execute")
    workflow_id = await workflow_of(world, author, approval("asked"), visibility=PERSONAL)
    execution_id = (await execute(world, author, workflow_id)).id

    refusals = [
        await refused(getattr(world.workflows, name)(request(id=execution_id), metadata=colleague.metadata))
        for name, request in BY_ID.items()
    ]
    tasks = task_pb2.ListTasksRequest(execution_id=execution_id)
    refusals.append(await refused(world.workflows.ListTasks(tasks, metadata=colleague.metadata)))

    assert {(refusal.code, refusal.reason) for refusal in refusals} == {(Code.NOT_FOUND, "EXECUTION_NOT_FOUND")}
    assert [await _listed(world, one) for one in (colleague, author, owner)] == [[], [execution_id], [execution_id]]


async def test_a_watch_ends_for_who_sees_the_execution_no_more(world: World) -> None:
    owner = await world.tenant()
    author = await world.user(owner, "workflows:create", "workflows:execute")
    colleague = await world.user(owner, "workflows:read")
    role = await world.role(owner, "workflows:update")
    held = {"user_id": colleague.id, "role_id": role.id}
    await world.identity.AssignRole(role_pb2.AssignRoleRequest(**held), metadata=owner.metadata)
    workflow_id = await workflow_of(world, author, approval("asked"), visibility=PERSONAL)
    execution_id = (await execute(world, author, workflow_id)).id
    stream = world.workflows.WatchExecution(pb.WatchExecutionRequest(id=execution_id), metadata=colleague.metadata)
    async for _ in stream:
        break

    async def ends() -> float:
        await world.identity.UnassignRole(role_pb2.UnassignRoleRequest(**held), metadata=owner.metadata)
        lost_at = monotonic()
        refusal = await refused(stream)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "EXECUTION_NOT_FOUND")
        return monotonic() - lost_at

    await within(ENDED_WITHIN, ends)


async def test_another_tenants_execution_is_no_other_than_one_that_is_not_there(world: World) -> None:
    owner, stranger = await world.tenant(), await world.tenant()
    execution_id = (await run(world, owner, transform("one", "1"))).id

    for name, request in BY_ID.items():
        call = getattr(world.workflows, name)
        theirs = await refused(call(request(id=execution_id), metadata=stranger.metadata))
        nobodys = await refused(call(request(id=SOME_ID), metadata=stranger.metadata))

        assert (theirs.code, theirs.message) == (nobodys.code, nobodys.message) == (Code.NOT_FOUND, nobodys.message)
    assert await _listed(world, stranger) == []
    assert await _listed(world, stranger, workflow_id=(await get(world, owner, execution_id)).workflow_id) == []


async def test_a_public_workflow_is_executed_in_the_tenant_that_asks(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    workflow_id = await workflow_of(world, platform, transform("one", "input.word"), visibility=PUBLIC)

    execution_id = (await execute(world, owner, workflow_id, input={"word": "ours"})).id

    execution = await ended(world, owner, execution_id)
    assert (execution.state, execution.user_id) == (State.STATE_COMPLETED, owner.id)
    assert await _listed(world, platform) == []


async def test_the_platform_executes_inside_a_tenant_for_nobody_of_it(world: World) -> None:
    owner = await world.tenant()
    inside = await platform_inside(world, owner)
    workflow_id = await workflow_of(world, owner, transform("one", "1"))
    request = pb.ExecuteWorkflowRequest(workflow_id=workflow_id)

    made = (await world.workflows.ExecuteWorkflow(request, metadata=inside)).execution

    assert made.user_id == ""
    assert (await ended(world, owner, made.id)).state == State.STATE_COMPLETED


async def test_a_deleted_workflow_is_not_executed_and_what_is_under_way_goes_on(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await workflow_of(world, owner, approval("asked"))
    execution_id = (await execute(world, owner, workflow_id)).id
    delete = workflow_pb2.DeleteWorkflowRequest(id=workflow_id)
    await world.workflows.DeleteWorkflow(delete, metadata=owner.metadata)

    request = pb.ExecuteWorkflowRequest(workflow_id=workflow_id)
    refusal = await refused(world.workflows.ExecuteWorkflow(request, metadata=owner.metadata))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "WORKFLOW_DELETED")
    assert (await get(world, owner, execution_id)).state == State.STATE_RUNNING


async def test_a_version_is_executed_that_is_asked_for(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await workflow_of(world, owner, transform("one", "'first'"))
    change = workflow_pb2.UpdateWorkflowRequest(id=workflow_id, definition={"steps": [transform("one", "'second'")]})
    await world.workflows.UpdateWorkflow(change, metadata=owner.metadata)

    newest, oldest = [await execute(world, owner, workflow_id, version=version) for version in ("", "v1.0")]

    request = pb.ExecuteWorkflowRequest(workflow_id=workflow_id, version="v9.9")
    refusal = await refused(world.workflows.ExecuteWorkflow(request, metadata=owner.metadata))
    outputs = [(await ended(world, owner, one.id)).output.struct_value["one"] for one in (newest, oldest)]
    assert (newest.workflow_version, oldest.workflow_version, outputs) == ("v1.1", "v1.0", ["second", "first"])
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "WORKFLOW_VERSION_NOT_FOUND")


async def test_a_key_makes_one_execution(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await workflow_of(world, owner, transform("one", "1"))

    first, again = [await execute(world, owner, workflow_id, idempotency_key="key") for _ in range(2)]

    assert (first.id, await _listed(world, owner)) == (again.id, [first.id])


@pytest.mark.parametrize(
    ("value", "field"), [("x" * 300_000, "input"), ("a\0b", "input.fields[...].string_value")], ids=["large", "NUL"]
)
async def test_what_cannot_be_kept_is_refused_by_its_field(world: World, value: str, field: str) -> None:
    owner = await world.tenant()
    workflow_id = await workflow_of(world, owner, transform("one", "1"))
    given = struct_pb2.Struct(fields={"text": struct_pb2.Value(string_value=value)})

    request = pb.ExecuteWorkflowRequest(workflow_id=workflow_id, input=given)
    refusal = await refused(world.workflows.ExecuteWorkflow(request, metadata=owner.metadata))

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, [field])


async def test_a_watch_goes_on_behind_any_event(world: World) -> None:
    owner = await world.tenant()
    execution = await run(world, owner, transform("a", "1"), transform("b", "2", "a"))
    whole, _ = await watched(world, owner, execution.id)

    for after in range(len(whole) + 1):
        events, told = await watched(world, owner, execution.id, after)

        assert (events, told) == (whole[after:], execution)


async def test_a_list_is_of_what_is_asked_for_and_without_what_was_given(world: World) -> None:
    owner = await world.tenant()
    done = await run(world, owner, transform("one", "1"), input={"word": "Hello"})
    workflow_id = await workflow_of(world, owner, approval("asked"))
    waiting = (await execute(world, owner, workflow_id)).id
    await step_execution(world, owner, "Pause", waiting)

    request = pb.ListExecutionsRequest(state=State.STATE_COMPLETED)
    (found,) = (await world.workflows.ListExecutions(request, metadata=owner.metadata)).executions

    assert (found.id, found.HasField("input"), found.HasField("output")) == (done.id, False, False)
    assert await _listed(world, owner, workflow_id=workflow_id) == [waiting]
    assert await _listed(world, owner, trace_id=done.trace_id) == [done.id]
    assert await _listed(world, owner, state=State.STATE_PAUSED) == [waiting]
