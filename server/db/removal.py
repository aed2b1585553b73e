"""Removing what has had its time, in batches: no transaction lasts long."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Interval, Table, cast, delete, func, literal, literal_column, select

from server.db.base import old
from server.db.database import Database
from server.db.statements import Statement

BATCH = 1_000
"""Rows that one statement removes."""


def ago(days: int) -> ColumnElement[datetime]:
    """So many days before now."""
    return func.now() - cast(literal(timedelta(days=days)), Interval)


def removal(table: Table, moment: ColumnElement[datetime], before: ColumnElement[datetime]) -> Statement:
    """Removes a batch of the rows whose moment is before that one; how many there were.

    An index made with `by_moment` serves it.
    """
    # By where they lie, and in the order of the index: whatever the statistics say, no other row is read.
    place: ColumnElement[object] = literal_column(f"{table.name}.ctid")
    oldest = select(place.label("place")).where(old(moment, before)).order_by(moment)
    batch = oldest.limit(literal_column(str(BATCH))).subquery("batch")
    # Asked of each once more, so that one stays which somebody renews while this waits for them.
    removed = delete(table).where(place == batch.c.place, moment < before).returning(literal(1)).cte("removed")
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
