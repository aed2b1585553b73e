"""Expressions: read, checked against the steps that they speak of, and computed.

In CEL (https://github.com/google/cel-spec): it has neither loops nor side effects, but lists of lists can be gone
through, and what that takes grows with each level. So this runs where it may take no more than so much time and memory.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson

from server.kernel.json import MOST_DEPTH, depth
from server.workflow import language
from server.workflow.definition import MOST_BYTES, Definition, Problem, Step, values
from server.workflow.errors import ExpressionFailed
from server.workflow.texts import Expression, TextInvalid, bound_in, parts, steps_of
from server.workflow.worker import Source, asked

# It logs what a tenant's expression fails with, and that may be anything the tenant has.
logging.getLogger("cel").disabled = True

_ALWAYS = frozenset({"input", "steps", "execution"})
_OF_ITEMS = frozenset({"item", "index"})
_BUILT_IN = (
    *("bytes", "double", "duration", "dyn", "int", "size", "string", "timestamp", "type", "uint"),
    *("contains", "endsWith", "matches", "startsWith"),
    *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth"),
    *("getHours", "getMilliseconds", "getMinutes", "getSeconds"),
    *("optional.none", "optional.of", "optional.ofNonZeroValue", "hasValue", "or", "orValue", "value"),
)
"""The functions of the language itself."""
_TYPES = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"})
"""What `type` gives, by the names that expressions have for them."""
_TOO_DEEP = f"what it comes to is nested deeper than {MOST_DEPTH}"
_MOST_TOLD = 300
_MOST_WHOLE = 2.0**53
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""How JSON writes NUL; behind a backslash that is itself written as two, the letters are letters."""
_NOISE = re.compile(r"^Failed to parse expression .*?: ERROR: <input>:", re.DOTALL)


def problems(definition: Definition) -> list[Problem]:
    """All that is wrong with a definition: its size, its steps' names and needs, and expressions."""
    if len(orjson.dumps(values(definition))) > MOST_BYTES:
        return [("steps", f"as JSON they have more than {MOST_BYTES} bytes")]
    found = list(definition.problems())
    for place, step in enumerate(definition.steps):
        before = definition.before(step.id)
        for source in sources(step, f"steps[{place}]."):
            items = bool(step.for_each) and source.field.rpartition(".")[2] not in {"when", "for_each"}
            found += _problems(source, before, _ALWAYS | (_OF_ITEMS if items else frozenset()))
    if definition.output:
        every = {step.id for step in definition.steps}
        found += _problems(Source("output", definition.output), every, _ALWAYS)
    return found


def sources(step: Step, prefix: str = "") -> Iterator[Source]:
    """All that is computed for a step."""
    for name in ("when", "for_each"):
        if getattr(step, name):
            yield Source(f"{prefix}{name}", getattr(step, name))
    for source in asked(step):
        yield Source(f"{prefix}{source.field}", source.source, source.text)


def _problems(source: Source, before: set[str], known: frozenset[str]) -> Iterator[Problem]:
    try:
        read = parts(source.source) if source.text else [Expression(source.source)]
    except TextInvalid as error:
        yield source.field, str(error)
        return
    for part in read:
        if isinstance(part, Expression):
            yield from ((source.field, problem) for problem in _wrong(part.source, before, known))


def _wrong(expression: str, before: set[str], known: frozenset[str]) -> Iterator[str]:
    try:
        program = language.compile(expression)
    except ValueError as error:
        yield _told(error)
        return
    for name in program.variables():
        if name not in known | _TYPES | _SPACES and name not in bound_in(expression):
            yield f"{name} is nothing that is known here"
    for name in program.functions():
        if name.isidentifier() and name not in _FUNCTIONS:  # operators are none
            yield f"{name} is no function"
    for name in sorted(steps_of(expression) - before):
        yield f"step {name} need not have ended before"


def computed(given: Sequence[Source], known: Mapping[str, Any]) -> list[Any]:
    """What each comes to, as JSON has it. Raises ExpressionFailed."""
    context = _context()
    for name, value in known.items():
        context.add_variable(name, _doubles(value))
    found, size = [], 0
    for source in given:
        try:
            value = _text(source.source, context) if source.text else _value(source.source, context)
        except TextInvalid as error:
            raise ExpressionFailed(source.field, str(error)) from None
        except Exception as error:  # noqa: BLE001 - whatever the library raises, it is what was written
            raise ExpressionFailed(source.field, _told(error)) from None
        size += len(orjson.dumps(value))
        if size > MOST_BYTES:
            raise ExpressionFailed(source.field, f"what it comes to has more than {MOST_BYTES} bytes")
        found.append(value)
    return found


def _text(text: str, context: language.Context) -> str:
    return "".join(part if isinstance(part, str) else _written(part.source, context) for part in parts(text))


def _written(expression: str, context: language.Context) -> str:
    value = _value(expression, context)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _value(expression: str, context: language.Context) -> Any:
    written = _json(language.compile(expression).execute(context))
    if _NUL.search(written):
        raise TextInvalid("it has a character that cannot be kept: NUL")
    value = orjson.loads(written)
    if depth(value) > MOST_DEPTH:
        raise TextInvalid(_TOO_DEEP)
    return value


def _json(value: Any) -> str:
    try:
        return orjson.dumps(_whole(value), default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, TextInvalid):
            raise error.__cause__ from None
        raise TextInvalid(_TOO_DEEP) from None


def _doubles(value: Any) -> Any:
    """JSON as expressions see it. Its numbers are doubles, as the language has it: were those integers that happen to
    be whole, what works for 2.5 would fail for 2.
    """
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case list():
            return [_doubles(one) for one in value]
        case dict():
            return {name: _doubles(one) for name, one in value.items()}
    return value


def _whole(value: Any) -> Any:
    """The same as JSON has it again: 2 and not 2.0."""
    match value:
        case float() if value.is_integer() and abs(value) <= _MOST_WHOLE:
            return int(value)
        case list():
            return [_whole(one) for one in value]
        case dict():
            return {name: _whole(one) for name, one in value.items()}
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):  # as protobuf's JSON has a duration
        return f"{value.total_seconds():.9f}".rstrip("0").rstrip(".") + "s"
    raise TextInvalid(f"{type(value).__name__} is no JSON")


def _told(error: Exception) -> str:
    """What the library says, without the expression, which may be long."""
    if isinstance(error, KeyError):
        return f"there is no {error.args[0]}"
    said = " ".join(_NOISE.sub("", str(error)).split()).split(" | ")[0]
    return said[:_MOST_TOLD] or type(error).__name__


def _context() -> language.Context:
    """One that knows the functions, and nothing else."""
    context = language.Context()
    language.add_stdlib_to_context(context)
    context.add_function("json", _json)
    return context


_NAMES = (*_BUILT_IN, *_context().functions)
_FUNCTIONS = frozenset(name.rpartition(".")[2] for name in _NAMES)
_SPACES = frozenset(name.partition(".")[0] for name in _NAMES if "." in name)
"""What the names of functions begin with, such as `math.abs`: to the library, variables."""
