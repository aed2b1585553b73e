"""What may be declared of a prompt's variables, and what values are bound to them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.prompt.errors import PromptVariablesInvalid
from server.prompt.variables import MAX_BYTES, MAX_DEPTH, MAX_EXACT, Variable, bind, check_declared

PYTHONS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "list": list,
    "object": dict,
}


def _problems(raised: pytest.ExceptionInfo[PromptVariablesInvalid]) -> dict[str, str]:
    return dict(raised.value.violations)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "variables",
    [
        [],
        [Variable("a", "string", required=True), Variable("b", "string", default="x")],
        [Variable("_", "integer", default=3.0), Variable("A" * 64, "boolean", default=False)],
        [Variable("a", "list", default=[]), Variable("b", "object", default={"k": [None, 1.5]})],
    ],
)
def test_variables_that_can_be_declared(variables: list[Variable]) -> None:
    check_declared(variables)


@pytest.mark.parametrize(
    ("variables", "paths"),
    [
        *(
            ([Variable(name, "string")], ["variables[0].name"])
            for name in ["", "1a", "a-b", "a b", "é", "a\n", "a" * 65]
        ),
        *(([Variable(name, "string")], ["variables[0].name"]) for name in ["loop", "range", "not", "self", "none"]),
        ([Variable("a", "string"), Variable("a", "list")], ["variables[1].name"]),
        ([Variable("a", "text")], ["variables[0].type"]),  # type: ignore[arg-type]
        ([Variable("a", "string", required=True, default="x")], ["variables[0].default"]),
        ([Variable("a", "integer", default=True)], ["variables[0].default"]),
        ([Variable("a", "integer", default=1.5)], ["variables[0].default"]),
        ([Variable("a", "string", default="x" * MAX_BYTES)], ["variables[0].default"]),
        (
            [Variable(name, "string", default="x" * (MAX_BYTES // 2)) for name in "abc"],
            ["variables[1].default"],
        ),
        ([Variable("1", "string"), Variable("b", "list", default={})], ["variables[0].name", "variables[1].default"]),
    ],
)
def test_everything_wrong_with_a_declaration_is_named(variables: list[Variable], paths: list[str]) -> None:
    with pytest.raises(PromptVariablesInvalid) as raised:
        check_declared(variables)

    assert [path for path, _ in raised.value.violations] == paths


@pytest.mark.parametrize(
    ("kind", "value", "bound"),
    [
        ("string", "", ""),
        ("string", "né", "né"),
        ("integer", 3, 3),
        ("integer", 3.0, 3),
        ("integer", -float(MAX_EXACT), -MAX_EXACT),
        ("number", 3.0, 3),
        ("number", 1.5, 1.5),
        ("number", 1e300, 1e300),
        ("number", 10**17, 1e17),
        ("boolean", True, True),
        ("list", (1.0, "a", None, [2.5]), [1, "a", None, [2.5]]),
        ("object", {"a": {"b": 2.0}}, {"a": {"b": 2}}),
        ("list", _nested(MAX_DEPTH), _nested(MAX_DEPTH)),
    ],
)
def test_a_value_of_its_type_is_bound(kind: Any, value: Any, bound: Any) -> None:
    result = bind([Variable("v", kind)], {"v": value})["v"]

    assert result == bound
    assert type(result) is type(bound)


@pytest.mark.parametrize(
    ("kind", "value", "path"),
    [
        ("string", 1, "variables.v"),
        ("string", None, "variables.v"),
        ("string", "\ud800", "variables.v"),
        ("integer", True, "variables.v"),
        ("integer", "3", "variables.v"),
        ("integer", 3.5, "variables.v"),
        ("integer", 1e300, "variables.v"),
        ("integer", MAX_EXACT + 1, "variables.v"),
        ("integer", 10**17, "variables.v"),
        ("number", 10**17 + 1, "variables.v"),
        ("number", 10**400, "variables.v"),
        ("integer", math.nan, "variables.v"),
        ("number", math.inf, "variables.v"),
        ("number", False, "variables.v"),
        ("boolean", 1, "variables.v"),
        ("list", "abc", "variables.v"),
        ("list", {}, "variables.v"),
        ("list", [1, [math.nan]], "variables.v[1][0]"),
        ("list", [object()], "variables.v[0]"),
        ("list", _nested(MAX_DEPTH + 1), "variables.v" + "[0]" * MAX_DEPTH),
        ("object", [], "variables.v"),
        ("object", {1: 2}, "variables.v"),
        ("object", {"a": {"b": -math.inf}}, "variables.v.a.b"),
        ("string", "x" * MAX_BYTES, "variables"),
        ("list", [0] * (MAX_BYTES // 8), "variables"),
        ("object", {"é" * (MAX_BYTES // 2): 1}, "variables"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_path(kind: Any, value: Any, path: str) -> None:
    with pytest.raises(PromptVariablesInvalid) as raised:
        bind([Variable("v", kind)], {"v": value})

    assert list(_problems(raised)) == [path]


def test_every_problem_is_named_at_once() -> None:
    variables = [Variable("a", "string", required=True), Variable("b", "integer"), Variable("c", "list")]

    with pytest.raises(PromptVariablesInvalid) as raised:
        bind(variables, {"b": True, "c": [math.nan, math.inf], "d": 1})

    assert _problems(raised) == {
        "variables.a": "is required",
        "variables.b": "must be an integer",
        "variables.c[0]": "must be finite",
        "variables.c[1]": "must be finite",
        "variables.d": "is not a variable of this prompt",
    }


def test_the_size_is_that_of_all_values_together() -> None:
    half = "x" * (MAX_BYTES // 2)

    with pytest.raises(PromptVariablesInvalid) as raised:
        bind([Variable("a", "string"), Variable("b", "string")], {"a": half, "b": half})

    assert list(_problems(raised)) == ["variables"]


def test_a_list_that_holds_itself_is_too_deep() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(PromptVariablesInvalid):
        bind([Variable("v", "list")], {"v": endless})


def test_a_default_is_for_an_absent_value_and_is_nobodys_to_change() -> None:
    variable = Variable("v", "list", default=[1.0])

    first = bind([variable], {})
    first["v"].append(2)

    assert bind([variable], {}) == {"v": [1]}
    assert bind([variable], {"v": []}) == {"v": []}
    assert bind([Variable("w", "string")], {}) == {}


def test_an_object_has_its_entries_by_name_in_whichever_order_they_came() -> None:
    entries = {"c": 1.0, "a": [{"z": None, "y": True}], "b": {"e": 2.0, "d": "x"}}

    for variables, values in (
        ([Variable("v", "object")], {"v": entries}),
        ([Variable("v", "object", default=dict(reversed(entries.items())))], {}),
    ):
        bound = bind(variables, values)["v"]
        assert json.dumps(bound) == '{"a": [{"y": true, "z": null}], "b": {"d": "x", "e": 2}, "c": 1}'


_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
_NUMBERS = st.integers(-MAX_EXACT, MAX_EXACT) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(_JSON, max_size=4))
def test_json_is_bound_as_it_is_and_binding_again_changes_nothing(value: list[Any]) -> None:
    variables = [Variable("v", "list")]

    bound = bind(variables, {"v": value})

    assert bound["v"] == value
    assert json.dumps(bind(variables, bound)) == json.dumps(bound)
    assert bound["v"] is not value


@given(st.sampled_from(sorted(PYTHONS)), _JSON)
def test_a_value_is_bound_to_its_type_or_refused(kind: Any, value: Any) -> None:
    try:
        bound = bind([Variable("v", kind)], {"v": value})["v"]
    except PromptVariablesInvalid as error:
        refused = [path for path, _ in error.violations]
    else:
        refused = []
        assert isinstance(bound, PYTHONS[kind])
        assert isinstance(bound, bool) is (kind == "boolean")

    assert all(path.startswith("variables.v") for path in refused)
