"""What rendering pays for: every filter and operation, by all that it looks at or makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from jinja2 import Environment, UndefinedError

from server.prompt.budget import Refused, Run, RunContext, Unfinished
from server.prompt.filters import FILTERS
from server.prompt.operations import AS_FILTERS, COUNTED, arithmetic
from server.prompt.rendering import MAX_STEPS_AT_ONCE

TEXT, LIST, OBJECT = "x\u00e9\n" * 60_000, [1.5] * 20_000, {f"k{n}": n for n in range(20_000)}
PAID = 500

# What looks at no more of a large value than its ends, or at nothing of it.
CONSTANT = frozenset({"default", "d", "length", "count", "first", "last"})
ARGUMENTS: dict[str, tuple[Any, ...]] = {"replace": ("y", "z")}
FILTERED = [
    *((name, value, ARGUMENTS.get(name, ())) for name in FILTERS for value in (TEXT, LIST, OBJECT)),
    ("replace", "s", (TEXT, "s")),
    ("replace", "s", ("s", TEXT)),
    ("trim", "s", (TEXT,)),
    ("truncate", "s", (0, True, TEXT)),
    ("join", ["s"], (TEXT,)),
    ("join", ["s"], ("", TEXT)),
    ("sort", ["s"], (False, False, TEXT)),
    ("unique", ["s"], (False, TEXT)),
    ("int", "s", (LIST,)),
]
OPERATED: list[tuple[str, tuple[Any, ...]]] = [
    ("concat", ([TEXT, "s"],)),
    ("make", ([LIST],)),
    ("make", ({"a": OBJECT},)),
    ("write", (TEXT,)),
    ("capture", (TEXT,)),
    ("each", (LIST, 1)),
    ("range", ([9_999],)),
    ("slice", (TEXT, 1, None, None)),
    ("slice", (LIST, None, None, -1)),
    *(("compare", (one, sign, other)) for sign in ("eq", "lt") for one, other in ((TEXT, TEXT[:-1]), (LIST, LIST[:]))),
    ("compare", (OBJECT, "eq", dict(OBJECT))),
    ("compare", ("no", "in", TEXT)),
    ("compare", (TEXT, "in", TEXT)),
    ("compare", ("no", "in", LIST)),
    ("compare", (LIST, "notin", [LIST])),
]


@pytest.mark.parametrize(("name", "value", "arguments"), FILTERED, ids=lambda of: str(of)[:20])
def test_a_filter_is_paid_for_by_all_that_it_looks_at(name: str, value: Any, arguments: tuple[Any, ...]) -> None:
    context = _context()

    with suppress(Refused, UndefinedError):
        FILTERS[name](context, value, *arguments)

    assert (context.run.steps < 10) if name in CONSTANT else (context.run.steps >= PAID)


@pytest.mark.parametrize(("name", "operands"), OPERATED, ids=lambda of: str(of)[:20])
def test_an_operation_is_paid_for_by_all_that_it_looks_at(name: str, operands: tuple[Any, ...]) -> None:
    context = _context()

    AS_FILTERS[COUNTED[name]](context, *operands)

    assert context.run.steps >= PAID


@pytest.mark.parametrize("operands", [(TEXT, "s"), (LIST, ["s"])], ids=["text", "list"])
def test_a_sum_is_paid_for_by_what_it_makes(operands: tuple[Any, Any]) -> None:
    context = _context()

    arithmetic(context.run, "+", *operands)

    assert context.run.steps >= PAID


def test_searching_a_text_costs_a_step_for_each_few_of_its_characters() -> None:
    hay, needle = "x" * 30_000, "y" + "x" * 90
    searched = [_context() for _ in range(2)]

    FILTERS["replace"](searched[0], hay, needle, "")
    AS_FILTERS[COUNTED["compare"]](searched[1], needle, "in", hay)

    # A search may compare each character of the one with each of the other.
    assert all(context.run.steps * 64 >= len(hay) for context in searched)


def test_what_cannot_be_paid_for_is_not_looked_at_to_its_end() -> None:
    looked_at = 0

    class Counting(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            nonlocal looked_at
            for item in super().__iter__():
                looked_at += 1
                yield item

    with pytest.raises(Unfinished):
        Run({"a": [Counting([0] * 100) for _ in range(500)]}, {}, str, MAX_STEPS_AT_ONCE)

    assert looked_at < 5 * MAX_STEPS_AT_ONCE


def _context() -> RunContext:
    context = RunContext(Environment(), {}, None, {})
    context.run = Run({}, {}, str)
    return context
