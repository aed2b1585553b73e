"""Which steps' outputs a step is given: all that it may read, and no others where it names those that it reads."""

from __future__ import annotations

import pytest

from server.workflow.definition import Search, Step, Transform
from server.workflow.worker import read_by

STEPS = {"a", "b", "long_name", "input"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 1", set()),
        ("input.a", set()),
        ("steps.a.output", {"a"}),
        ("steps . a", {"a"}),
        ("steps['long_name'].output + steps [ \"b\" ].output", {"long_name", "b"}),
        ("has(steps.b.error) ? steps.a.state : ''", {"a", "b"}),
        ("steps.c.output", set()),
        # What cannot be told is given all: a name that is computed, or the steps as they are.
        ("steps", STEPS),
        ("size(steps)", STEPS),
        ("steps['a' + 'b']", STEPS),
        (r"steps['\x61']", STEPS),
        ("steps[input.a].output + steps.b.output", STEPS),
        ("(steps).a", STEPS),
        ("'a' in steps", STEPS),
        ("steps // the one\n.a", STEPS),
        # Strings and comments are not told apart from the rest, which is never too little.
        ("1 // don't\n + steps.a.output // isn't", {"a"}),
    ],
)
def test_a_step_is_given_what_it_names_and_all_where_it_may_be_any(source: str, expected: set[str]) -> None:
    assert read_by(Step("s", Transform(source)), STEPS, of_item=False) == expected


def test_texts_are_read_as_expressions_are() -> None:
    search = Search(["base"], "It's ${steps.a.output}, isn't it?")

    assert read_by(Step("s", search), STEPS, of_item=False) == {"a"}


def test_an_item_is_not_given_what_its_steps_conditions_read() -> None:
    step = Step("s", Transform("item + steps.a.output"), when="steps.b.output", for_each="steps.long_name.output")

    assert read_by(step, STEPS, of_item=False) == {"a", "b", "long_name"}
    assert read_by(step, STEPS, of_item=True) == {"a"}
