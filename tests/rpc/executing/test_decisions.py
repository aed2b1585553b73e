"""What waits: for somebody, for a time, for a place; and what is paused, ended and repeated."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from atrium.workflow.v1 import execution_pb2 as pb
from atrium.workflow.v1 import task_pb2
from server.db.statements import Statement
from server.workflow.store import executions as store
from tests.factories.executions import (
    Kind,
    State,
    TaskState,
    approval,
    decide,
    ended,
    execute,
    get,
    kinds,
    plain,
    run,
    step_execution,
    tasks_of,
    transform,
    until,
    wait,
    watched,
    workflow_of,
)
from tests.factories.knowledge import platform_inside
from tests.factories.searches import configure
from tests.factories.workflows import step_workflow
from tests.factories.world import Person, World, refused

APPROVE, REJECT, MODIFY = 1, 2, 3
Code = grpc.StatusCode


async def _waiting(world: World, owner: Person, *more: Any, **fields: Any) -> str:
    """The execution whose first step waits for somebody."""
    step = approval("asked", message="Send ${input.text}?", value="input.text", **fields)
    workflow_id = await workflow_of(world, owner, step, *more)
    execution_id = str((await execute(world, owner, workflow_id, input={"text": "Hello"})).id)
    await until(world, owner, execution_id, Kind.KIND_TASK_WAITING, "asked")
    return execution_id


@pytest.mark.parametrize(
    ("decision", "fields", "value"),
    [(APPROVE, {}, "Hello"), (MODIFY, {"value": {"string_value": "Good day"}}, "Good day")],
)
async def test_what_somebody_decides_is_what_the_step_comes_to(
    world: World, decision: int, fields: dict[str, Any], value: str
) -> None:
    owner = await world.tenant()
    execution_id = await _waiting(world, owner, transform("sent", "steps.asked.output.value", "asked"))
    task = (await tasks_of(world, owner, execution_id))["asked", 0]

    decided = await decide(world, owner, execution_id, "asked", decision, comment="Why not", **fields)

    assert plain(task.input) == {"message": "Send Hello?", "value": "Hello"}
    assert (decided.state, plain(decided.output)["comment"]) == (TaskState.STATE_COMPLETED, "Why not")
    assert plain((await ended(world, owner, execution_id)).output) == {"sent": value}


async def test_what_is_rejected_has_failed(world: World) -> None:
    owner = await world.tenant()
    execution_id = await _waiting(world, owner, transform("sent", "1", "asked"))

    await decide(world, owner, execution_id, "asked", REJECT)

    execution = await ended(world, owner, execution_id)
    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, "TASK_REJECTED")


async def test_a_step_that_goes_on_sees_that_it_was_rejected(world: World) -> None:
    owner = await world.tenant()
    after = transform("after", "steps.asked.state", "asked")
    execution_id = await _waiting(world, owner, after, on_failure="ON_FAILURE_CONTINUE")

    await decide(world, owner, execution_id, "asked", REJECT)

    assert plain((await ended(world, owner, execution_id)).output) == {"after": "failed"}


async def test_of_many_who_decide_at_once_one_does(world: World) -> None:
    owner = await world.tenant()
    execution_id = await _waiting(world, owner, transform("after", "1", "asked"))

    calls = [decide(world, owner, execution_id, "asked", APPROVE) for _ in range(10)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    refusals = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert len(refusals) == 9
    assert {refusal.code() for refusal in refusals} == {Code.FAILED_PRECONDITION}
    assert kinds((await watched(world, owner, execution_id))[0]).count(("task_decided", "asked")) == 1


async def test_nobody_decides_what_waits_for_nobody(world: World) -> None:
    owner = await world.tenant()
    execution_id = await _waiting(world, owner, wait("slept", 300), transform("one", "1"))
    await until(world, owner, execution_id, Kind.KIND_TASK_WAITING, "slept")
    tasks = await tasks_of(world, owner, execution_id)

    refusals = []
    for task_id in (tasks["slept", 0].id, tasks["one", 0].id, execution_id):
        request = task_pb2.CompleteTaskRequest(execution_id=execution_id, id=task_id, decision=APPROVE)
        refusals.append(await refused(world.workflows.CompleteTask(request, metadata=owner.metadata)))

    assert [refusal.reason for refusal in refusals] == ["TASK_NOT_WAITING", "TASK_NOT_WAITING", "TASK_NOT_FOUND"]


async def test_a_decision_that_nobody_makes_in_time_fails(world: World) -> None:
    owner = await world.tenant()

    execution = await run(world, owner, approval("asked", timeout={"seconds": 1}))

    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, "TASK_TIMED_OUT")


async def test_an_execution_takes_no_longer_than_it_may(world: World) -> None:
    owner = await world.tenant()

    execution = await run(world, owner, approval("asked"), timeout={"seconds": 1})

    tasks = await tasks_of(world, owner, execution.id)
    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, "EXECUTION_TIMED_OUT")
    assert tasks["asked", 0].state == TaskState.STATE_CANCELLED


async def test_time_passes(world: World) -> None:
    owner = await world.tenant()

    execution = await run(world, owner, wait("slept", 0.2), transform("after", "steps.slept.output == null", "slept"))

    assert plain(execution.output) == {"after": True}


async def test_no_more_run_at_once_than_may_and_the_others_follow_by_priority(world: World) -> None:
    owner = await world.tenant()
    await configure(world, owner, max_concurrent_workflows=2)
    workflow_id = await workflow_of(world, owner, approval("asked"))

    made = await asyncio.gather(*(execute(world, owner, workflow_id, priority=number) for number in range(6)))

    running = [one.id for one in made if one.state == State.STATE_RUNNING]
    waiting = [one.id for one in made if one.state == State.STATE_PENDING]
    assert (len(running), len(waiting)) == (2, 4)
    await step_execution(world, owner, "Cancel", running[0])
    states = {one: (await get(world, owner, one)).state for one in waiting}
    assert [one for one, state in states.items() if state == State.STATE_RUNNING] == waiting[-1:]


async def test_nothing_of_a_paused_execution_is_begun_until_it_is_resumed(world: World) -> None:
    owner = await world.tenant()
    execution_id = await _waiting(world, owner, transform("after", "1", "asked"))

    paused = await step_execution(world, owner, "Pause", execution_id, reason="Not now")
    await decide(world, owner, execution_id, "asked", APPROVE)
    tasks = await tasks_of(world, owner, execution_id)
    resumed = await step_execution(world, owner, "Resume", execution_id)

    assert (paused.state, paused.pause_reason) == (State.STATE_PAUSED, "Not now")
    assert (tasks["after", 0].state, tasks["after", 0].attempts) == (TaskState.STATE_READY, 0)
    assert (resumed.state, resumed.pause_reason) == (State.STATE_RUNNING, "")
    assert plain((await ended(world, owner, execution_id)).output) == {"after": 1}


async def test_a_paused_execution_gives_its_place_away_and_waits_for_another(world: World) -> None:
    owner = await world.tenant()
    await configure(world, owner, max_concurrent_workflows=1)
    first = await _waiting(world, owner)
    workflow_id = await workflow_of(world, owner, approval("asked"))
    second = (await execute(world, owner, workflow_id)).id

    await step_execution(world, owner, "Pause", first)
    took = (await get(world, owner, second)).state
    resumed = await step_execution(world, owner, "Resume", first)
    await step_execution(world, owner, "Cancel", second)

    assert (took, resumed.state) == (State.STATE_RUNNING, State.STATE_PENDING)
    assert (await get(world, owner, first)).state == State.STATE_RUNNING
    await decide(world, owner, first, "asked", APPROVE)
    assert (await ended(world, owner, first)).state == State.STATE_COMPLETED


@pytest.mark.parametrize("verb", ["Pause", "Resume", "Cancel"])
async def test_what_has_ended_stays_as_it_is(world: World, verb: str) -> None:
    owner = await world.tenant()
    execution = await run(world, owner, transform("one", "1"))
    request = getattr(pb, f"{verb}ExecutionRequest")(id=execution.id)

    refusal = await refused(getattr(world.workflows, f"{verb}Execution")(request, metadata=owner.metadata))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "EXECUTION_ENDED")
    assert await get(world, owner, execution.id) == execution


async def test_an_execution_is_repeated_from_a_step_on(world: World) -> None:
    owner = await world.tenant()
    steps = transform("first", "execution.id"), transform("second", "execution.id", "first")
    old = await run(world, owner, *steps, output="[steps.first.output, steps.second.output]")

    whole = await step_execution(world, owner, "Replay", old.id)
    part = await step_execution(world, owner, "Replay", old.id, from_step_id="second")

    assert plain((await ended(world, owner, whole.id)).output) == [whole.id, whole.id]
    assert plain((await ended(world, owner, part.id)).output) == [old.id, part.id]
    assert whole.parent_execution_id == part.parent_execution_id == old.id
    again = await step_execution(world, owner, "Replay", part.id)
    lineage = pb.GetLineageRequest(id=part.id)
    found = await world.workflows.GetLineage(lineage, metadata=owner.metadata)
    assert [one.id for one in found.ancestors] == [old.id]
    assert [one.id for one in found.descendants] == [again.id]


async def test_what_failed_is_done_anew_with_what_was_done_after_it(world: World) -> None:
    owner = await world.tenant()
    steps = (
        transform("failed", "input.nothing", on_failure="ON_FAILURE_CONTINUE"),
        transform("after", "execution.id", "failed"),
        transform("beside", "execution.id"),
        transform("last", "[steps.after.output, steps.beside.output]", "after", "beside"),
    )
    old = await run(world, owner, *steps, output="steps.last.output")

    again = await ended(world, owner, (await step_execution(world, owner, "Replay", old.id, from_step_id="last")).id)

    assert plain(old.output) == [old.id, old.id]
    assert plain(again.output) == [again.id, old.id]


async def test_an_output_of_skipped_steps_is_made_again(world: World) -> None:
    owner = await world.tenant()
    steps = transform("first", "1", when="false"), transform("second", "2", "first")
    old = await run(world, owner, *steps, output="steps.second.state")

    again = await ended(world, owner, (await step_execution(world, owner, "Replay", old.id, from_step_id="second")).id)

    assert plain(again.output) == plain(old.output) == "skipped"


@pytest.mark.parametrize("statement", [store._ANCESTORS, store._DESCENDANTS, store._list((), personal=False)])
def test_lists_read_nothing_that_may_be_much(statement: Statement) -> None:
    assert "workflow_executions.workflow_id" in statement.sql
    for much in ("definition", "input", "output"):
        assert f"workflow_executions.{much}" not in statement.sql


async def test_an_execution_is_not_repeated_from_a_step_that_it_has_not(world: World) -> None:
    owner = await world.tenant()
    execution = await run(world, owner, transform("one", "1"))

    request = pb.ReplayExecutionRequest(id=execution.id, from_step_id="other")
    refusal = await refused(world.workflows.ReplayExecution(request, metadata=owner.metadata))

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["from_step_id"])


async def test_nothing_of_a_deleted_workflow_is_repeated(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await workflow_of(world, owner, transform("one", "1"))
    execution = await ended(world, owner, (await execute(world, owner, workflow_id)).id)
    request = pb.ReplayExecutionRequest(id=execution.id)

    await step_workflow(world, "Delete", workflow_id, owner.metadata)
    deleted = await refused(world.workflows.ReplayExecution(request, metadata=owner.metadata))
    await step_workflow(world, "Purge", workflow_id, await platform_inside(world, owner))
    purged = await refused(world.workflows.ReplayExecution(request, metadata=owner.metadata))

    assert (deleted.code, deleted.reason) == (Code.FAILED_PRECONDITION, "WORKFLOW_DELETED")
    assert (purged.code, purged.reason) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")
