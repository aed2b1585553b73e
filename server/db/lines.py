"""Rows of tables as NDJSON, in parts: as many as there may be, and nothing is held of the database meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Column, Integer, Select, bindparam, func, select, tuple_

from server.db.database import Database
from server.db.statements import Statement
from server.kernel.errors import InvalidRequest
from server.kernel.parts import Beat, Ended, Lines, Place
from server.kernel.tasks import beating

PART_BYTES = 1 << 20
"""About how large a part gets: a client takes four times as much by default."""

_FIRST_ROWS, _MOST_ROWS = 50, 500
_HEARTBEAT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Pages:
    """The statements that read a table's rows by their key: the first ones, and those behind a row.

    Each gives the columns of the key and a `line`, `most` rows at most, and no more once they have `size` bytes.
    """

    key: Sequence[Column[Any]]
    first: Statement
    following: Statement

    @classmethod
    def of(cls, rows: Select[Any], key: Sequence[Column[Any]]) -> Pages:
        """`rows`: gives the columns of `key`, and the text of each row as `line`."""
        behind = [bindparam(f"after_{column.name}", type_=column.type) for column in key]
        # By a condition on one column, other than on several, only those months of a divided table are looked into.
        following = key[0] > behind[0] if len(key) == 1 else tuple_(*key) > tuple_(*behind)
        every = rows.order_by(*key).limit(bindparam("most", type_=Integer))
        return cls(key, _until_full(every, key), _until_full(every.where(following), key))


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of a table. `values`: of the statements' own places; `head`, `tail`: what stands around each row's text."""

    pages: Pages
    values: Mapping[str, Any] = field(default_factory=dict)
    head: bytes = b""
    tail: bytes = b"\n"


Sources: TypeAlias = Mapping[str, Callable[[], Source]]
"""What is streamed, in its order, by the names of tables: each is made when its turn comes."""


async def stream(
    database: Database, tenant_id: UUID, sources: Sources, after: Place | None
) -> AsyncGenerator[Lines | Beat | Ended, None]:
    """NDJSON in parts of about PART_BYTES, which put together are whole lines. Raises InvalidRequest.

    Sources come in their order and rows by key, so that what was behind a place stays behind it. Each page of rows
    is read in a transaction of its own; none is open while a part is taken.
    """
    seq, rows = (0, 0) if after is None else (after.seq, after.rows)
    async with aclosing(_parts(database, tenant_id, sources, after)) as parts:
        async for part in beating(parts, _HEARTBEAT_SECONDS):
            seq += 1
            if part is None:
                yield Beat(seq)
            elif part.behind is None:
                yield replace(part, seq=seq)
            else:
                rows += part.behind.rows
                yield replace(part, seq=seq, behind=replace(part.behind, seq=seq, rows=rows))
    yield Ended(seq + 1, rows)


async def _parts(
    database: Database, tenant_id: UUID, sources: Sources, after: Place | None
) -> AsyncGenerator[Lines, None]:
    """The parts, each with how many rows end in it, and not numbered yet."""
    tables = list(sources)
    if after is not None:
        if after.table not in tables:
            raise InvalidRequest([("after_cursor", "is of another version of the server: begin anew")])
        tables = tables[tables.index(after.table) :]
    for table in tables:
        source = sources[table]()
        key = () if after is None or after.table != table else after.key
        async for page in _pages(database, tenant_id, source, key):
            for part in _packed(table, source, page):
                yield part


async def _pages(
    database: Database, tenant_id: UUID, source: Source, key: Sequence[str]
) -> AsyncGenerator[Sequence[tuple[bytes, Sequence[str]]], None]:
    """The rows behind the key, as text and with the keys of their own, about a part's worth at a time."""
    columns = source.pages.key
    most, after = _FIRST_ROWS, key
    while True:
        values = {
            f"after_{column.name}": _READ[column.type.python_type](value)
            for column, value in zip(columns, after, strict=bool(after))
        }
        statement = source.pages.following if after else source.pages.first
        async with database.tenant_tx(tenant_id) as tx:
            found = await tx.fetch(statement, most=most, size=PART_BYTES, **values, **source.values)
        if not found:
            return
        rows = [(row["line"].encode(), [_written(row[column.name]) for column in columns]) for row in found]
        yield rows
        after = rows[-1][1]
        if len(rows) < most and sum(len(line) for line, _ in rows) < PART_BYTES:
            return
        # Where rows are large, the database need not look at many more of them than there is room for.
        most = min(_MOST_ROWS, 2 * len(rows))


def _packed(table: str, source: Source, rows: Iterable[tuple[bytes, Sequence[str]]]) -> Iterator[Lines]:
    """Parts of whole lines; a line that is longer than a part is cut into several."""
    held, count = bytearray(), 0
    place = Place(0, 0, table, ())
    for row, key in rows:
        line = source.head + row + source.tail
        if held and len(held) + len(line) > PART_BYTES:
            yield Lines(0, bytes(held), replace(place, rows=count))
            held, count = bytearray(), 0
        while len(line) > PART_BYTES:
            yield Lines(0, line[:PART_BYTES], None)
            line = line[PART_BYTES:]
        held += line
        count += 1
        place = replace(place, key=key)
    if held:
        yield Lines(0, bytes(held), replace(place, rows=count))


def _until_full(rows: Select[Any], key: Sequence[Column[Any]]) -> Statement:
    found = rows.subquery("found")
    size = func.octet_length(found.c.line)
    before = (func.sum(size).over(order_by=[found.c[column.name] for column in key]) - size).label("before")
    names = [column.name for column in key]
    sized = select(*(found.c[name] for name in names), found.c.line, before).subquery("sized")
    full = sized.c.before < bindparam("size", type_=Integer)
    ordered = [sized.c[name] for name in names]
    return Statement(select(*ordered, sized.c.line).where(full).order_by(*ordered))


_READ: Mapping[type, Callable[[str], Any]] = {
    UUID: UUID,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    bytes: bytes.fromhex,
    int: int,
    str: str,
    object: str,  # an address of the network
}
"""How the columns of keys are read from what `_written` gives."""


def _written(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else value.isoformat() if isinstance(value, date) else str(value)
