"""Changes to executions."""

from __future__ import annotations

from tests.factories.executions import tasks_of
from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import WORKFLOW

_KIND = "execution"
_EVENTS = ("execution_events",)
_ENDS = ("execution_events", "workflow_tasks")
_BEGINS = ("execution_events", "workflow_tasks", "workflows")


@change_of(WORKFLOW + "ExecuteWorkflow")
async def _(stage: Stage) -> Attempt:
    workflow_id = await stage.workflow()
    await stage.hold(stage.owner.tenant_id)
    fields = {"workflow_id": workflow_id, "priority": 3, "budget": {"max_tokens": 100}}
    return stage.attempt(
        WORKFLOW + "ExecuteWorkflow",
        *("executions.create", _KIND),
        fields,
        {**fields, "version": "v9.9"},
        tables=("workflow_executions",),
        beside=_BEGINS,
    )


@change_of(WORKFLOW + "ReplayExecution")
async def _(stage: Stage) -> Attempt:
    execution_id = await stage.execution()
    await stage.hold(stage.owner.tenant_id)
    return stage.attempt(
        WORKFLOW + "ReplayExecution",
        *("executions.create", _KIND),
        {"id": execution_id},
        {"id": execution_id, "from_step_id": "other"},
        tables=("workflow_executions",),
        beside=_BEGINS,
        new={"parent_execution_id": execution_id},
    )


@change_of(WORKFLOW + "PauseExecution")
async def _(stage: Stage) -> Attempt:
    execution_id = await stage.execution()
    return stage.attempt(
        WORKFLOW + "PauseExecution",
        *("executions.pause", _KIND),
        {"id": execution_id, "reason": "Not now"},
        {"id": SOME_ID},
        target=execution_id,
        tables=("workflow_executions",),
        beside=_EVENTS,
    )


@change_of(WORKFLOW + "ResumeExecution")
async def _(stage: Stage) -> Attempt:
    execution_id = await stage.execution()
    await stage.call(WORKFLOW + "PauseExecution", id=execution_id, reason="Not now")
    return by_id(stage, WORKFLOW + "ResumeExecution", "executions.resume", _KIND, execution_id, beside=_EVENTS)


@change_of(WORKFLOW + "CancelExecution")
async def _(stage: Stage) -> Attempt:
    return by_id(stage, WORKFLOW + "CancelExecution", "executions.cancel", _KIND, await stage.execution(), beside=_ENDS)


@change_of(WORKFLOW + "CompleteTask")
async def _(stage: Stage) -> Attempt:
    execution_id = await stage.execution()
    task_id = (await tasks_of(stage.world, stage.owner, execution_id))["asked", 0].id
    fields = {"execution_id": execution_id, "id": task_id, "decision": 1, "comment": "Well"}
    told = {"task_id": task_id, "step_id": "asked", "decision": "approve", "comment": "Well"}
    return stage.attempt(
        WORKFLOW + "CompleteTask",
        *("executions.decide", _KIND),
        fields,
        {**fields, "id": SOME_ID},
        target=execution_id,
        tables=("workflow_executions",),
        beside=_BEGINS,
        new=told,
    )
