"""The records of calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, select

from server.db.database import Tx
from server.db.retention import remove_before
from server.db.statements import Statement
from server.kernel.ids import uuid7_floor
from server.kernel.paging import Page, PageRequest
from server.model.domain import CallLog, CallLogNotFound
from server.model.tables import model_call_logs

_LOG_FIELDS = (
    "id",
    "user_id",
    "model_id",
    "request_kind",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "total_tokens",
    "total_cost",
    "latency_ms",
    "time_to_first_token_ms",
    "status",
    "error_code",
    "finish_reason",
    "trace_id",
    "request_id",
    "created_at",
    "api_key_id",
    "route",
    "attempts",
    "reasoning_tokens",
    "prompt_template_version_id",
    "cached",
    "workflow_execution_id",
    "task_id",
    "outage",
)
_ATTRIBUTES = tuple((name, "kind" if name == "request_kind" else name) for name in _LOG_FIELDS)
_LOG = tuple(model_call_logs.c[name] for name in _LOG_FIELDS)
_GET = Statement(select(*_LOG).where(model_call_logs.c.id == bindparam("call_log_id")))


@cache
def _list_logs(filters: tuple[str, ...]) -> Statement:
    # A time filter is a range of ids, since an id begins with its time: only the months in it are looked at.
    statement = select(*_LOG).where(model_call_logs.c.id < bindparam("before"))
    for name in filters:
        condition: ColumnElement[bool] = (
            model_call_logs.c.id >= bindparam("from_id")
            if name == "from_id"
            else model_call_logs.c[name] == bindparam(name)
        )
        statement = statement.where(condition)
    return Statement(statement.order_by(model_call_logs.c.id.desc()).limit(bindparam("most")))


def rows(records: Sequence[CallLog]) -> list[dict[str, Any]]:
    """The records by the columns of their table."""
    return [{name: getattr(record, field) for name, field in _ATTRIBUTES} for record in records]


def of_columns(row: Any) -> CallLog:
    """The record in a row that has the columns of their table, in whichever order."""
    return CallLog(*(row[name] for name in _LOG_FIELDS))


async def get(tx: Tx, call_log_id: UUID) -> CallLog:
    """Raises CallLogNotFound."""
    row = await tx.fetchrow(_GET, call_log_id=call_log_id)
    if row is None:
        raise CallLogNotFound(call_log_id)
    return CallLog(*row)


async def expire(connection: Any, tenant_id: UUID, before: UUID) -> int:
    """Removes the tenant's records from before that id; how many there were. `connection`: the owner's."""
    return await remove_before(connection, model_call_logs.name, tenant_id, before)


async def page(
    tx: Tx, request: PageRequest, filters: Mapping[str, Any], since: datetime | None, until: datetime | None
) -> Page[CallLog]:
    """Call logs, newest first, from `since` and before `until`. `filters`: columns and their values."""
    conditions = dict(filters)
    if since is not None:
        conditions["from_id"] = uuid7_floor(since)
    before = request.before if until is None else min(request.before, uuid7_floor(until))
    rows = await tx.fetch(_list_logs(tuple(sorted(conditions))), before=before, most=request.size + 1, **conditions)
    return Page.cut([CallLog(*row) for row in rows], [row["id"] for row in rows], request.size)
