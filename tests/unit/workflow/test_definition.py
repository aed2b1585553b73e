"""What a workflow does: what comes before what, and that what is kept is read again."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import orjson
from hypothesis import given
from hypothesis import strategies as st

from server.workflow.definition import (
    RESULT,
    Action,
    AgentRun,
    Approval,
    Chat,
    ChatMessage,
    Definition,
    Prompt,
    Retry,
    Search,
    Step,
    Transform,
    Wait,
    read,
    values,
)

TEXTS = st.text(max_size=10)
NUMBERS = st.integers(0, 10**9).map(lambda number: number / 1000)
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(
        Chat,
        st.lists(st.builds(ChatMessage, st.sampled_from(["system", "user", "assistant"]), TEXTS), max_size=3),
        TEXTS,
        st.none() | NUMBERS,
        st.none() | st.integers(1, 9),
        st.booleans(),
        st.none() | st.builds(Prompt, st.uuids().map(str), TEXTS, TEXTS, TEXTS),
    ),
    st.builds(AgentRun, st.uuids().map(str), TEXTS, TEXTS),
    st.builds(Search, st.lists(st.uuids().map(str), max_size=3), TEXTS, st.none() | st.integers(1, 100)),
    st.builds(Transform, TEXTS),
    st.builds(Approval, TEXTS, TEXTS),
    st.builds(Wait, NUMBERS),
)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Steps that need each other in no circle, in whatever order they are written down."""
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 8))):
        needs = draw(st.lists(st.sampled_from([step.id for step in steps]), unique=True)) if steps else []
        made = st.builds(
            Step,
            st.just(f"step_{number}"),
            ACTIONS,
            st.just(needs),
            *(TEXTS, TEXTS),
            st.builds(Retry, st.integers(1, 20), NUMBERS),
            st.none() | NUMBERS,
            st.sampled_from(["fail", "continue"]),
        )
        steps.append(draw(made))
    return Definition(draw(st.permutations(steps)), draw(TEXTS))


def _before(definition: Definition, step_id: str) -> set[str]:
    """The same, as its description has it."""
    needs = definition.step(step_id).needs
    return set(needs).union(*(_before(definition, need) for need in needs))


@given(definitions())
def test_what_is_kept_is_read_again(definition: Definition) -> None:
    kept = orjson.loads(orjson.dumps(values(definition)))

    assert read(kept) == definition


@given(definitions())
def test_the_order_has_each_step_once_after_what_it_needs(definition: Definition) -> None:
    order = definition.order()

    assert sorted(order) == sorted(step.id for step in definition.steps)
    for step in definition.steps:
        assert all(order.index(need) < order.index(step.id) for need in step.needs)
    assert list(definition.problems()) == []


@given(definitions())
def test_before_a_step_is_what_it_needs_and_what_that_needs(definition: Definition) -> None:
    for step in definition.steps:
        assert definition.before(step.id) == _before(definition, step.id)


@given(definitions())
def test_leaves_are_the_steps_that_no_other_needs_and_every_step_leads_to_one(definition: Definition) -> None:
    leaves = definition.leaves

    assert all(
        step.id not in leaves for step in definition.steps if any(step.id in it.needs for it in definition.steps)
    )
    assert {step.id for step in definition.steps} == set(leaves).union(*(definition.before(leaf) for leaf in leaves))


@given(definitions())
def test_an_output_is_a_step_behind_all_others(definition: Definition) -> None:
    run = definition.run

    if not definition.output:
        assert list(run) == list(definition.steps)
        return
    assert [step.id for step in run] == [*(step.id for step in definition.steps), RESULT]
    assert definition.step(RESULT).action == Transform(definition.output)
    assert definition.before(RESULT) == {step.id for step in definition.steps}


@given(definitions(), st.randoms())
def test_a_circle_is_told_whichever_way_it_is_closed(definition: Definition, random: Random) -> None:
    last = definition.order()[-1]
    first = random.choice(sorted({last, *definition.before(last)}))
    steps = [
        Step(step.id, step.action, [*step.needs, *([last] if step.id == first else [])]) for step in definition.steps
    ]

    ((field, problem),) = Definition(steps).problems()

    assert field == "steps"
    named = problem.removeprefix("they need each other in a circle: ").split(" -> ")
    assert named[0] == named[-1]
    needs = {step.id: step.needs for step in steps}
    assert all(after in needs[one] for one, after in pairwise(named))


def test_steps_of_one_name_and_needs_that_are_not_there_are_told_by_their_places() -> None:
    definition = Definition(
        [
            Step("one", Wait(1)),
            Step("two", Wait(1), ["one", "none"]),
            Step("one", Wait(1), ["nothing"]),
        ]
    )

    assert list(definition.problems()) == [
        ("steps[1].needs[1]", "there is no step none"),
        ("steps[2].id", "another step is called one"),
        ("steps[2].needs[0]", "there is no step nothing"),
    ]
