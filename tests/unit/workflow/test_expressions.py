"""Expressions: what they come to, what is wrong with them, and that none takes more than it may."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from server.offload.workers import Workers
from server.workflow import worker
from server.workflow.definition import (
    MOST_BYTES,
    Approval,
    Chat,
    ChatMessage,
    Definition,
    Prompt,
    Search,
    Step,
    Transform,
)
from server.workflow.errors import ExpressionFailed, ExpressionTooHeavy
from server.workflow.expressions import computed, problems
from server.workflow.work import expression_workers
from server.workflow.worker import Source

ADA = UUID(int=1)
KNOWN: dict[str, Any] = {
    "input": {"name": "Ada", "many": [1, 2, 3], "none": None, "half": 0.5},
    "steps": {"one": {"state": "completed", "output": {"text": "Hello"}, "error": None}},
    "execution": {"id": "7"},
}
HEAVY = "[0,1,2,3,4,5,6,7,8,9]"
for _ in range(12):
    HEAVY = f"[0,1,2,3,4,5,6,7,8,9].map(x, {HEAVY})"


def value(expression: str) -> Any:
    (found,) = computed([Source("value", expression)], KNOWN)
    return found


def why(source: Source) -> str:
    with pytest.raises(ExpressionFailed) as raised:
        computed([source], KNOWN)
    ((field, problem),) = raised.value.violations
    assert field == source.field
    return problem


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("null", None),
        ("1 + 2 * 3", 7),
        ("7u", 7),
        ("-9223372036854775807", -9223372036854775807),
        ("1.5", 1.5),
        ("input.half * 2.0", 1),
        ("input.half * 5.0", 2.5),
        ("input.many[int(input.many[0])] + 1.0", 3),
        ("1e300", 1e300),
        ("'a' + input.name", "aAda"),
        ("input.many.filter(n, n > 1).map(n, n * 10.0)", [20, 30]),
        ("{'a': [true, null], 'b': {}}", {"a": [True, None], "b": {}}),
        ("{2: 'a', true: 'b'}", {"2": "a", "true": "b"}),
        ("timestamp('2030-01-01T00:00:00Z')", "2030-01-01T00:00:00+00:00"),
        ("duration('90s')", "90s"),
        ("duration('-1500ms')", "-1.5s"),
        ("duration('0s')", "0s"),
        ("type(1) == int && type(null) == null_type", True),
        ("math.greatest(1, 3) + lists.range(3).sum()", 6),
        ("'a,b'.split(',')", ["a", "b"]),
        ("optional.of(input.none).hasValue()", True),
        ("steps.one.output.text + execution.id", "Hello7"),
        ("has(input.nothing) ? 1 : 2", 2),
        ("json({'a': [1, 'b']})", '{"a":[1,"b"]}'),
    ],
)
def test_a_value_is_as_json_has_it(expression: str, expected: Any) -> None:
    found = value(expression)

    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("b'bytes'", "bytes is no JSON"),
        ("[optional.none()]", "OptionalValue is no JSON"),
        (r"'\u0000'", "it has a character that cannot be kept: NUL"),
        (r"{'a': ['\x00']}", "it has a character that cannot be kept: NUL"),
        (r"{'a\u0000': 1}", "it has a character that cannot be kept: NUL"),
        ("input.nothing", "there is no nothing"),
        ("1 / 0", "division by zero in CEL expression"),
        ("[1][3]", "index out of bounds: 3"),
        ("[1]" + ".map(x, [x])" * 300, "what it comes to is nested deeper than 24"),
    ],
)
def test_what_is_no_value_says_why(expression: str, problem: str) -> None:
    assert why(Source("value", expression)) == problem


@pytest.mark.parametrize(
    "expression", ["1 + 'a'", "input.name.map(x, x)", "bool('perhaps')", "1 +", "9223372036854775807 + 1"]
)
def test_whatever_goes_wrong_is_told_without_the_expression(expression: str) -> None:
    padded = f"{expression}{' ' * 3_000}"

    assert 0 < len(why(Source("value", padded))) <= 300


def test_nothing_of_what_goes_wrong_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        told = why(Source("value", "bool('secret')"))

    assert "secret" in told
    assert caplog.records == []
    assert "secret" not in "".join(capfd.readouterr())


def test_a_backslash_that_is_written_before_u0000_is_no_nul() -> None:
    assert value(r"'\\u0000'") == "\\u0000"


def test_a_text_has_texts_as_they_are_and_all_else_as_json() -> None:
    source = Source("text", "Dear ${input.name}, ${input.many} of ${input.none} ${{'a': '}'}} ${1.5} $5", text=True)

    assert computed([source], KNOWN) == ['Dear Ada, [1,2,3] of null {"a":"}"} 1.5 $5']


def test_a_text_that_cannot_be_read_names_its_field() -> None:
    assert why(Source("chat.messages[1].content", "${input", text=True)) == "${ has no } that closes it"


def test_all_that_is_computed_together_has_one_bound() -> None:
    half = Source("half", f"'{'x' * (MOST_BYTES // 2 - 2)}'")
    assert len(computed([half, half], {})) == 2

    with pytest.raises(ExpressionFailed) as raised:
        computed([half, half, Source("last", "1")], {})

    assert raised.value.violations == (("last", f"what it comes to has more than {MOST_BYTES} bytes"),)


def checked(*steps: Step, output: str = "") -> list[tuple[str, str]]:
    return problems(Definition(steps, output))


def test_a_definition_that_can_be_run_has_no_problems() -> None:
    assert (
        checked(
            Step("first", Transform("input.many")),
            Step("second", Transform("[item, index]"), ["first"], "size(input.many) > 0", "steps.first.output"),
            Step(
                "third",
                Chat([ChatMessage("user", "Say ${steps.first.output} and ${steps['second'].state}")]),
                ["second"],
            ),
            Step("fourth", Search([], "${execution.id}"), on_failure="continue"),
            Step("fifth", Approval("Well?", "steps.fourth.error"), ["fourth"]),
            output="{'all': [steps.third, steps.fifth].map(step, step.output)}",
        )
        == []
    )


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("nothing + 1", "nothing is nothing that is known here"),
        ("item", "item is nothing that is known here"),
        ("[index]", "index is nothing that is known here"),
        ("steps.other.output", "step other need not have ended before"),
        ("steps['other'].output", "step other need not have ended before"),
        ("steps.this.output", "step this need not have ended before"),
        ("steps.none.output", "step none need not have ended before"),
        ("nothing(1)", "nothing is no function"),
        ("input.many.nothing()", "nothing is no function"),
        ("input.many.map(n, now())", "now is no function"),
        ("input.a.?b", "1:8: unsupported syntax '.?'"),
    ],
)
def test_what_is_wrong_with_an_expression_is_told_by_its_field(expression: str, problem: str) -> None:
    this, other = Step("this", Transform(expression)), Step("other", Transform("1"))

    assert checked(this, other) == [("steps[0].transform.value", problem)]


@pytest.mark.parametrize(
    "expression",
    [
        "-1 + 2 - 3 * 4 / 5 % 6 == 7 ? !true : false && (1 != 2 || 1 < 2) || [1][0] >= 1 || 'a' in {'a': 1}",
        "[1].all(n, n > 0) && [1].exists(n, n > 0) && [1].exists_one(n, n > 0) && has(input.name)",
        "string(int('1')) + string(double(1)) + string(uint(1)) + string(bytes('a')) + string(dyn(1))",
        "timestamp('2030-01-01T00:00:00Z').getFullYear() + duration('1h').getHours()",
        "'a'.startsWith('a') || 'a'.endsWith('a') || 'a'.contains('a') || 'a'.matches('a') || 'a'.size() == 1",
        "optional.ofNonZeroValue(1).or(optional.none()).orValue(2) + optional.of(1).value()",
        "math.abs(-1) + sets.contains([1], [1]) + base64.encode(b'a') + strings.quote('a') + [1].max() + json(1)",
    ],
)
def test_every_operator_and_function_of_the_language_is_known(expression: str) -> None:
    assert checked(Step("this", Transform(expression))) == []


def test_each_expression_of_a_step_is_looked_at() -> None:
    chat = Chat([ChatMessage("user", "fine"), ChatMessage("user", "${a} ${b")])
    search = Search([], "${c}")
    approval = Approval("${d} ${e}", "f")

    found = checked(Step("chat", chat, [], "g", "h"), Step("search", search), Step("approval", approval), output="i")

    unknown = "{} is nothing that is known here"
    assert found == [
        ("steps[0].when", unknown.format("g")),
        ("steps[0].for_each", unknown.format("h")),
        ("steps[0].chat.messages[1].content", "${ has no } that closes it"),
        ("steps[1].search.query", unknown.format("c")),
        ("steps[2].approval.message", unknown.format("d")),
        ("steps[2].approval.message", unknown.format("e")),
        ("steps[2].approval.value", unknown.format("f")),
        ("output", unknown.format("i")),
    ]


def test_what_is_wrong_with_the_values_of_a_prompt_is_told_by_its_field() -> None:
    prompts = [Prompt("", variables=source) for source in ("", "{'name': input.who}", "steps.none")]

    found = checked(*(Step(f"chat_{place}", Chat([], prompt=one)) for place, one in enumerate(prompts)))

    (field, _), *rest = found
    assert (field, rest) == ("steps[2].chat.prompt.variables", [])


def test_an_item_is_known_to_what_is_done_for_each_and_not_to_whether_and_over_what_it_is() -> None:
    found = checked(Step("this", Transform("item + index"), [], "item > 1", "[index]"))

    assert [field for field, _ in found] == ["steps[0].when", "steps[0].for_each"]


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert checked(Step("this", Transform("nothing"), ["this", "that"])) == [
        ("steps[0].needs[1]", "there is no step that"),
        ("steps", "they need each other in a circle: this -> this"),
        ("steps[0].transform.value", "nothing is nothing that is known here"),
    ]


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    running = expression_workers(parallel=1)
    yield running
    await running.close()


async def test_what_is_computed_elsewhere_is_the_same(workers: Workers) -> None:
    definition = Definition([Step("this", Transform("nothing"))])

    assert await workers.run(ADA, worker.computed, [Source("value", "input.many")], KNOWN) == [[1, 2, 3]]
    assert await workers.run(ADA, worker.problems, definition) == problems(definition)
    with pytest.raises(ExpressionFailed) as raised:
        await workers.run(ADA, worker.computed, [Source("value", "1 / 0")], KNOWN)
    assert raised.value.violations == (("value", "division by zero in CEL expression"),)


async def test_an_expression_that_never_ends_is_ended_and_harms_no_other() -> None:
    workers = expression_workers(parallel=1, seconds=1.0)
    try:
        with pytest.raises(ExpressionTooHeavy):
            await workers.run(ADA, worker.computed, [Source("value", HEAVY)], {})

        assert await workers.run(ADA, worker.computed, [Source("value", "1")], {}) == [1]
    finally:
        await workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
async def test_an_expression_that_takes_all_memory_is_ended_and_harms_no_other(workers: Workers) -> None:
    doubled = "input" + ".map(x, x + x)" * 40

    with pytest.raises(ExpressionTooHeavy):
        await workers.run(ADA, worker.computed, [Source("value", doubled)], {"input": ["x" * 1_000]})

    assert await workers.run(ADA, worker.computed, [Source("value", "1")], {}) == [1]
