"""Pages of rows that may be large: one of them fits into an answer, however large they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any, TypeVar

from asyncpg import Record
from sqlalchemy import ColumnElement, Select, Text, cast, func, select

from server.kernel.paging import Page

MOST_BYTES = 524_288
"""Of a page's large values together, as PostgreSQL writes JSON; the item that passes it is the last. A number of three
bytes there has thirteen in a message, and a client takes four mebibytes by default.
"""

Item = TypeVar("Item")


def bounded(statement: Select[Any], *large: ColumnElement[Any]) -> Select[Any]:
    """The first rows of a list by `id`, newest first, as far as their `large` JSON is no more than MOST_BYTES; and
    whether any of the list `follows` each of them.
    """
    size = reduce(add, (func.coalesce(func.octet_length(cast(one, Text)), 0) for one in large))
    rows = statement.add_columns(size.label("size")).subquery("rows")
    newest = rows.c.id.desc()
    before = func.coalesce(func.sum(rows.c.size).over(order_by=newest, rows=(None, -1)), 0)
    follows = func.lead(rows.c.id).over(order_by=newest).is_not(None)
    counted = select(rows, before.label("before"), follows.label("follows")).subquery("counted")
    shown = [one for one in counted.c if one.name not in ("size", "before")]
    return select(*shown).where(counted.c.before < MOST_BYTES).order_by(counted.c.id.desc())


def page_of(rows: Sequence[Record], size: int, make: Callable[[Any], Item]) -> Page[Item]:
    """The page of up to `size` of the rows that a `bounded` list gave. `make`: an item out of a row."""
    kept = [dict(row) for row in rows[:size]]
    more = [row.pop("follows") for row in kept]
    return Page([make(row) for row in kept], kept[-1]["id"] if more and more[-1] else None)
