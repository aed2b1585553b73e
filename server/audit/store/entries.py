"""The entries of the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import ColumnElement, Select, Text, bindparam, case, cast, func, insert, literal, select
from sqlalchemy.dialects.postgresql import INET

from server.audit.domain import AuditLogNotFound, Entry, Filter
from server.audit.tables import audit_logs
from server.db.database import Tx
from server.db.lines import Pages, Source, Sources
from server.db.queries import Query, load
from server.db.statements import Statement
from server.kernel.ids import uuid7_floor
from server.kernel.paging import Page, PageRequest

FIELDS = (
    "tenant_id",
    "user_id",
    "actor_kind",
    "acting_for",
    "action",
    "resource_type",
    "resource_id",
    "old_value",
    "new_value",
    "details",
    "ip_address",
    "user_agent",
    "request_id",
    "session_id",
    "trace_id",
    "status",
    "error_message",
)
_FILTERS = frozenset({"user_id", "action", "resource_type", "resource_id", "status", "request_id", "session_id"})
_PAGE_BYTES = 1 << 20

_C = audit_logs.c
_VALUES = (_C.old_value, _C.new_value, _C.details)
_ENTRY = tuple(_C[name] for name in Entry.__dataclass_fields__)
_SIZE = sum((func.coalesce(func.octet_length(cast(value, Text)), 0) for value in _VALUES), literal(0)).label("size")
_QUERIES = load("server.audit.store", "entries.sql")

# The database gives it its id: by one clock, and in the moment in which it is added.
_INSERT = Statement(insert(audit_logs).values({name: bindparam(name) for name in FIELDS}))
_FIRST = Statement(
    select(_C.id).where(_C.id > bindparam("after"), _C.id < bindparam("before")).order_by(_C.id).limit(1)
)
_GET = Statement(select(*_ENTRY).where(_C.id == bindparam("audit_log_id")))
# Whoever asks takes a number too: the transactions that were under way have smaller ones.
_UNDER_WAY = Query("""
SELECT now(), pg_current_xact_id()::text::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint
""")


async def add(tx: Tx, values: Mapping[str, Any]) -> None:
    """Adds an entry; `values` has every one of FIELDS."""
    await tx.execute(_INSERT, **values)


async def under_way(tx: Tx) -> tuple[datetime, int, int]:
    """The moment, the number of this transaction, and the smallest one of those that are under way."""
    moment, number, oldest = await tx.fetchone(_UNDER_WAY)
    return moment, number, oldest


async def first(tx: Tx, after: UUID, before: UUID) -> UUID | None:
    """The oldest entry between those ids."""
    row = await tx.fetchrow(_FIRST, after=after, before=before)
    return None if row is None else row[0]


async def get(tx: Tx, audit_log_id: UUID) -> Entry:
    """Raises AuditLogNotFound."""
    row = await tx.fetchrow(_GET, audit_log_id=audit_log_id)
    if row is None:
        raise AuditLogNotFound(audit_log_id)
    return Entry(*row)


async def actions(tx: Tx) -> Sequence[str]:
    """Every action that there are entries of, sorted."""
    return sorted(row["action"] for row in await tx.fetch(_QUERIES["actions"]))


async def page(tx: Tx, request: PageRequest, wanted: Filter) -> Page[Entry]:
    """Entries, newest first; fewer than were asked for where those are large."""
    values = _values(wanted)
    before = min(request.before, values.pop("until", request.before))
    rows = await tx.fetch(_list(tuple(sorted(values))), before=before, most=request.size + 1, **values)
    return _page(rows, request.size)


async def following(tx: Tx, after: UUID, before: UUID, size: int, wanted: Filter) -> Page[Entry]:
    """Entries between those ids, oldest first; fewer than were asked for where those are large."""
    values = _values(wanted)
    statement = _list(tuple(sorted(values)), oldest_first=True)
    return _page(await tx.fetch(statement, after=after, before=before, most=size + 1, **values), size)


def _page(rows: Sequence[asyncpg.Record], size: int) -> Page[Entry]:
    entries = [Entry(*row[: len(_ENTRY)]) for row in rows[:size]]
    more = entries and rows[len(entries) - 1]["more"]
    return Page(entries, entries[-1].id if more else None)


@cache
def _list(filters: tuple[str, ...], *, oldest_first: bool = False) -> Statement:
    """At most `most` entries, none more once they have _PAGE_BYTES, and of each whether another follows."""

    def ordered(id_: ColumnElement[Any]) -> ColumnElement[Any]:
        return id_.asc() if oldest_first else id_.desc()

    chosen = _filtered(select(*_ENTRY, _SIZE).where(_C.id < bindparam("before")), filters)
    if oldest_first:
        chosen = chosen.where(_C.id > bindparam("after"))
    found = chosen.order_by(ordered(_C.id)).limit(bindparam("most")).subquery("found")
    before = func.sum(found.c.size).over(order_by=ordered(found.c.id)) - found.c.size
    more = func.lead(found.c.id).over(order_by=ordered(found.c.id)).is_not(None)
    sized = select(found, before.label("before"), more.label("more")).subquery("sized")
    shown = [sized.c[name] for name in Entry.__dataclass_fields__]
    return Statement(select(*shown, sized.c.more).where(sized.c.before < _PAGE_BYTES).order_by(ordered(sized.c.id)))


def exported(wanted: Filter) -> Sources:
    """Those entries as JSON, oldest first."""
    values = _values(wanted)
    return {audit_logs.name: lambda: Source(_export(tuple(sorted(values))), values)}


@cache
def _export(filters: tuple[str, ...]) -> Pages:
    return Pages.of(_filtered(select(_C.id, cast(_json(), Text).label("line")), filters), [_C.id])


def _json() -> ColumnElement[Any]:
    """The entry as the API's JSON has it."""
    fields: dict[str, ColumnElement[Any]] = {
        "id": _C.id,
        "create_time": _C.created_at,
        "actor_kind": literal("ACTOR_KIND_") + func.upper(_C.actor_kind),
        **{name: _C[name] for name in ("user_id", "acting_for", "action", "resource_type", "resource_id")},
        **{name: _C[name] for name in ("old_value", "new_value", "details")},
        "ip_address": func.host(_C.ip_address),
        **{name: _C[name] for name in ("user_agent", "request_id", "session_id", "trace_id")},
        "status": literal("STATUS_") + func.upper(_C.status),
        "error_reason": case((_C.error_message.is_not(None), literal("ERROR_REASON_") + _C.error_message)),
    }
    return func.json_build_object(*(part for name, value in fields.items() for part in (literal(name), value)))


def _values(wanted: Filter) -> dict[str, Any]:
    """A value for each condition that the filter comes to."""
    values = {name: value for name, value in wanted.columns.items() if name in _FILTERS}
    if wanted.ip_network is not None:
        values["ip_network"] = wanted.ip_network
    # An entry's id begins with its time: only the months in question are looked into.
    if wanted.since is not None:
        values["since"] = uuid7_floor(wanted.since)
    if wanted.until is not None:
        values["until"] = uuid7_floor(wanted.until)
    return values


def _filtered(statement: Select[Any], filters: Sequence[str]) -> Select[Any]:
    return statement.where(*(_condition(name) for name in filters))


def _condition(name: str) -> ColumnElement[bool]:
    match name:
        case "since":
            return _C.id >= bindparam(name)
        case "until":
            return _C.id < bindparam(name)
        case "ip_network":
            return _C.ip_address.op("<<=")(bindparam(name, type_=INET))
    return _C[name] == bindparam(name)
