"""What a definition is refused for: each problem by its field, and nothing of it is kept."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from atrium.workflow.v1 import definition_pb2
from tests.factories.workflows import (
    defined,
    get_workflow,
    listed,
    make_workflow,
    transform,
    update_workflow,
    versions_of,
)
from tests.factories.world import Person, World, refused

Code = grpc.StatusCode
ASKS = {"id": "ask", "chat": {"messages": [{"role": 1, "content": "Be brief."}, {"role": 2, "content": "${"}]}}

WRONG: list[tuple[str, list[dict[str, Any]], str, list[tuple[str, str]]]] = [
    (
        "a circle",
        [transform("a", needs=["c"]), transform("b", needs=["a"]), transform("c", needs=["b"])],
        "",
        [("steps", "they need each other in a circle: ")],
    ),
    ("itself", [transform("a", needs=["a"])], "", [("steps", "they need each other in a circle: a -> a")]),
    (
        "names",
        [transform("a"), transform("a", needs=["b", "c"])],
        "",
        [
            ("steps[1].id", "another step is called a"),
            ("steps[1].needs[0]", "there is no step b"),
            ("steps[1].needs[1]", "there is no step c"),
        ],
    ),
    (
        "no CEL",
        [transform("a", "1 +", when="(", for_each="[")],
        "}",
        [
            ("steps[0].when", "1:2: Syntax error: "),
            ("steps[0].for_each", "1:2: Syntax error: "),
            ("steps[0].transform.value", "1:4: Syntax error: "),
            ("output", "1:1: Syntax error: "),
        ],
    ),
    (
        "nothing known",
        [transform("a", "inputs.a + uuid()")],
        "item",
        [
            ("steps[0].transform.value", "inputs is nothing that is known here"),
            ("steps[0].transform.value", "uuid is no function"),
            ("output", "item is nothing that is known here"),
        ],
    ),
    (
        "not ended before",
        [
            transform("a"),
            transform("b", "steps.a.output", needs=[], when="steps['c'].output"),
            transform("c", needs=["b"]),
        ],
        "steps.d.output",
        [
            ("steps[1].when", "step c need not have ended before"),
            ("steps[1].transform.value", "step a need not have ended before"),
            ("output", "step d need not have ended before"),
        ],
    ),
    ("no end", [ASKS], "", [("steps[0].chat.messages[1].content", "${ has no } that closes it")]),
    (
        "an item of nothing",
        [{"id": "a", "approval": {"message": "${item}?", "value": "index"}}],
        "",
        [
            ("steps[0].approval.message", "item is nothing that is known here"),
            ("steps[0].approval.value", "index is nothing that is known here"),
        ],
    ),
    (
        "an item before there is one",
        [transform("a", "item", when="item > 1", for_each="[index]")],
        "",
        [
            ("steps[0].when", "item is nothing that is known here"),
            ("steps[0].for_each", "index is nothing that is known here"),
        ],
    ),
]


async def validated(world: World, person: Person, *steps: dict[str, Any], output: str = "") -> Any:
    request = definition_pb2.ValidateWorkflowRequest(definition=defined(*steps, output=output))
    return await world.workflows.ValidateWorkflow(request, metadata=person.metadata)


@pytest.mark.parametrize(("steps", "output", "problems"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
async def test_what_is_wrong_is_told_by_its_field_and_neither_made_nor_changed_into(
    world: World, steps: list[dict[str, Any]], output: str, problems: list[tuple[str, str]]
) -> None:
    owner = await world.tenant()
    workflow_id = await make_workflow(world, owner, "right")
    definition = defined(*steps, output=output)

    told = await validated(world, owner, *steps, output=output)
    refusals = [
        await refused(make_workflow(world, owner, "wrong", definition=definition)),
        await refused(update_workflow(world, owner, workflow_id, name="wrong", definition=definition)),
    ]

    fields = [field for field, _ in problems]
    assert [problem.field for problem in told.problems] == fields
    for found, (_, expected) in zip(told.problems, problems, strict=True):
        assert found.description.startswith(expected)
    assert list(told.order) == []
    for refusal in refusals:
        assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "WORKFLOW_INVALID")
        assert refusal.fields == [f"definition.{field}" for field in fields]
    assert await listed(world, owner) == ["right"]
    assert (await get_workflow(world, owner, workflow_id)).version == "v1.0"
    assert len(await versions_of(world, owner, workflow_id)) == 1


async def test_what_is_right_is_told_in_an_order_in_which_it_can_be_run_and_kept_nowhere(world: World) -> None:
    owner = await world.tenant()
    reader = await world.user(owner)
    steps = [
        transform("last", "steps.first.output + steps.middle.output", needs=["middle"]),
        transform("middle", "steps.first.output.map(n, n * 2)", needs=["first"], for_each="input.many", when="true"),
        transform("first", "[1]"),
    ]

    told = await validated(world, reader, *steps, output="steps.last.output")

    assert (list(told.problems), list(told.order)) == ([], ["first", "middle", "last"])
    assert await listed(world, owner) == []


async def test_a_step_may_speak_of_all_that_leads_to_it(world: World) -> None:
    owner = await world.tenant()
    chain = [transform("a0")] + [
        transform(
            f"a{number}", " + ".join(f"steps.a{before}.output" for before in range(number)), needs=[f"a{number - 1}"]
        )
        for number in range(1, 50)
    ]

    told = await validated(world, owner, *chain)

    assert (list(told.problems), list(told.order)) == ([], [f"a{number}" for number in range(50)])


async def test_however_much_is_wrong_the_refusal_arrives_and_validation_tells_it_all(world: World) -> None:
    owner = await world.tenant()
    value = "+".join(f"u{number}" for number in range(250))
    steps = [transform(f"a{number}", value) for number in range(100)]

    told = await validated(world, owner, *steps)
    refusal = await refused(make_workflow(world, owner, definition=defined(*steps)))

    assert len(told.problems) == 25_000
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "WORKFLOW_INVALID")
    assert refusal.fields[0] == "definition.steps[0].transform.value"


async def test_a_definition_is_kept_up_to_its_bound_and_refused_above_it(world: World) -> None:
    owner = await world.tenant()
    message = {"role": 2, "content": "x" * 32_500}
    definition = defined({"id": "ask", "chat": {"messages": [message] * 8}})

    workflow_id = await make_workflow(world, owner, definition=definition)
    definition.steps[0].chat.messages.add(**message)
    refusal = await refused(update_workflow(world, owner, workflow_id, definition=definition))

    assert len((await get_workflow(world, owner, workflow_id)).definition.steps[0].chat.messages) == 8
    assert (refusal.reason, refusal.fields) == ("WORKFLOW_INVALID", ["definition.steps"])
