"""Executions: what steps come to, and in which order."""

from __future__ import annotations

from tests.factories.executions import (
    State,
    TaskState,
    execute,
    kinds,
    plain,
    run,
    tasks_of,
    transform,
    watched,
    workflow_of,
)
from tests.factories.world import World


async def test_steps_see_what_those_that_they_need_came_to(world: World) -> None:
    owner = await world.tenant()

    execution = await run(
        world,
        owner,
        transform("double", "input.number * 2.0"),
        transform("told", "'It is ' + string(steps.double.output)", "double"),
        input={"number": 21},
    )

    assert (execution.state, plain(execution.output)) == (State.STATE_COMPLETED, {"told": "It is 42"})


async def test_what_happens_is_told_in_order(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await workflow_of(world, owner, transform("a", "1"), transform("b", "2", "a"))
    execution_id = (await execute(world, owner, workflow_id)).id

    events, execution = await watched(world, owner, execution_id)

    assert kinds(events) == [
        ("execution_started", ""),
        ("task_started", "a"),
        ("task_completed", "a"),
        ("task_started", "b"),
        ("task_completed", "b"),
        ("execution_completed", ""),
    ]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
    assert execution.state == State.STATE_COMPLETED


async def test_a_step_is_skipped_unless_its_condition_holds_and_one_that_needs_nothing_else_with_it(
    world: World,
) -> None:
    owner = await world.tenant()

    execution = await run(
        world,
        owner,
        transform("big", "'big'", when="input.number > 10"),
        transform("small", "'small'", when="input.number <= 10"),
        transform("of_big", "steps.big.output", "big"),
        transform("both", "[steps.big.state, steps.small.state]", "big", "small"),
        input={"number": 3},
    )

    states = {step: task.state for (step, _), task in (await tasks_of(world, owner, execution.id)).items()}
    assert plain(execution.output) == {"of_big": None, "both": ["skipped", "completed"]}
    assert states == {
        "big": TaskState.STATE_SKIPPED,
        "small": TaskState.STATE_COMPLETED,
        "of_big": TaskState.STATE_SKIPPED,
        "both": TaskState.STATE_COMPLETED,
    }


async def test_a_step_is_run_for_each_item(world: World) -> None:
    owner = await world.tenant()

    execution = await run(
        world,
        owner,
        transform("squares", "item * item + index", for_each="input.numbers"),
        transform("none", "item", for_each="[]"),
        output="{'squares': steps.squares.output, 'none': steps.none.output}",
        input={"numbers": [1, 2, 3]},
    )

    tasks = await tasks_of(world, owner, execution.id)
    assert plain(execution.output) == {"squares": [1, 5, 11], "none": []}
    assert [iteration for step, iteration in sorted(tasks) if step == "squares"] == [0, 1, 2, 3]
