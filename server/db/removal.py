"""Removing what has had its time, in batches: no transaction lasts long."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Interval, Table, cast, delete, func, literal, literal_column, select, tuple_

from server.db.database import Database
from server.db.statements import Statement

BATCH = 1_000
"""Rows that one statement removes."""


def ago(days: int) -> ColumnElement[datetime]:
    """So many days before now."""
    return func.now() - cast(literal(timedelta(days=days)), Interval)


def removal(table: Table, condition: ColumnElement[bool]) -> Statement:
    """Removes a batch of the rows that the condition is for; how many there were."""
    key = tuple_(*table.primary_key)
    batch = select(*table.primary_key).where(condition).limit(literal_column(str(BATCH)))
    removed = delete(table).where(key.in_(batch)).returning(literal(1)).cte("removed")
    return Statement(select(func.count()).select_from(removed))


async def remove_all(database: Database, tenant_id: UUID, statement: Statement, **values: object) -> int:
    """Removes batch after batch until there is none; how many rows there were."""
    total = 0
    while True:
        async with database.tenant_tx(tenant_id) as tx:
            count: int = await tx.fetchval(statement, **values)
        total += count
        if count < BATCH:
            return total
