"""Changes to workflows."""

from __future__ import annotations

from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of, numbers
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import WORKFLOW
from tests.rpc.workflow_requests import ONE_STEP

_KIND = "workflow"
_IN_A_CIRCLE = {"steps": [{"id": "one", "needs": ["one"], "transform": {"value": "1"}}]}


@change_of(WORKFLOW + "CreateWorkflow")
async def _(stage: Stage) -> Attempt:
    fields = {"name": f"made {next(numbers)}", "description": "Made", "visibility": 2, "definition": ONE_STEP}
    return stage.attempt(
        WORKFLOW + "CreateWorkflow",
        *("workflows.create", _KIND),
        fields,
        {**fields, "definition": _IN_A_CIRCLE},
        tables=("workflows",),
        beside=("workflow_versions",),
    )


@change_of(WORKFLOW + "UpdateWorkflow")
async def _(stage: Stage) -> Attempt:
    workflow_id = await stage.workflow()
    fields = {
        "id": workflow_id,
        "name": f"other {next(numbers)}",
        "description": "Other",
        "visibility": 1,
        "definition": {"steps": [{"id": "one", "transform": {"value": "2"}}]},
        "changelog": "Twice as much",
    }
    return stage.attempt(
        WORKFLOW + "UpdateWorkflow",
        *("workflows.update", _KIND),
        fields,
        {**fields, "id": SOME_ID},
        target=workflow_id,
        tables=("workflows",),
        beside=("workflow_versions",),
        old={"version": "v1.0"},
        new={"version": "v1.1"},
    )


@change_of(WORKFLOW + "DeleteWorkflow")
async def _(stage: Stage) -> Attempt:
    return by_id(stage, WORKFLOW + "DeleteWorkflow", "workflows.delete", _KIND, await stage.workflow())


@change_of(WORKFLOW + "RestoreWorkflow")
async def _(stage: Stage) -> Attempt:
    workflow_id = await stage.workflow()
    await stage.call(WORKFLOW + "DeleteWorkflow", id=workflow_id)
    return by_id(stage, WORKFLOW + "RestoreWorkflow", "workflows.restore", _KIND, workflow_id)


@change_of(WORKFLOW + "PurgeWorkflow")
async def _(stage: Stage) -> Attempt:
    workflow_id = await stage.workflow(stage.platform)
    await stage.call(WORKFLOW + "DeleteWorkflow", stage.platform, id=workflow_id)
    return by_id(
        stage,
        WORKFLOW + "PurgeWorkflow",
        *("workflows.purge", _KIND, workflow_id),
        by=stage.platform,
        beside=("workflow_versions",),
    )
