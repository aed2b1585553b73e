"""Which tasks an execution begins with where it takes over what another came to."""

from __future__ import annotations

import pytest

from server.workflow.definition import RESULT, Definition, Step, Transform
from server.workflow.graph import Taken, first_tasks

DONE: Taken = ("completed", 1)
SKIPPED: Taken = ("skipped", None)


def _definition(*needs: str, output: str = "") -> Definition:
    """Steps a, b, c …, each with the one before as its need, but where it says otherwise."""
    names = [chr(ord("a") + place) for place in range(len(needs))]
    return Definition([Step(name, Transform("1"), list(need)) for name, need in zip(names, needs, strict=True)], output)


CHAIN = _definition("", "a", "b")


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ({}, {"a": ("ready", 0), "b": ("pending", 1), "c": ("pending", 1)}),
        ({"a": DONE}, {"a": ("completed", 0), "b": ("ready", 0), "c": ("pending", 1)}),
        ({"a": SKIPPED}, {"a": ("skipped", 0), "b": ("skipped", 0), "c": ("skipped", 0)}),
        # What failed is done anew, and so is what was done after it: it was done with what had failed.
        ({"b": DONE}, {"a": ("ready", 0), "b": ("pending", 1), "c": ("pending", 1)}),
        ({"b": DONE, "c": DONE}, {"a": ("ready", 0), "b": ("pending", 1), "c": ("pending", 1)}),
    ],
)
def test_a_step_is_taken_over_with_all_that_it_needs(
    taken: dict[str, Taken], expected: dict[str, tuple[str, int]]
) -> None:
    assert {task.step_id: (task.status, task.waiting_on) for task in first_tasks(CHAIN, taken)} == expected


def test_a_step_waits_for_what_is_not_taken_over() -> None:
    joined = _definition("", "", "ab")

    tasks = {task.step_id: task for task in first_tasks(joined, {"a": DONE})}

    assert (tasks["b"].status, tasks["c"].status, tasks["c"].waiting_on) == ("ready", "pending", 1)


def test_the_output_is_made_even_of_steps_that_were_skipped() -> None:
    tasks = {task.step_id: task for task in first_tasks(_definition("", "a", output="1"), {"a": SKIPPED})}

    assert (tasks["b"].status, tasks[RESULT].status) == ("skipped", "ready")
