"""Texts with expressions in them: what they are made of, and what the expressions speak of."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.workflow.texts import Expression, TextInvalid, bound_in, parts, steps_of

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
PLAIN = st.text(max_size=20).filter(lambda text: "$" not in text)
LITERALS = st.text(max_size=20).map(json.dumps)


@given(st.lists(st.tuples(PLAIN, LITERALS), max_size=5), PLAIN)
def test_a_text_is_its_plain_parts_and_its_expressions_whatever_their_strings_say(
    given: list[tuple[str, str]], end: str
) -> None:
    text = "".join(f"{plain}${{{literal}}}" for plain, literal in given) + end

    found = parts(text)

    expected = [part for plain, literal in given for part in (plain, Expression(literal))] + [end]
    assert list(found) == [part for part in expected if part]


@pytest.mark.parametrize(
    "source",
    [
        "{'a': {'b': 1}}.a.b",
        "'}'",
        '"}"',
        r"'\'}'",
        r'"\"}"',
        '"""a "quoted" } b"""',
        "'''it's } b'''",
        r'"""a\"""}"""',
        r"r'\'",
        r'R"\" + "}"',
        "r'''\\} '''",
        "'${' + '}'",
        "input.a",
    ],
)
def test_an_expression_ends_with_the_brace_that_closes_it(source: str) -> None:
    assert list(parts(f"a ${{{source}}} b")) == ["a ", Expression(source), " b"]


@pytest.mark.parametrize("text", ["no expression", "$ {input}", "{input}", "}", "$", ""])
def test_a_text_without_expressions_is_itself(text: str) -> None:
    assert "".join(map(str, parts(text))) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("${", "${ has no } that closes it"),
        ("a ${input", "${ has no } that closes it"),
        ("${{'a': 1}", "${ has no } that closes it"),
        ("${}", "there is nothing in ${}"),
        ("a ${ \n} b", "there is nothing in ${}"),
    ],
)
def test_a_text_that_cannot_be_read_says_why(text: str, problem: str) -> None:
    with pytest.raises(TextInvalid) as raised:
        parts(text)

    assert str(raised.value) == problem


_SPEAKS = st.sampled_from(["steps.{}", "steps['{}'].output", 'steps [ "{}" ]', "steps . {}", "has(steps.{}.error)"])
_SILENT = st.sampled_from(
    ["input.steps.{}", "'steps.{}'", '"steps.{}"', "'it\\'s steps.{}'", "mysteps.{}", "r'steps.{}'"]
)


@given(st.lists(st.tuples(_SPEAKS, NAMES), max_size=4), st.lists(st.tuples(_SILENT, NAMES), max_size=4), st.randoms())
def test_the_steps_of_an_expression_are_those_that_it_names_and_not_what_its_strings_say(
    speaks: list[tuple[str, str]], silent: list[tuple[str, str]], order: Random
) -> None:
    said = [form.format(name) for form, name in (*speaks, *silent)]
    order.shuffle(said)

    assert steps_of(" + ".join(said)) == {name for _, name in speaks}


_GOES_THROUGH = st.sampled_from(["map", "filter", "all", "exists", "exists_one"])


@given(st.lists(st.tuples(_GOES_THROUGH, NAMES), max_size=5), NAMES)
def test_the_names_that_an_expression_gives_are_those_of_what_it_goes_through(
    given: list[tuple[str, str]], other: str
) -> None:
    said = "input" + "".join(f".{macro}( {name}, {name} != '.map({other}, 1)')" for macro, name in given)

    assert bound_in(said) == {name for _, name in given}
