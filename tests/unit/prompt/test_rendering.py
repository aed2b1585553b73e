"""What templates are rendered to, and what is said of those that cannot be."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.errors import InvalidArgument
from server.prompt.errors import PromptIncludeCycle, PromptRenderFailed, PromptSyntaxInvalid, PromptVariablesInvalid
from server.prompt.rendering import Renderer
from server.prompt.variables import Variable

VALUES: dict[str, Any] = {
    "name": "Ada",
    "n": 4,
    "x": 1.5,
    "yes": True,
    "words": ["b", "A", "c", "b"],
    "people": [{"name": "Bo", "age": 7}, {"name": "Al", "age": 9}],
    "user": {"name": "Cy", "tags": ["t"], "keys": "own"},
    "empty": [],
}


RENDERER = Renderer()


@pytest.fixture
def renderer() -> Renderer:
    return RENDERER


def _turns(*sources: str) -> dict[str, str]:
    return {f"messages[{place}].content": source for place, source in enumerate(sources)}


def _problem(error: InvalidArgument) -> str:
    ((_, problem),) = error.violations
    return problem


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hello {{ name }}!\n", "Hello Ada!\n"),
        ("<b>{{ '<&>' }}</b>", "<b><&></b>"),
        ("{{ n }} {{ x }} {{ yes }} {{ none }}", "4 1.5 True None"),
        ("{# a comment #}{% raw %}{{ name }}{% endraw %}", "{{ name }}"),
        ("a\n  {%- if yes %} b {%- endif %}", "a b"),
        ("{% if n > 5 %}a{% elif n == 4 and not empty %}b{% else %}c{% endif %}", "b"),
        ("{% if 1 < n < 5 %}a{% endif %}{% if 5 < n < 9 %}b{% endif %}", "a"),
        ("{{ 'A' in words }} {{ 'z' not in words }} {{ 'd' in name }} {{ 'tags' in user }}", "True True True True"),
        ("{{ [1] in [[1]] }} {{ {'a': 1} == {'a': 1.0} }} {{ 1 in user }} {{ 'a' != 1 }}", "True True False True"),
        ("{% for w in words %}{{ loop.index }}{{ w }}{{ ',' if not loop.last }}{% endfor %}", "1b,2A,3c,4b"),
        ("{% for w in words %}{{ loop.length }}{{ loop.previtem|d('-') }}{% endfor %}", "4-4b4A4c"),
        ("{% for p in people if p.age > 8 %}{{ p.name }}{% else %}none{% endfor %}", "Al"),
        ("{% for w in empty %}{{ w }}{% else %}none{% endfor %}", "none"),
        ("{% for k, v in user|items|sort if k == 'name' %}{{ k }}={{ v }}{% endfor %}", "name=Cy"),
        ("{% for k in user %}{{ k }} {% endfor %}{% for c in name %}{{ c }}.{% endfor %}", "name tags keys A.d.a."),
        ("{% for i in range(3) %}{% for j in range(i, 3) %}{{ j }}{% endfor %} {% endfor %}", "012 12 2 "),
        ("{{ range(5, 0, -2)|join(',') }} {{ range(3, 1)|length }}", "5,3,1 0"),
        ("{{ user.name }} {{ user['name'] }} {{ user.keys }} {{ user.tags[0] }} {{ words.0 }}", "Cy Cy own t b"),
        ("{{ words[1:3]|join }} {{ name[::-1] }} {{ words[-1] }}", "Ac adA b"),
        ("{{ user.no|d('-') }} {{ user.name is defined }} {{ nobody is defined }}", "- True False"),
        ("{{ nobody|default('?') }} {{ nobody is undefined }} {{ ''|d('e', true) }}", "? True e"),
        ("{{ 1 + 2 * 3 - 4 }} {{ 7 / 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 2 ** 10 }} {{ -n }}", "3 3.5 3 3 1024 -4"),
        ("{{ 'a' + 'b' }} {{ 'a' ~ 1 ~ none }} {{ (empty + words)|length }}", "ab a1None 4"),
        ("{% set a = 'x' %}{% set b %}[{{ a }}]{% endset %}{% with c = b %}{{ c }}{% endwith %}", "[x]"),
        ("{% set a, b = 1, 2 %}{{ b }}{{ a }}{% set c | upper %}q{% endset %}{{ c }}", "21Q"),
        ("{% filter upper %}a{% filter replace('b', 'c') %}b{{ name }}{% endfilter %}{% endfilter %}", "ACADA"),
        ("{% filter upper|replace('A', 'b') %}a{{ 1 }}{% endfilter %}{% filter length %}abc{% endfilter %}", "b13"),
        ("{{ name|upper }}{{ name|lower }} {{ 'aB c'|capitalize }} {{ 5|string|length }}", "ADAada Ab c 1"),
        ("{{ \"they're aN no-one\"|title }} {{ ' a '|trim }} {{ 'xax'|trim('x') }}", "They're An No-One a a"),
        ("{{ words|join('-') }} {{ people|join(', ', attribute='name') }}", "b-A-c-b Bo, Al"),
        ("{{ 'aaa'|replace('a', 'b', 2) }} {{ 'ab'|replace('', '-') }}", "bba -a-b-"),
        (
            "{{ words|first }} {{ words|last }} {{ words|length }} {{ user|count }} {{ empty|first|d('-') }}",
            "b b 4 3 -",
        ),
        (
            "{{ words|sort|join }} {{ words|sort(true)|join }} {{ words|sort(case_sensitive=true)|join }}",
            "Abbc cbbA Abbc",
        ),
        (
            "{{ words|unique|join }} {{ words|reverse|join }} {{ name|reverse }} {{ 'abc'|list|join('.') }}",
            "bAc bcAb adA a.b.c",
        ),
        ("{{ people|sort(attribute='age', reverse=true)|join(attribute='name') }}", "AlBo"),
        ("{{ {'b': [1, 'é<'], 'a': none}|tojson }}", '{"a": null, "b": [1, "é<"]}'),
        ("{{ [1]|tojson(indent=2) }}", "[\n  1\n]"),
        (
            "{{ 2.567|round(1) }} {{ 2.1|round(method='ceil') }} {{ -2.1|round(0, 'floor') }} {{ -3|abs }}",
            "2.6 3.0 -3.0 3",
        ),
        ("{{ '7'|int + 1 }} {{ 'z'|int(3) }} {{ 'ff'|int(base=16) }} {{ '2.9'|int }} {{ 2.9|int }}", "8 3 255 2 2"),
        ("{{ 3|float }} {{ '1.5'|float }} {{ 'inf'|float }} {{ 'z'|float(2) }}", "3.0 1.5 0.0 2"),
        ("{{ 'hello big world'|truncate(10) }} {{ 'hello'|truncate(4, true, '.') }}", "hello... hel."),
        ("{{ 'a\n\nb'|indent(2) }}|{{ 'a\n\nb'|indent(1, true, true) }}", "a\n\n  b| a\n \n b"),
        ("{{ n is even }} {{ n is odd }} {{ n is divisibleby 3 }} {{ name is string }}", "True False False True"),
        ("{{ user is mapping }} {{ words is sequence }} {{ n is number }} {{ yes is number }}", "True True True False"),
    ],
)
def test_a_template_is_rendered(renderer: Renderer, source: str, text: str) -> None:
    assert renderer.render(source, VALUES, {}) == text


@given(st.text(st.characters(codec="utf-8")).filter(lambda text: not re.search(r"\{[{%#]", text)))
def test_a_text_without_markers_is_rendered_to_itself(text: str) -> None:
    assert RENDERER.render(text, {}, {}) == text
    assert RENDERER.references(text) == ()


@given(st.text(st.characters(codec="utf-8")))
def test_a_value_is_rendered_to_itself(text: str) -> None:
    assert RENDERER.render("[{{ v }}]", {"v": text}, {}) == f"[{text}]"


@given(st.text("{}%#|()[]'\"~*.,+-/ abifor0129\n\\", max_size=60))
def test_whatever_is_written_is_rendered_or_refused(source: str) -> None:
    with suppress(PromptSyntaxInvalid, PromptRenderFailed):
        RENDERER.render("{{ a " + source, {"a": [1, "b"]}, {})


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("a\n{{ nobody }}", "line 2: nobody is not given"),
        ("\n\n{{ user.nick }}", "line 3: nick is not given"),
        ("{{ user.nick.first }}", "line 1: nick is not given"),
        ("{{ words[9] }}", "line 1: 9 is not given"),
        ("{{ nobody + 1 }}", "line 1: nobody is not given"),
        ("{% if nobody %}{% endif %}", "line 1: nobody is not given"),
        ("{% for x in nobody %}{% endfor %}", "line 1: nobody is not given"),
        ("{{ [nobody]|length }}", "line 1: nobody is not given"),
        ("{{ name|replace('a', nobody) }}", "line 1: nobody is not given"),
        ("{{ nobody == 1 }}", "line 1: nobody is not given"),
        ("{{ 1 / 0 }}", "line 1: divides by zero"),
        ("{{ 1 // 0 }}{{ 1 % 0 }}", "line 1: divides by zero"),
        ("{{ 1 < 'a' }}", "line 1: uses a value of another kind than this needs"),
        ("{{ user }}", "line 1: writes a list or an object as text: use join or tojson"),
        ("{% for a, b in [1] %}{% endfor %}", "line 1: uses a value of another kind than this needs"),
        ("{% include 'other' %}", "line 1: includes other, which is not there"),
        ("{{ 'a' * 3 }}", "line 1: uses * on values that are not numbers"),
        ("{{ '%s' % 3 }}", "line 1: uses % on values that are not numbers"),
    ],
)
def test_what_cannot_be_rendered_is_said_with_its_line(renderer: Renderer, source: str, problem: str) -> None:
    with pytest.raises(PromptRenderFailed) as raised:
        renderer.render(source, VALUES, {})

    assert raised.value.violations == (("text", problem),)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("\n{{ a", "line 2: "),
        ("{% if %}", "line 1: "),
        ("\n\n{% endfor %}", "line 3: "),
        ("{% do x %}", "line 1: Encountered unknown tag 'do'."),
        ("{% macro f() %}{% endmacro %}", "line 1: the tag macro is not for prompts"),
        ("{% block a %}{% endblock %}", "line 1: the tag block is not for prompts"),
        ("{% extends 'a' %}", "line 1: the tag extends is not for prompts"),
        ("{% import 'a' as b %}", "line 1: the tag import is not for prompts"),
        ("{% from 'a' import b %}", "line 1: the tag from is not for prompts"),
        ("\n{% autoescape true %}{% endautoescape %}", "line 2: the tag autoescape is not for prompts"),
        ("\n{% include name %}", "line 2: an include names a template as a fixed text"),
        ("{% include ['a', 'b'] %}", "line 1: an include names a template as a fixed text"),
        ("{% include 'a b' %}", "line 1: an include names a template as a fixed text"),
        ("{% include 'a' ignore missing %}", "line 1: an include has no further words"),
        ("{{ name.upper() }}", "line 1: nothing but range can be called"),
        ("{{ name|center(9) }}", "line 1: there is no filter center; there are abs, capitalize"),
        ("{{ name is sameas 1 }}", "line 1: there is no test sameas; there are boolean, defined"),
        ("{{ name|upper(1) }}", "line 1: the filter upper does not take these arguments"),
        ("{{ name|upper(value=1) }}", "line 1: the filter upper does not take these arguments"),
        ("{{ name|join(d=1, d=2) }}", "line 1: the filter join is given an argument twice"),
        ("{% set loop = 1 %}", "line 1: loop cannot be set"),
        ("{% set a.b = 1 %}", "line 1: only a name can be set"),
        ("{{ self }}", "line 1: self is not for prompts"),
        ("{{ é }}", "line 1: é is no name"),
        ("\ud800", "line 1: holds a character that is not one"),
        ("x" * (256 * 1024 + 1), "line 1: is longer than 256 KiB"),
    ],
)
def test_what_is_no_template_is_said_with_its_line(renderer: Renderer, source: str, problem: str) -> None:
    for used in (lambda: renderer.check(source, []), lambda: renderer.prepare(source)):
        with pytest.raises(PromptSyntaxInvalid) as raised:
            used()
        assert _problem(raised.value).startswith(problem)


def test_the_check_names_everything_that_is_not_declared() -> None:
    source = (
        "{{ a }}{{ b.c }}\n{% set d = e %}{{ d }}{% for f in g %}{{ f }}{{ loop.index }}{% endfor %}{{ b }}{{ loop }}"
    )

    with pytest.raises(PromptVariablesInvalid) as raised:
        Renderer().check(source, [Variable("a", "string")])

    assert raised.value.violations == (
        ("text", "line 1: b is not declared as a variable"),
        ("text", "line 2: e is not declared as a variable"),
        ("text", "line 2: g is not declared as a variable"),
        ("text", "line 2: loop is not declared as a variable"),
    )


def test_the_check_lets_through_what_uses_its_variables() -> None:
    source = "{{ a }}{% for i in range(3) %}{{ i }}{% endfor %}{% include 'other' %}"

    Renderer().check(source, [Variable("a", "string"), Variable("unused", "list")])


def test_references_are_given_once_in_order(renderer: Renderer) -> None:
    source = (
        "{% include 'b@v1.2' %}{% if x %}{% include 'a:production' %}{% endif %}{% include 'b@v1.2' %}{% include 'c' %}"
    )

    assert renderer.prepare(source).references == ("b@v1.2", "a:production", "c")


def test_an_include_sees_the_values_and_nothing_that_was_set(renderer: Renderer) -> None:
    includes = {"a@v1": "{{ name }}{{ other|d('-') }}{% include 'b' %}", "b": "!"}

    text = renderer.render("{% set other = 1 %}{% for name in [2] %}{% include 'a@v1' %}{% endfor %}", VALUES, includes)

    assert text == "Ada-!"


def test_an_include_can_be_captured(renderer: Renderer) -> None:
    source = "{% set a %}<{% include 'b' %}>{% endset %}{{ a|upper }}"

    assert renderer.render(source, {}, {"b": "b"}) == "<B>"


def test_what_goes_wrong_in_an_include_is_said_with_the_way_there(renderer: Renderer) -> None:
    with pytest.raises(PromptRenderFailed) as failed:
        renderer.render("{% include 'a' %}", {}, {"a": "\n{% include 'b' %}", "b": "\n\n{{ x }}"})
    with pytest.raises(PromptSyntaxInvalid) as malformed:
        renderer.render("{% include 'a' %}", {}, {"a": "\n{{"})

    assert _problem(failed.value) == "in a -> b, line 3: x is not given"
    assert _problem(malformed.value).startswith("in a, line 2: ")


@pytest.mark.parametrize(
    ("includes", "chain"),
    [
        ({"a": "1{% include 'a' %}"}, "a -> a"),
        (
            {"a": "1{% include 'b:x' %}", "b:x": "2{% include 'c@v1' %}", "c@v1": "3{% include 'a' %}"},
            "a -> b:x -> c@v1 -> a",
        ),
        ({"a": "{% include 'a' %}"}, "a"),
        ({"a": "1{% include 'a:b' %}", "a:b": "1{% include 'a:b' %}"}, "a -> a:b"),
    ],
)
def test_a_cycle_of_includes_is_named(renderer: Renderer, includes: dict[str, str], chain: str) -> None:
    with pytest.raises(PromptIncludeCycle) as raised:
        renderer.render("{% include 'a' %}", {}, includes)

    assert raised.value.violations == (("text", f"includes itself: {chain}"),)


def test_includes_go_eight_deep_and_no_deeper(renderer: Renderer) -> None:
    includes = {f"t{n}": f"{n}{{% include 't{n + 1}' %}}" for n in range(9)} | {"t9": "end"}

    assert renderer.render("{% include 't2' %}", {}, includes) == "2345678end"
    with pytest.raises(PromptRenderFailed, match="rendered") as raised:
        renderer.render("{% include 't1' %}", {}, includes)
    assert "more than 8 deep" in _problem(raised.value)


def test_sixty_four_includes_are_made_and_no_more(renderer: Renderer) -> None:
    source = "{% for i in range(n) %}{% include 'a' %}{% endfor %}"

    assert renderer.render(source, {"n": 64}, {"a": "x"}) == "x" * 64
    with pytest.raises(PromptRenderFailed):
        renderer.render(source, {"n": 65}, {"a": "x"})


def test_of_more_includes_than_are_made_it_is_not_said_that_they_are_not_there(renderer: Renderer) -> None:
    includes = {f"part{number}": "x" for number in range(64)}

    with pytest.raises(PromptRenderFailed) as raised:
        renderer.render("{% include 'another' %}", {}, includes)

    assert _problem(raised.value) == "line 1: includes more than 64 others"


def test_several_sources_are_rendered_within_one_budget(renderer: Renderer) -> None:
    source = "{% for i in range(9000) %}{{ i }}{% endfor %}"

    assert renderer.render_all(_turns("{{ a }}", "b", ""), {"a": 1}, {}) == ["1", "b", ""]
    assert renderer.render_all({}, {}, {}) == []
    renderer.render_all(_turns(*[source] * 3), {}, {})
    with pytest.raises(PromptRenderFailed) as raised:
        renderer.render_all(_turns(*[source] * 12), {}, {})
    ((field, _),) = raised.value.violations
    assert field in {"messages[4].content", "messages[5].content"}


def test_a_text_of_a_mebibyte_is_rendered_and_no_longer_one(renderer: Renderer) -> None:
    exact = {"v": "é" * (64 * 1024)}

    assert len(renderer.render("{{ v }}" * 8, exact, {}).encode()) == 1024 * 1024
    for source in ("{{ v }}" * 8 + "x", "x" + "{% include 'v' %}" * 8):
        with pytest.raises(PromptRenderFailed) as raised:
            renderer.render(source, exact, {"v": "{{ v }}"})
        assert "longer than 1024 KiB" in _problem(raised.value)


def test_old_templates_leave_the_cache() -> None:
    renderer = Renderer(max_cached_steps=1000)
    sources = [f"{{{{ v }}}} {number}" for number in range(50)]

    assert [renderer.render(source, {"v": 1}, {}) for source in sources * 2] == [f"1 {n}" for n in range(50)] * 2
    assert 0 < len(renderer._cache) < 10
    assert renderer._cached_steps <= 1000


@pytest.mark.parametrize(
    "value",
    [object(), {1: 2}, float("nan"), 10**30, {1}, b"x", "\ud800", "x" * 2**21],
    ids=lambda value: type(value).__name__,
)
def test_values_that_were_not_bound_are_looked_at_too(renderer: Renderer, value: Any) -> None:
    with pytest.raises(PromptRenderFailed):
        renderer.render("{{ v }}", {"v": value}, {})
