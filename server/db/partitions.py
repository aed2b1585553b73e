"""Months: the partitions of the tables that grow, each a range of version 7 ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from server.db.errors import DatabaseRefused
from server.db.owner import connect_as_owner
from server.kernel.clock import now
from server.kernel.ids import uuid7_floor

MONTHS_AHEAD = 3
"""How many months after the running one are made."""

_DROP_PATIENCE = "1s"


def month_after(month: date, count: int = 1) -> date:
    """The first day of the month that many months after the one `month` lies in."""
    months = month.year * 12 + month.month - 1 + count
    return date(months // 12, months % 12 + 1, 1)


def bounds(month: date) -> tuple[UUID, UUID]:
    """The ids of a month (in UTC): from the first, to but not including the second."""
    begin, end = (datetime(day.year, day.month, 1, tzinfo=UTC) for day in (month, month_after(month)))
    return uuid7_floor(begin), uuid7_floor(end)


def partition_name(table: str, month: date) -> str:
    return f"{table}_{month:%Y_%m}"


def months(first: date, last: date) -> Iterator[date]:
    """The first day of every month from that of `first` to that of `last`."""
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = month_after(month)


async def ensure_months(
    dsn: str, first: date | None = None, last: date | None = None, *, patience: str = "60s"
) -> list[str]:
    """Makes the months from `first` to `last` that are missing (default: this one and the next three); their names.

    Over the owner's connection. A month is made as a table of its own and attached, which does not lock the parent out.
    `patience`: how long it waits for another process that makes months. Raises DatabaseRefused where the owner cannot
    be reached, or a table is held by somebody who does not let it go.
    """
    today = now().date()
    wanted = list(months(first or today, last or month_after(today, MONTHS_AHEAD)))
    made = []
    async with connect_as_owner(dsn, "atrium partitions") as connection:
        try:
            # Of two processes that start together the second waits, and finds the months made. Nobody waits behind it.
            async with connection.transaction():
                await connection.execute("SELECT set_config('lock_timeout', $1, true)", patience)
                await connection.execute("SELECT pg_advisory_lock(hashtext('atrium months'))")
            for table, present in (await present_months(connection)).items():
                for month in wanted:
                    if partition_name(table, month) not in present:
                        await _make(connection, table, month)
                        made.append(partition_name(table, month))
        except asyncpg.LockNotAvailableError:
            raise DatabaseRefused(
                "The months ahead could not be made: another process makes them, or holds one of their tables, and "
                "does not end. Look for it in pg_stat_activity, and run this again."
            ) from None
    return made


async def drop_months(connection: Any, table: str, before: date, *, empty: Sequence[str] = ()) -> list[str]:
    """Drops the months of the table that ended by that day, with all that is in them; their names.

    `empty`: only as far as these tables have nothing in them. `connection`: the owner's. It gives up soon where
    somebody holds the table, since everybody else would wait behind it, and leaves that month and those after it to the
    next time.
    """
    dropped = []
    for name in sorted((await present_months(connection))[table]):
        month = datetime.strptime(name.removeprefix(f"{table}_"), "%Y_%m").replace(tzinfo=UTC).date()
        if month_after(month) <= before:
            if any([await _has_rows(connection, partition_name(one, month)) for one in empty]):
                break
            try:
                async with connection.transaction():
                    # Detached first: as a part it is one that foreign keys lead into, whether or not a row does.
                    await connection.execute(
                        f"SET LOCAL lock_timeout = '{_DROP_PATIENCE}'; "
                        f"ALTER TABLE public.{table} DETACH PARTITION public.{name}; DROP TABLE public.{name}"
                    )
            except asyncpg.LockNotAvailableError:
                break
            dropped.append(name)
    return dropped


async def _has_rows(connection: Any, name: str) -> bool:
    """Whether there is such a table, with something in it."""
    there = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"public.{name}")
    return bool(there and await connection.fetchval(f"SELECT EXISTS (SELECT FROM public.{name})"))


async def _make(connection: Any, table: str, month: date) -> None:
    name = partition_name(table, month)
    begin, end = bounds(month)
    async with connection.transaction():
        await connection.execute(f"CREATE TABLE public.{name} (LIKE public.{table} INCLUDING ALL)")
        # It is reached through its parent, under the parent's policy; by itself it shows nobody anything.
        await connection.execute(f"ALTER TABLE public.{name} ENABLE ROW LEVEL SECURITY")
        await connection.execute(
            f"ALTER TABLE public.{table} ATTACH PARTITION public.{name} FOR VALUES FROM ('{begin}') TO ('{end}')"
        )


async def present_months(connection: Any) -> dict[str, set[str]]:
    """The partitions of every table that is divided by months."""
    rows = await connection.fetch(
        """
        SELECT parent.relname AS parent, array_remove(array_agg(part.relname::text), NULL) AS parts
        FROM pg_partitioned_table
            JOIN pg_class parent ON parent.oid = partrelid
            LEFT JOIN pg_inherits ON inhparent = partrelid
            LEFT JOIN pg_class part ON part.oid = inhrelid
        WHERE partstrat = 'r' AND parent.relnamespace = 'public'::regnamespace
        GROUP BY parent.relname ORDER BY parent.relname
        """
    )
    return {row["parent"]: set(row["parts"]) for row in rows}


async def months_ahead(connection: Any) -> int:
    """How many months in a row after the running one every such table has. Any role may ask."""
    today = now().date()

    def ahead(table: str, present: set[str]) -> int:
        count = 0
        while partition_name(table, month_after(today, count + 1)) in present:
            count += 1
        return count

    return min(ahead(table, present) for table, present in (await present_months(connection)).items())
