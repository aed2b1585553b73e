"""What was used, by day: added to with every record, so that it is asked in place of the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date
from decimal import Decimal
from functools import cache
from operator import add
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Numeric, Uuid, any_, bindparam, func, select, tuple_

from server.db.database import Tx
from server.db.statements import Statement
from server.model.domain import CallLog
from server.model.tables import usage_rollups
from server.model.usage import DIMENSIONS, Dimension, Usage, UsagePage

_KEY = ("grain", "day", "model_id", "user_id", "api_key_id", "prompt_template_version_id")
_SUMS: dict[str, Any] = {
    "calls": BigInteger,
    "prompt_tokens": BigInteger,
    "completion_tokens": BigInteger,
    "cached_tokens": BigInteger,
    "reasoning_tokens": BigInteger,
    "cost": Numeric,
    "errors": BigInteger,
    "latency_ms": BigInteger,
}

Key = tuple[str, date, UUID, UUID | None, UUID | None, UUID | None]


def sums(records: Iterable[CallLog]) -> list[dict[str, Any]]:
    """What the records add to the table's rows: by model, and by user, key and prompt of each model."""
    found: dict[Key, tuple[Any, ...]] = {}
    for record in records:
        day, amounts = record.created_at.astimezone(UTC).date(), _amounts(record)
        for key in _keys(day, record):
            before = found.get(key)
            found[key] = amounts if before is None else tuple(map(add, before, amounts))
    return [dict(zip((*_KEY, *_SUMS), (*key, *amounts), strict=True)) for key, amounts in found.items()]


def _keys(day: date, record: CallLog) -> Iterable[Key]:
    model, user, key, prompt = (
        record.model_id,
        record.user_id,
        record.api_key_id,
        record.prompt_template_version_id,
    )
    yield ("model", day, model, None, None, None)
    if user is not None:
        yield ("user", day, model, user, None, None)
    if key is not None:
        yield ("api_key", day, model, None, key, None)
    if prompt is not None:
        yield ("prompt", day, model, None, None, prompt)


def _amounts(record: CallLog) -> tuple[Any, ...]:
    return (
        1,
        record.prompt_tokens,
        record.completion_tokens,
        record.cached_tokens,
        record.reasoning_tokens,
        record.total_cost or Decimal(0),
        int(record.status == "error"),
        record.latency_ms or 0,
    )


_ALL = [func.coalesce(func.sum(usage_rollups.c[name]), 0).cast(kind).label(name) for name, kind in _SUMS.items()]
_IN_TIME = (usage_rollups.c.day >= bindparam("since"), usage_rollups.c.day < bindparam("until"))
_VERSION = usage_rollups.c.prompt_template_version_id
_OF_PROMPTS = Statement(
    select(_VERSION.label("prompt_version"), *_ALL)
    .where(usage_rollups.c.grain == "prompt", *_IN_TIME, any_(bindparam("version_ids", type_=ARRAY(Uuid))) == _VERSION)
    .group_by(_VERSION)
)


@cache
def _read(grain: str, by: tuple[Dimension, ...], filters: tuple[str, ...], *, behind: bool) -> Statement:
    table = usage_rollups.c
    columns = [table[DIMENSIONS[dimension].column].label(dimension) for dimension in by]
    statement = select(*columns, *_ALL).where(table.grain == grain, *_IN_TIME)
    for name in filters:
        statement = statement.where(table[name] == bindparam(name))
    if behind:
        names = (bindparam(f"after_{name}", type_=column.type) for name, column in zip(by, columns, strict=True))
        statement = statement.where(tuple_(*(table[DIMENSIONS[name].column] for name in by)) > tuple_(*names))
    if by:
        statement = statement.group_by(*columns).order_by(*columns).limit(bindparam("most"))
    return Statement(statement)


async def read(
    tx: Tx,
    grain: str,
    by: tuple[Dimension, ...],
    since: date,
    until: date,
    filters: Mapping[str, Any],
    most: int,
    after: Sequence[str] | None,
) -> UsagePage:
    """What was used from `since` and before `until`, by these dimensions, in their order.

    `after`: the dimensions of the sum before the first; None: from the first on.
    """
    values = {**filters, "since": since, "until": until}
    if by:
        values["most"] = most + 1
    if after is not None:
        values |= {f"after_{name}": _parsed(name, text) for name, text in zip(by, after, strict=True)}
    rows = await tx.fetch(_read(grain, by, tuple(sorted(filters)), behind=after is not None), **values)
    sums = [_usage(row, by) for row in rows[:most]]
    return UsagePage(sums, [str(sums[-1].by[name]) for name in by] if len(rows) > most else None)


def _parsed(name: Dimension, text: str) -> date | UUID:
    return date.fromisoformat(text) if name == "day" else UUID(text)


async def of_prompts(tx: Tx, version_ids: Sequence[UUID], since: date, until: date) -> dict[UUID, Usage]:
    """What was used with each of these versions of prompts, of those that were used."""
    rows = await tx.fetch(_OF_PROMPTS, version_ids=list(version_ids), since=since, until=until)
    return {row["prompt_version"]: _usage(row, ("prompt_version",)) for row in rows}


def _usage(row: Any, by: tuple[Dimension, ...]) -> Usage:
    return Usage({name: row[name] for name in by}, **{name: row[name] for name in _SUMS})
