"""The seals over the audit log, and what they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import ColumnElement, Select, Text, bindparam, cast, func, literal, select
from sqlalchemy.dialects.postgresql import BYTEA, aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as insert_or_leave

from server.audit.domain import Checkpoint, Seal
from server.audit.tables import audit_checkpoints, audit_logs
from server.db.database import Tx
from server.db.retention import remove_before
from server.db.statements import Statement
from server.kernel.ids import uuid7_floor, uuid7_moment
from server.kernel.paging import PageRequest

_C = audit_checkpoints.c
_L = audit_logs.c
_SEAL = tuple(_C[name] for name in Seal.__dataclass_fields__)
_CHECKPOINT = (*_SEAL, _C.signing_kid, _C.signature, _C.removed_at)
_NEWEST_FIRST = select(*_CHECKPOINT).order_by(_C.from_position.desc())

# What is sealed is sealed by these, in this order. A column that entries gain must leave the hash of one without it as
# it is: it comes into it only where it is not NULL.
_SEALED = (
    *("tenant_id", "id", "user_id", "actor_kind", "acting_for", "action", "resource_type", "resource_id"),
    *("old_value", "new_value", "details", "ip_address", "user_agent", "request_id", "session_id", "trace_id"),
    *("status", "error_message", "created_at"),
)

_LAST = Statement(_NEWEST_FIRST.limit(1))
_OLDEST = Statement(select(*_CHECKPOINT).order_by(_C.from_position).limit(1))
_BEFORE = Statement(_NEWEST_FIRST.where(_C.from_position < bindparam("position")).limit(1))
_GET = Statement(select(*_CHECKPOINT).where(_C.id == bindparam("checkpoint_id")))
_ADD = Statement(
    insert_or_leave(audit_checkpoints)
    .values({column.name: bindparam(column.name) for column in _CHECKPOINT if column is not _C.removed_at})
    .on_conflict_do_nothing(index_elements=[_C.tenant_id, _C.from_position])
    .returning(literal(1))
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries that lie side by side, and the SHA-256 over their hashes."""

    from_position: UUID
    to_position: UUID
    row_count: int
    root_hash: bytes

    @classmethod
    def of(cls, seal: Seal) -> Stretch:
        """What is sealed."""
        return cls(seal.from_position, seal.to_position, seal.row_count, seal.root_hash)


def _leaf() -> ColumnElement[Any]:
    """An entry's hash: SHA-256 of a JSON array of all that it holds, as PostgreSQL writes JSONB."""
    columns: dict[str, ColumnElement[Any]] = {name: _L[name] for name in _SEALED}
    columns |= {"ip_address": cast(_L.ip_address, Text), "created_at": func.extract("epoch", _L.created_at)}
    return func.sha256(func.convert_to(cast(func.jsonb_build_array(*columns.values()), Text), literal("UTF8")))


def _stretch() -> Select[Any]:
    bounds = (_L.id > bindparam("after"), _L.id <= bindparam("to"))
    entries = select(_L.id, _leaf().label("leaf")).where(*bounds).order_by(_L.id).limit(bindparam("most"))
    found = entries.subquery("found")
    hashes = func.string_agg(found.c.leaf, aggregate_order_by(cast(literal(b""), BYTEA), found.c.id))
    first, last = (
        func.array_agg(aggregate_order_by(found.c.id, order))[1] for order in (found.c.id, found.c.id.desc())
    )
    return select(first, last, func.count(), func.sha256(hashes))


def _reach() -> Select[Any]:
    bounds = (_L.id > bindparam("after"), _L.id < bindparam("before"))
    values = (_L.old_value, _L.new_value, _L.details)
    size = sum((func.coalesce(func.pg_column_size(value), 0) for value in values), literal(0)).label("size")
    entries = select(_L.id, size).where(*bounds).order_by(_L.id).limit(bindparam("most")).subquery("entries")
    before = (func.sum(entries.c.size).over(order_by=entries.c.id) - entries.c.size).label("before")
    sized = select(entries.c.id, before).subquery("sized")
    return select(sized.c.id).where(sized.c.before < bindparam("most_bytes")).order_by(sized.c.id.desc()).limit(1)


_STRETCH = Statement(_stretch())
_REACH = Statement(_reach())

_END = """
SELECT id, from_position, to_position FROM audit_checkpoints
WHERE tenant_id = $1 AND from_position < $2 AND to_position < $2 ORDER BY from_position DESC LIMIT 1
"""
_MARK = """
UPDATE audit_checkpoints SET removed_at = now()
WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL RETURNING row_count
"""
_DROP_OLDER = """
DELETE FROM audit_checkpoints WHERE tenant_id = $1 AND from_position < $2 RETURNING row_count, removed_at
"""
_TELL = """
INSERT INTO audit_logs (tenant_id, actor_kind, action, resource_type, details)
VALUES ($1, 'system', 'audit_logs.remove', 'audit_log', jsonb_build_object('until', $2::text, 'entries', $3::bigint))
"""


async def reach(tx: Tx, after: UUID, before: UUID, most: int, most_bytes: int) -> UUID:
    """The last of the oldest entries between those ids, of which there are some: at most so many, and none more once
    their values take so much room in the database.
    """
    last: UUID = await tx.fetchval(_REACH, after=after, before=before, most=most, most_bytes=most_bytes)
    return last


async def stretch(tx: Tx, after: UUID, to: UUID, most: int) -> Stretch:
    """The entries behind that one and up to this one, at most so many of the oldest."""
    return Stretch(*await tx.fetchone(_STRETCH, after=after, to=to, most=most))


async def last(tx: Tx) -> Checkpoint | None:
    """The newest of the tenant's."""
    return _one(await tx.fetchrow(_LAST))


async def oldest(tx: Tx) -> Checkpoint | None:
    """The oldest of the tenant's that is kept."""
    return _one(await tx.fetchrow(_OLDEST))


async def before(tx: Tx, position: UUID) -> Checkpoint | None:
    """The one before the one that begins there."""
    return _one(await tx.fetchrow(_BEFORE, position=position))


async def get(tx: Tx, checkpoint_id: UUID) -> Checkpoint | None:
    return _one(await tx.fetchrow(_GET, checkpoint_id=checkpoint_id))


async def add(tx: Tx, checkpoint: Checkpoint) -> bool:
    """Whether it was added: another may have sealed the same entries meanwhile."""
    seal = checkpoint.seal
    values = {name: getattr(seal, name) for name in Seal.__dataclass_fields__}
    signed = {"signing_kid": checkpoint.signing_kid, "signature": checkpoint.signature}
    return await tx.fetchrow(_ADD, **values, **signed) is not None


async def page(tx: Tx, request: PageRequest, since: datetime | None, until: datetime | None) -> list[Checkpoint]:
    """Up to `size + 1` of them, newest first by their first entry, that seal something of that time."""
    position = request.before if until is None else min(request.before, uuid7_floor(until))
    values = {} if since is None else {"since": uuid7_floor(since)}
    rows = await tx.fetch(_page(since is not None), position=position, most=request.size + 1, **values)
    return [_read(row) for row in rows]


@cache
def _page(limited: bool) -> Statement:
    found = _NEWEST_FIRST.where(_C.from_position < bindparam("position")).limit(bindparam("most"))
    return Statement(found.where(_C.to_position >= bindparam("since")) if limited else found)


def _one(row: asyncpg.Record | None) -> Checkpoint | None:
    return None if row is None else _read(row)


def _read(row: asyncpg.Record) -> Checkpoint:
    return Checkpoint(Seal(*row[: len(_SEAL)]), *row[len(_SEAL) :])


async def expire(connection: Any, tenant_id: UUID, before: UUID) -> int:
    """Removes the tenant's entries from before that id, as far as whole stretches that are sealed; how many there were.

    The last of their checkpoints stays, as what the next one follows; an entry says that they were removed, and how
    many. `connection`: the owner's.
    """
    end = await connection.fetchrow(_END, tenant_id, before)
    if end is None:
        return 0
    # Said before it is done: whoever verifies the log meanwhile looks for them no more.
    await _end(connection, tenant_id, end)
    return await remove_before(connection, audit_logs.name, tenant_id, UUID(int=end["to_position"].int + 1))


async def _end(connection: Any, tenant_id: UUID, end: asyncpg.Record) -> None:
    async with connection.transaction():
        count = await connection.fetchval(_MARK, tenant_id, end["id"])
        if count is None:  # it was said before
            return
        older = await connection.fetch(_DROP_OLDER, tenant_id, end["from_position"])
        count += sum(row["row_count"] for row in older if row["removed_at"] is None)
        until = uuid7_moment(end["to_position"]).isoformat()
        await connection.execute(_TELL, tenant_id, until, count)
