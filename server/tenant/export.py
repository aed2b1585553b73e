"""All that a tenant has, as NDJSON: a line for each row of each of its tables, but what no answer ever gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Numeric,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import metadata
from server.db.database import Database
from server.db.statements import Statement
from server.kernel.errors import InvalidRequest
from server.kernel.tasks import beating

NEVER_TOLD = (
    "ciphertext",
    "locked_until",
    "login_attempts",
    "nonce",
    "password_hash",
    "previous_hash",
    "refresh_hash",
    "secret_hash",
    "token_epoch",
    "token_hash",
    "wrapped_key",
)
"""Columns that are left out wherever they stand: secrets, and how near somebody is to a lock-out."""

LEFT_OUT = frozenset({"embedding_cache", "idempotency_keys", "sign_in_guesses", "sign_in_throttle"})
"""Tables that are left out whole: what can be made again, answers that are remembered for a day, and how near sign-ins
are to having to wait.
"""

PART_BYTES = 1 << 20
"""About how large a part gets: a client takes four times as much by default."""

_FIRST_ROWS, _MOST_ROWS = 50, 500
_HEARTBEAT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where an export goes on: behind a row. `seq`, `rows`: how many parts and rows came up to there."""

    seq: int
    rows: int
    table: str
    key: Sequence[str]


@dataclass(frozen=True, slots=True)
class Lines:
    """A part. `behind`: where it ends; None: within a line, which the next one goes on with."""

    seq: int
    lines: bytes
    behind: Place | None


@dataclass(frozen=True, slots=True)
class Beat:
    """There is no more yet."""

    seq: int


@dataclass(frozen=True, slots=True)
class Ended:
    """That was all. `rows`: how many rows it was, from the beginning."""

    seq: int
    rows: int


async def export(
    database: Database, tenant_id: UUID, after: Place | None
) -> AsyncGenerator[Lines | Beat | Ended, None]:
    """NDJSON in parts of about PART_BYTES, which put together are whole lines. Raises InvalidRequest.

    Tables come in one order and their rows by key, so that what was behind a place stays behind it. Each page of rows
    is read in a transaction of its own; none is open while a part is taken.
    """
    seq, rows = (0, 0) if after is None else (after.seq, after.rows)
    async with aclosing(_parts(database, tenant_id, after)) as parts:
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


async def _parts(database: Database, tenant_id: UUID, after: Place | None) -> AsyncGenerator[Lines, None]:
    """The parts, each with how many rows end in it, and not numbered yet."""
    tables = _tables()
    if after is not None:
        places = [place for place, table in enumerate(tables) if table.name == after.table]
        if not places:
            raise InvalidRequest([("after_cursor", "is of another version of the server: begin anew")])
        tables = tables[places[0] :]
    for table in tables:
        key = () if after is None or after.table != table.name else after.key
        async for page in _pages(database, tenant_id, table, key):
            for part in _packed(table, page):
                yield part


@cache
def _tables() -> Sequence[Table]:
    """What is exported, in its order."""
    return [table for table in metadata.sorted_tables if table.info["scope"] != "global" and table.name not in LEFT_OUT]


async def _pages(
    database: Database, tenant_id: UUID, table: Table, key: Sequence[str]
) -> AsyncGenerator[Sequence[tuple[bytes, Sequence[str]]], None]:
    """The table's rows behind the key, as text and with the keys of their own, about a part's worth at a time."""
    first, following = _statements(table)
    columns = list(table.primary_key)
    most, after = _FIRST_ROWS, key
    while True:
        values = {
            f"after_{column.name}": _READ[column.type.python_type](value)
            for column, value in zip(columns, after, strict=bool(after))
        }
        async with database.tenant_tx(tenant_id) as tx:
            found = await tx.fetch(following if after else first, most=most, size=PART_BYTES, **values)
        if not found:
            return
        rows = [(row["line"].encode(), [_written(row[column.name]) for column in columns]) for row in found]
        yield rows
        after = rows[-1][1]
        if len(rows) < most and sum(len(line) for line, _ in rows) < PART_BYTES:
            return
        # Where rows are large, the database need not look at many more of them than there is room for.
        most = min(_MOST_ROWS, 2 * len(rows))


def _packed(table: Table, rows: Iterable[tuple[bytes, Sequence[str]]]) -> Iterator[Lines]:
    """Parts of whole lines; a line that is longer than a part is cut into several."""
    held, count = bytearray(), 0
    place = Place(0, 0, table.name, ())
    for row, key in rows:
        line = b'{"table":"%s","row":%s}\n' % (table.name.encode(), row)
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


@cache  # SQLAlchemy takes a tenth of a second to write those of all tables, in which the process does nothing else
def _statements(table: Table) -> tuple[Statement, Statement]:
    """The transaction's tenant's first rows, and those after a row: at most `most`, until they have `size` bytes."""
    key: list[ColumnElement[Any]] = list(table.primary_key)
    after = tuple_(*(bindparam(f"after_{column.name}", type_=column.type) for column in table.primary_key))
    every = select(*key, cast(_row(table), Text).label("line")).order_by(*key).limit(bindparam("most", type_=Integer))
    return _until_full(table, every), _until_full(table, every.where(tuple_(*key) > after))


def _until_full(table: Table, rows: Any) -> Statement:
    found = rows.subquery("found")
    key = [found.c[column.name] for column in table.primary_key]
    size = func.octet_length(found.c.line)
    before = (func.sum(size).over(order_by=key) - size).label("before")
    sized = select(*key, found.c.line, before).subquery("sized")
    key = [sized.c[column.name] for column in table.primary_key]
    full = bindparam("size", type_=Integer)
    return Statement(select(*key, sized.c.line).where(sized.c.before < full).order_by(*key))


def _row(table: Table) -> ColumnElement[Any]:
    """The row as JSON: exact, since numbers with a fraction are text, as they are in every answer."""
    row: ColumnElement[Any] = cast(func.to_jsonb(literal_column(table.name)), JSONB)
    for name in NEVER_TOLD:
        if name in table.c:
            row = row.op("-")(text(f"'{name}'"))
    decimals = [column for column in table.c if isinstance(column.type, Numeric)]
    if decimals:
        named = [part for column in decimals for part in (text(f"'{column.name}'"), cast(column, Text))]
        row = row.op("||")(func.jsonb_build_object(*named))
    if "permission_id" in table.c:  # no table of the tenant's says which one that is
        permissions = metadata.tables["permissions"]
        this = permissions.c.id == table.c.permission_id
        code = select(permissions.c.resource + text("':'") + permissions.c.action).where(this).scalar_subquery()
        row = row.op("||")(func.jsonb_build_object(text("'permission'"), code))
    return row


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
