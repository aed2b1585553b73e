"""Removing what has had its time, in batches: no transaction lasts long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Interval,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    update,
)

from server.db.base import old
from server.db.database import Database, Tx
from server.db.statements import Statement
from server.kernel.errors import NotFound

BATCH = 1_000
"""Rows that one statement removes."""

PURGED_AT_ONCE = 50
"""Objects that one transaction purges: each takes several statements, and all are held until it ends."""


class Deletable(Protocol):
    """Something that is hidden before it is purged."""

    @property
    def deleted_at(self) -> datetime | None:
        """When it was; None: it is live."""


T = TypeVar("T", bound=Deletable)


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


def long_deleted(table: Table) -> Statement:
    """The ids of at most PURGED_AT_ONCE rows that were deleted longer ago than `days`."""
    life = func.make_interval(0, 0, 0, bindparam("days"))
    moment = table.c.deleted_at
    # In the order of the index, for the same reason.
    oldest = select(table.c.id).where(moment < func.now() - life).order_by(moment)
    return Statement(oldest.limit(literal_column(str(PURGED_AT_ONCE))))


def forgetting_deleters(table: Table) -> Statement:
    """Has what `deleters` (texts of ids) have deleted be deleted by nobody. It looks at all that is deleted."""
    # The first condition is that of the index.
    theirs = (table.c.deleted_at.is_not(None), table.c.deleted_by == any_(bindparam("deleters", type_=ARRAY(Text))))
    return Statement(update(table).where(*theirs).values(deleted_by=None))


async def remove_all(database: Database, tenant_id: UUID, statement: Statement, **values: object) -> int:
    """Removes batch after batch until there is none; how many rows there were."""
    total = 0
    while True:
        async with database.tenant_tx(tenant_id) as tx:
            count: int = await tx.fetchval(statement, **values)
        total += count
        if count < BATCH:
            return total


async def purge_all(
    database: Database,
    tenant_id: UUID,
    find: Callable[[Tx], Awaitable[Sequence[UUID]]],
    lock: Callable[[Tx, UUID], Awaitable[T]],
    purge: Callable[[Tx, Sequence[T]], Awaitable[None]],
) -> int:
    """Purges what was deleted long ago, batch after batch until there is none; how much there was.

    `find`: at most PURGED_AT_ONCE of it. `lock`: holds one, live or deleted; raises NotFound.
    """
    total = 0
    while True:
        held: list[T] = []
        async with database.tenant_tx(tenant_id) as tx:
            found = await find(tx)
            for one in found:
                # Others are at it too: it may have been purged a moment ago, or restored.
                with suppress(NotFound):
                    held.append(await lock(tx, one))
            gone = [one for one in held if one.deleted_at is not None]
            await purge(tx, gone)
        total += len(gone)
        if len(found) < PURGED_AT_ONCE:
            return total
