"""Templates that would take memory or time without end, or reach for what is not theirs."""

from __future__ import annotations

import re
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest

from server.kernel.errors import DomainError
from server.prompt.errors import PromptIncludeCycle, PromptRenderFailed, PromptSyntaxInvalid
from server.prompt.rendering import Renderer, Unread

MOST_MEMORY = 50_000_000

VALUES: dict[str, Any] = {
    "s": "text", "n": 3, "big": "x" * 200_000, "wide": "\U0001f600" + "x" * 150_000, "numbers": list(range(20_000)),
    "object": {"a": {"b": 1}}, "lines": "\n" * 150_000, "odd": "ΐ" * 80_000, "spaced": "ab " * 60_000,
    "many": {str(n): n for n in range(20_000)}, "needle": "y" + "x" * 90,
}  # fmt: skip
INCLUDES = {
    "self": "{% include 'self' %}",
    "ping": "1{% include 'pong' %}",
    "pong": "2{% include 'ping' %}",
    "loop": "{% for i in range(9000) %}{{ s }}{% endfor %}",
    "fan": "{% for i in range(10) %}{% include 'fan1' %}{% endfor %}",
    "fan1": "{% for i in range(10) %}{% include 'leaf' %}{% endfor %}",
    "leaf": "leaf",
    "big": "{{ big }}",
    "broken": "{{ ''.__class__ ",
    **{f"d{n}": f"{n}{{% include 'd{n + 1}' %}}" for n in range(12)},
}

_DOUBLED = "{% set a = 'xxxxxxxx' %}"
_LOOP = "{% for i in range(9999) %}"

ATTACKS = [
    # repetition and formats
    "{{ 'x' * 300000000 }}",
    "{{ 300000000 * 'x' }}",
    "{{ [1] * 100000000 }}",
    "{{ '%300000000d' % 1 }}",
    "{{ '%s' % s }}",
    "{{ '{:300000000}'.format(1) }}",
    "{{ '{0.__class__}'.format(s) }}",
    "{{ '{a}'.format_map({'a': 1}) }}",
    "{{ s.join(numbers) }}",
    "{{ s.ljust(300000000) }}",
    "{{ s.encode().hex() }}",
    # filters of the stock list that are not offered
    "{{ s|center(300000000) }}",
    "{{ '%300000000d'|format(1) }}",
    "{{ s|wordwrap(1, wrapstring=big) }}",
    "{{ big|urlize }}",
    "{{ object|xmlattr }}",
    "{{ numbers|pprint }}",
    "{{ s|attr('__class__') }}",
    "{{ numbers|map(attribute='__class__')|list }}",
    "{{ numbers|map('center', 300000000)|list }}",
    "{{ numbers|batch(1000000000, 'x')|list }}",
    "{{ numbers|slice(1000000000)|list }}",
    "{{ numbers|groupby('real') }}",
    "{{ s|filesizeformat }}",
    "{{ numbers|sum(start=[]) }}",
    "{{ numbers|random }}",
    "{{ s|safe|escape|forceescape }}",
    # filters that are
    "{{ 'a'|replace('', 'x' ~ big)|replace('', big) }}",
    "{{ big|replace('x', big) }}",
    "{{ big|replace('', big) }}",
    "{{ lines|indent(64, true, true) }}",
    "{{ lines|indent(300000000) }}",
    "{{ numbers|join(big) }}",
    "{{ [big, big, big, big, big, big]|join }}",
    "{{ [numbers, numbers, numbers, numbers]|tojson(indent=8) }}",
    "{{ numbers|tojson(indent=100000000) }}",
    "{{ ('\x01' * 1) ~ big }}",
    "{% set a = '\x01' %}" + "{% set a = a ~ a %}" * 18 + "{{ a|tojson }}",
    "{{ s|truncate(-1) }}",
    "{{ s|truncate(3, true, big ~ big ~ big ~ big ~ big ~ big) }}",
    "{{ 5|round(-1000000000) }}",
    "{{ 5.5|round(1000000000) }}",
    "{{ 1e308|round(15, 'ceil') }}",
    "{{ ('9' ~ big)|int + s }}",
    "{{ 1e300|int }}",
    "{{ ('z' ~ s)|int(base=1000000) }}",
    "{{ big|list|list }}",
    "{{ numbers|sort(attribute='a.' ~ big) }}",
    "{{ big|trim(big ~ 'y') }}",
    _DOUBLED + "{% set b = 'yyyyyyyy' %}" + "{% set a = a ~ a %}{% set b = b ~ b %}" * 16 + "{{ a|trim(b ~ 'x') }}",
    "{% set p = '0.' %}" + "{% set p = p ~ p %}" * 14 + "{{ big[:60000]|list|sort(attribute=p ~ '0') }}",
    "{% set p = '0.' %}" + "{% set p = p ~ p %}" * 14 + "{{ big[:60000]|list|join(attribute=p ~ '0') }}",
    "{% for i in range(9999) %}{% set a = big|replace(needle, '') %}{% endfor %}",
    "{% for i in range(9999) %}{% if needle in big %}{% endif %}{% endfor %}",
    "{% for i in range(9999) %}{% set a = s|replace(big, '') %}{% endfor %}",
    "{{ [1, 'a', none]|sort }}",
    "{{ [object]|unique|list }}",
    "{{ object|dictsort }}",
    "{% for i in numbers %}{{ big|title }}{% endfor %}",
    "{% for i in range(9999) %}{% set a = big|upper %}{% endfor %}",
    "{% for i in range(9999) %}{% set a = odd|upper %}{% endfor %}",
    "{% for i in range(9999) %}{% set a = numbers|sort %}{% endfor %}",
    "{% for i in range(9999) %}{% set a = spaced|title|indent %}{% endfor %}",
    # loops
    "{% for i in range(10**9) %}{% endfor %}",
    "{% for i in range(0, 1000000000, 1) %}{% endfor %}",
    "{% for i in range(0, -9000000000000000000, -1) %}{% endfor %}",
    "{% for i in range(1, 2, 0) %}{% endfor %}",
    _LOOP + _LOOP + "{% endfor %}{% endfor %}",
    _LOOP + _LOOP + "{{ i }}{% endfor %}{% endfor %}",
    _LOOP + "{% if s %}{% endif %}" * 1000 + "{% endfor %}",
    _LOOP + "{% set b = s.a.b|d %}" * 300 + "{% endfor %}",
    _LOOP + "{% if big == big ~ '' %}{% endif %}{% endfor %}",
    _LOOP + "{% if 'y' in big %}{% endif %}{% endfor %}",
    _LOOP + "{% if [numbers] == [numbers] %}{% endif %}{% endfor %}",
    _LOOP + "{% if -1 in numbers %}{% endif %}{% endfor %}",
    _LOOP + "{{ big[1:] }}{% endfor %}",
    _LOOP + "{% set a = numbers[:] %}{% endfor %}",
    _LOOP + "{% for c in big %}{% endfor %}{% endfor %}",
    "{% for i in numbers recursive %}{{ loop(numbers) }}{% endfor %}",
    "{% for i in [1] %}{{ loop(numbers) }}{% endfor %}",
    "{% for i in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for i in [1] %}{{ loop._iterator }}{% endfor %}",
    "{% for i in [1] %}{{ loop }}{% endfor %}",
    "{% for i in [1] %}{{ loop.cycle(1, 2) }}{% endfor %}",
    "{% for i in [1] %}{% for x in loop %}{% endfor %}{% endfor %}",
    "{% for i in [1] %}{{ [loop]|tojson }}{% endfor %}",
    # growth by doubling
    _DOUBLED + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    _DOUBLED + "{% set a = a + a %}" * 40 + "{{ a }}",
    _DOUBLED + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40 + "{{ a }}",
    "{% set a = [1] %}" + "{% set a = [a, a] %}" * 30 + "{{ a|tojson }}",
    "{% set a = [1] %}" + "{% set a = a + a %}" * 40 + "{{ a|length }}",
    "{% set a = [1] %}" + "{% set a = {'a': a, 'b': a} %}" * 30 + "{{ a == a }}",
    "{% set a = [1] %}" + "{% set a = [a] %}" * 60 + "{{ a|tojson }}",
    "{% set a = wide %}" + "{% set a = a ~ a %}" * 10,
    "{% set a %}" + _LOOP + "{{ big }}{% endfor %}{% endset %}",
    "{% set a %}" + _LOOP + "y" * 100_000 + "{% endfor %}{% endset %}",
    "{% filter upper %}" + _LOOP + "y" * 100_000 + "{% endfor %}{% endfilter %}",
    "{% filter length %}" + _LOOP + "{{ big }}{% endfor %}{% endfilter %}",
    _LOOP + "y" * 100_000 + "{% endfor %}",
    _LOOP + "{{ wide }}{% endfor %}",
    "{{ " + " ~ ".join(["big"] * 1000) + " }}",
    # numbers
    "{{ 2 ** 2 ** 300 }}",
    "{{ 2 ** 100000000 }}",
    "{{ (-2) ** -100000000 }}",
    "{{ (-8) ** 0.5 }}",
    "{{ 0 ** -1 }}",
    "{{ 10.0 ** 400 }}",
    "{{ 1e308 * 10 }}",
    "{{ 1e999 }}",
    "{{ 1e308 * 10 - 1e308 * 10 }}",
    "{% set a = 9223372036854775807 %}{{ a * a }}",
    "{{ 5 % 0 }}",
    "{{ 5.0 // 0 }}",
    "{{ true + true }}",
    "{{ 9" + "9" * 5000 + " }}",
    "{{ 0x" + "f" * 100_000 + " }}",
    # what is not theirs
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ s['__class__'] }}",
    "{{ object.__class__ }}",
    "{{ object['__init__'] }}",
    "{{ object.items }}",
    "{{ range.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ lipsum(n=1000000) }}",
    "{{ cycler('a').next() }}",
    "{{ joiner()() }}",
    "{{ namespace(a=1) }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}",
    "{{ dict(a=1) }}",
    "{{ config }}",
    "{{ context }}",
    "{{ environment }}",
    "{{ caller() }}",
    "{{ super() }}",
    "{{ ()|attr('x') }}",
    "{{ s|upper(*numbers) }}",
    "{{ s|default(**object) }}",
    "{{ range(*numbers) }}",
    "{{ range(start=1) }}",
    "{% set range = 3 %}{{ range(3) }}",
    "{{ {[1]: 2} }}",
    "{{ {1: 2} }}",
    "{{ 's' 's' is eq(1) }}",
    "{{ s|write }}",
    # constructs
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% call f() %}{% endcall %}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{% extends 'self' %}",
    "{% import 'self' as x %}",
    "{% from 'self' import x %}",
    "{% autoescape true %}{{ s }}{% endautoescape %}",
    "{% include 'self' %}",
    "{% include 'ping' %}",
    "{% include 'd0' %}",
    "{% include 'fan' %}",
    "{% include s %}",
    "{% include '../etc/passwd' %}",
    "{% include 'broken' %}",
    "{% for i in range(30) %}{% include 'loop' %}{% endfor %}",
    "{% for i in range(30) %}{% include 'big' %}{% endfor %}",
    "{% for i in range(31) %}{% set a %}{% include 'big' %}{% include 'big' %}{{ big }}{% endset %}{% endfor %}",
    # sources that are hard to read
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "[" * 100 + "]" * 100 + " }}",
    "{{ " + "not " * 5000 + "1 }}",
    "{{ " + "-" * 5000 + "1 }}",
    "{{ " + "+".join(["1"] * 3000) + " }}",
    "{{ s" + "|upper" * 3000 + " }}",
    "{{ s" + ".a" * 3000 + " }}",
    "{{ " + "1 if s else " * 1500 + "1 }}",
    "{{ " + " and ".join(["s"] * 2000) + " }}",
    "{{ " + "**".join(["1"] * 2000) + " }}",
    "{% if s %}" * 1000 + "{% endif %}" * 1000,
    "{% for i in [1] %}" * 60 + "{% endfor %}" * 60,
    "{% for i in [1] %}" * 18 + "{{ 1 }}" + "{% endfor %}" * 18,
    "{{ s }}" * 30_000,
    "{{ " + "a" * 200_000 + " }}",
    "{{ '" + "\\" * 100_001 + "' }}",
    "{{ '\\ud800' }}",
    "{{ '\\ud800' ~ s }}",
    "{{ '\\x00' }}",
    "{{ s|replace('a', '\\u0000') }}",
    "{% set a = {'\\0': 1} %}{{ a }}",
    "{% raw %}" * 2000,
    "{#" * 5000,
    "{{" * 5000,
    "{%" + " " * 200_000,
    "{{ s }}\ud800",
    # much that lives at once
    "".join(f"{{% set a{n} = wide ~ {n} %}}" for n in range(100)),
    "".join(f"{{% set a{n} = range(10000) %}}" for n in range(100)),
    "".join(f"{{% set a{n} = numbers + [{n}] %}}" for n in range(100)),
    "".join(f"{{% set a{n} = many|items %}}" for n in range(100)),
    "".join(f"{{% set a{n} = big[:65000]|list %}}" for n in range(100)),
    "{{ s }}" * 1990 + "{{ nobody }}",
    "{% if s %}{% set a = [s, {'k': n + 1}] %}{% endif %}" * 390 + "{{ nobody }}",
    "{{ " + " ~ ".join(["s"] * 2400) + " ~ nobody }}",
]  # fmt: skip


def _shown(attack: str) -> str:
    return re.sub(r"[^ -~]", "?", attack[:60])


def _values(attack: str) -> dict[str, Any]:
    """Those that the attack or an include names: looking at all of them takes a while where memory is traced."""
    return {name: value for name, value in VALUES.items() if name in {"s", "big", *re.findall(r"\w+", attack)}}


def test_there_are_no_two_alike() -> None:
    assert len(set(ATTACKS)) == len(ATTACKS) > 60


@pytest.mark.parametrize("attack", ATTACKS, ids=_shown)
def test_an_attack_ends_as_a_refusal_in_bounded_memory(attack: str) -> None:
    renderer = Renderer()
    tracemalloc.start()
    try:
        with pytest.raises(DomainError) as raised:
            renderer.render(attack, _values(attack), INCLUDES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(raised.value, (PromptSyntaxInvalid, PromptRenderFailed, PromptIncludeCycle))
    assert peak < MOST_MEMORY
    ((field, problem),) = raised.value.violations
    assert field == "text"
    assert len(problem) < 1000
    # Nothing of what runs it: no class, no address, no words of Python's.
    assert not re.search(r" object\b(?! )|0x[0-9a-f]{6}|<|Error|NoneType|jinja|'(str|int|dict|list)'", problem), problem
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize("attack", ATTACKS[::5], ids=_shown)
def test_an_attack_through_a_chat_or_an_include_is_the_same(attack: str) -> None:
    renderer = Renderer()

    with pytest.raises(DomainError):
        renderer.render_all({"first": "fine", "second": attack}, _values(attack), INCLUDES)
    with pytest.raises(DomainError):
        renderer.render("{% include 'attack' %}", _values(attack), INCLUDES | {"attack": attack})


def test_a_check_refuses_or_takes_an_attack_without_running_it() -> None:
    renderer = Renderer()
    for attack in ATTACKS:
        with suppress(DomainError):
            renderer.check(attack, [])


@pytest.mark.parametrize("attack", ATTACKS, ids=_shown)
def test_an_attack_is_refused_or_put_off_where_all_calls_are_served(attack: str) -> None:
    renderer = Renderer()
    for source in (attack, *INCLUDES.values()):
        with suppress(PromptSyntaxInvalid):
            renderer.learn(source, renderer.prepare(source))

    with suppress(DomainError, Unread):
        assert renderer.render_at_once({"text": attack}, _values(attack), INCLUDES) is None
