"""The records of searches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select

from server.db.database import Tx
from server.db.retention import remove_before
from server.db.statements import Statement
from server.kernel.ids import uuid7, uuid7_floor
from server.kernel.paging import Page, PageRequest
from server.knowledge.searches import QueryLog
from server.knowledge.tables import rag_query_logs as logs

_COLUMNS = tuple(logs.c[name] for name in QueryLog.__dataclass_fields__)
_SAID = tuple(name for name in QueryLog.__dataclass_fields__ if name not in ("id", "created_at"))
_ADD = Statement(insert(logs).values({name: bindparam(name) for name in ("tenant_id", "id", *_SAID)}))
_FORGET_PERSON = Statement(delete(logs).where(logs.c.user_id == bindparam("user_id")))

_FILTERS = {
    "user_id": logs.c.user_id == bindparam("user_id"),
    "trace_id": logs.c.trace_id == bindparam("trace_id"),
    "from_id": logs.c.id >= bindparam("from_id"),
}


@cache
def _list(filters: tuple[str, ...]) -> Statement:
    statement = select(*_COLUMNS).where(logs.c.id < bindparam("before"), *(_FILTERS[name] for name in filters))
    return Statement(statement.order_by(logs.c.id.desc()).limit(bindparam("most")))


async def add(tx: Tx, values: Mapping[str, Any]) -> UUID:
    """Writes down a search; the record's id."""
    log_id = uuid7()
    await tx.execute(_ADD, tenant_id=tx.tenant_id, id=log_id, **values)
    return log_id


async def page(
    tx: Tx, request: PageRequest, filters: Mapping[str, Any], since: datetime | None, until: datetime | None
) -> Page[QueryLog]:
    """Newest first, from `since` and before `until`. `filters`: user_id, trace_id."""
    conditions = dict(filters)
    if since is not None:
        conditions["from_id"] = uuid7_floor(since)
    before = request.before if until is None else min(request.before, uuid7_floor(until))
    rows = await tx.fetch(_list(tuple(sorted(conditions))), before=before, most=request.size + 1, **conditions)
    return Page.cut([QueryLog(*row) for row in rows], [row["id"] for row in rows], request.size)


async def forget_person(tx: Tx, user_id: UUID) -> None:
    """Removes the records of what they asked."""
    await tx.execute(_FORGET_PERSON, user_id=user_id)


async def expire(connection: Any, tenant_id: UUID, before: UUID) -> int:
    """Removes the tenant's records from before that id; how many there were. `connection`: the owner's."""
    return await remove_before(connection, logs.name, tenant_id, before)
