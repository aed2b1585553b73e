"""What has expired, and what was deleted long ago."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Interval,
    Table,
    bindparam,
    cast,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from server.db.database import Tx
from server.db.statements import Statement
from server.identity.tables import idempotency_keys, one_time_tokens, roles, sessions, sign_in_throttle, users

BATCH = 1_000
"""Rows that one statement removes: no transaction lasts long."""


def _ago(days: int) -> ColumnElement[datetime]:
    return func.now() - cast(literal(timedelta(days=days)), Interval)


def _removal(table: Table, condition: ColumnElement[bool]) -> Statement:
    key = tuple_(*table.primary_key)
    batch = select(*table.primary_key).where(condition).limit(literal_column(str(BATCH)))
    removed = delete(table).where(key.in_(batch)).returning(literal(1)).cte("removed")
    return Statement(select(func.count()).select_from(removed))


EXPIRED: dict[str, Statement] = {
    # A while longer than they are good, so that people see what there was.
    "sessions": _removal(sessions, or_(sessions.c.expires_at < _ago(7), sessions.c.revoked_at < _ago(7))),
    "one_time_tokens": _removal(
        one_time_tokens, or_(one_time_tokens.c.expires_at < _ago(1), one_time_tokens.c.used_at < _ago(1))
    ),
    "idempotency_keys": _removal(idempotency_keys, idempotency_keys.c.expires_at < func.now()),
    "sign_in_throttle": _removal(sign_in_throttle, sign_in_throttle.c.updated_at < _ago(1)),
}
"""By table, what removes a batch of its rows that nobody needs any more, and says how many they were."""


def _long_deleted(table: Table) -> Statement:
    life = func.make_interval(0, 0, 0, bindparam("days"))
    return Statement(select(table.c.id).where(table.c.deleted_at < func.now() - life).limit(literal_column(str(BATCH))))


_USERS = _long_deleted(users)
_ROLES = _long_deleted(roles)


async def remove_batch(tx: Tx, table: str) -> int:
    """Removes at most BATCH expired rows of one of EXPIRED; how many they were."""
    return int(await tx.fetchval(EXPIRED[table]))


async def users_deleted_before(tx: Tx, days: int) -> list[UUID]:
    """At most BATCH users who were deleted longer ago than that."""
    return [row["id"] for row in await tx.fetch(_USERS, days=days)]


async def roles_deleted_before(tx: Tx, days: int) -> list[UUID]:
    """The same of roles."""
    return [row["id"] for row in await tx.fetch(_ROLES, days=days)]
