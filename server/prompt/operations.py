"""The operations of the language itself, each paid for: those that templates write as operators, loops and text."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from jinja2 import pass_context

from server.prompt.budget import MAX_NUMBER, Refused, Run, RunContext, given, nodes_to_come
from server.prompt.filters import as_items, as_text, concat, is_number

MAX_RANGE = 10_000

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}


def arithmetic(run: Run, sign: str, left: Any, right: Any) -> Any:
    """Numbers by any sign; texts and lists by + alone. Raises Refused, ArithmeticError."""
    given(left, right)
    run.spend(1)
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return run.kept(concat([left, right]))
    if sign == "+" and isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        nodes_to_come(len(left) + len(right))
        return run.kept([*left, *right])
    if not is_number(left) or not is_number(right):
        raise Refused(f"uses {sign} on values that are not numbers")
    # The result of whole numbers is weighed before it is worked out: it may have as many digits as they say.
    if sign == "**" and isinstance(left, int) and isinstance(right, int) and abs(left) > 1:
        bits = abs(right) * (left.bit_length() - 1)
        if bits > MAX_NUMBER.bit_length():
            raise Refused("makes a number that is out of range")
    return run.kept(_ARITHMETIC[sign](left, right))


def sign(run: Run, written: str, value: Any) -> Any:
    """A number with a sign before it. Raises Refused."""
    given(value)
    run.spend(1)
    if not is_number(value):
        raise Refused(f"uses {written} on a value that is not a number")
    return -value if written == "-" else value


@pass_context
def _write(context: RunContext, value: Any) -> str:
    return context.run.write(value if type(value) is str else as_text(value))


@pass_context
def _capture(context: RunContext, value: Any) -> str:
    return context.run.capture(as_text(value))


@pass_context
def _include(context: RunContext, name: str) -> str:
    return context.run.include(name)


@pass_context
def _each(context: RunContext, value: Any, cost: int) -> list[Any]:
    items = as_items(value)
    # A loop cannot be left early, so all of it is paid for before it begins.
    context.run.spend(1 + len(items) * cost)
    return items


@pass_context
def _make(context: RunContext, value: Any) -> Any:
    context.run.spend(1)
    return context.run.kept(value)


@pass_context
def _concat(context: RunContext, pieces: list[Any]) -> Any:
    context.run.spend(len(pieces))
    return context.run.kept(concat([as_text(piece) for piece in pieces]))


@pass_context
def _range(context: RunContext, args: list[Any]) -> Any:
    if not 1 <= len(args) <= 3 or any(type(arg) is not int for arg in args):
        given(*args)
        raise Refused("range takes one to three whole numbers")
    if args[2:] == [0]:
        raise Refused("range cannot go in steps of 0")
    numbers = range(*args)
    # Not len(), which a range may be too long for.
    if numbers and abs(numbers[-1] - numbers[0]) // abs(numbers.step) >= MAX_RANGE:
        raise Refused(f"range goes through more than {MAX_RANGE} numbers")
    return context.run.kept(list(numbers))


@pass_context
def _slice(context: RunContext, value: Any, start: Any, stop: Any, step: Any) -> Any:
    given(value, start, stop, step)
    if not isinstance(value, (list, tuple, str)):
        raise Refused("takes a part of a value that is not a list or a text")
    if any(bound is not None and type(bound) is not int for bound in (start, stop, step)) or step == 0:
        raise Refused("takes a part of a value from or to what is not a whole number")
    context.run.spend(1)
    return context.run.kept(value[start:stop:step])


@pass_context
def _compare(context: RunContext, left: Any, *operands: Any) -> bool:
    """`a < b < c` as its parts: the sign and the right side of each."""
    run = context.run
    holds = True
    for written, right in zip(operands[::2], operands[1::2], strict=True):
        given(left, right)
        run.spend(1)
        if written in ("in", "notin"):
            holds = holds and _contains(run, right, left) is (written == "in")
        else:
            run.weigh(left)
            run.weigh(right)
            holds = holds and bool(_COMPARISONS[written](left, right))
        left = right
    return holds


def _contains(run: Run, whole: Any, part: Any) -> bool:
    if isinstance(part, (list, tuple, dict)):
        run.weigh(part)
        run.weigh(whole)
    match whole:
        case str() if isinstance(part, str):
            run.scan(whole)
            return part in whole
        case dict():
            return isinstance(part, str) and part in whole
        case list() | tuple():
            run.scan(whole)
            return part in whole
    raise Refused("looks for a value in what cannot hold it")


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "write": _write,
    "capture": _capture,
    "include": _include,
    "each": _each,
    "make": _make,
    "concat": _concat,
    "range": _range,
    "slice": _slice,
    "compare": _compare,
}
COUNTED = {name: f"{name} (counted)" for name in _OPERATIONS}
"""The names that generated code finds these under: none that a template could write."""

AS_FILTERS = {COUNTED[name]: operation for name, operation in _OPERATIONS.items()}


def joined(pieces: Any) -> str:
    """What a block has captured, as one text. Raises Refused before it would be too long."""
    return concat(list(pieces))
