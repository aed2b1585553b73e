"""Which tasks an execution begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.workflow.definition import RESULT, Definition
from server.workflow.executions import TaskStatus


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to be made. `status`, `output`: of one that is taken over from another execution, as it ended there."""

    step_id: str
    step_type: str
    status: TaskStatus
    waiting_on: int = 0
    iteration: int = 0
    input: Mapping[str, Any] | None = None
    output: Any = None


Taken = tuple[TaskStatus, Any]
"""How a step ended in another execution, and what it came to."""


def first_tasks(definition: Definition, taken: Mapping[str, Taken]) -> list[NewTask]:
    """A task for each step, each after those that it needs. `taken`: steps that are done already; one is taken over
    where all that it needs is.
    """
    kinds = {step.id: step for step in definition.run}
    made: dict[str, NewTask] = {}
    over: set[str] = set()
    for name in [*definition.order(), *(step.id for step in definition.run if step not in definition.steps)]:
        step = kinds[name]
        if name in taken and over.issuperset(step.needs):
            over.add(name)
            status, output = taken[name]
            made[name] = NewTask(name, step.kind, status, output=output)
            continue
        needs = [made[need].status for need in step.needs]
        waiting_on = sum(status not in ("completed", "skipped") for status in needs)
        # The output is of all steps, and can say what it is where none of the last ones was done.
        skipped = name != RESULT and bool(needs) and all(status == "skipped" for status in needs)
        status = "pending" if waiting_on else "skipped" if skipped else "ready"
        made[name] = NewTask(name, step.kind, status, waiting_on)
    return list(made.values())


def after(definition: Definition, step_id: str) -> set[str]:
    """The step, and those that need it, however far."""
    return {step_id, *(step.id for step in definition.run if step_id in definition.before(step.id))}


def items(step_id: str, step_type: str, values: Sequence[Any]) -> list[NewTask]:
    """A task for each item of a step that is run for each."""
    return [
        NewTask(step_id, step_type, "ready", iteration=place, input={"item": value, "index": place - 1})
        for place, value in enumerate(values, start=1)
    ]
