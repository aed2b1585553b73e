"""Months: the partitions of the tables that grow, each a range of version 7 ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from server.db.rules import OWNER_ROLE
from server.kernel.clock import now
from server.kernel.ids import uuid7_floor

MONTHS_AHEAD = 3
"""How many months after the running one are made."""


def month_after(month: date, count: int = 1) -> date:
    """The first day of the month that many months after the one `month` lies in."""
    months = month.year * 12 + month.month - 1 + count
    return date(months // 12, months % 12 + 1, 1)


def bounds(month: date) -> tuple[UUID, UUID]:
    """The ids of a month (in UTC): from the first, to but not including the second."""
    first = month.replace(day=1)
    begin, end = (datetime(day.year, day.month, 1, tzinfo=UTC) for day in (first, month_after(first)))
    return uuid7_floor(begin), uuid7_floor(end)


def partition_name(table: str, month: date) -> str:
    return f"{table}_{month:%Y_%m}"


def months(first: date, last: date) -> Iterator[date]:
    """The first day of every month from that of `first` to that of `last`."""
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = month_after(month)


async def ensure_months(dsn: str, first: date | None = None, last: date | None = None) -> None:
    """Makes the months from `first` to `last` that are missing; by default this one and the next three.

    Over the owner's connection. A month is made as a table of its own and attached, which does not lock the parent out.
    """
    today = now().date()
    first, last = first or today, last or month_after(today, MONTHS_AHEAD)
    connection: Any = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": "atrium partitions"})
    try:
        await connection.execute(f"SET ROLE {OWNER_ROLE}")
        await connection.execute("SET lock_timeout = '5s'")
        # Of two processes that start together the second waits, and finds the months made.
        await connection.execute("SELECT pg_advisory_lock(hashtext('atrium months'))")
        for table in await _parents(connection):
            for month in months(first, last):
                await _ensure(connection, table, month)
    finally:
        await connection.close()


async def _ensure(connection: Any, table: str, month: date) -> None:
    name = partition_name(table, month)
    if await connection.fetchval("SELECT to_regclass('public.' || $1) IS NOT NULL", name):
        return
    begin, end = bounds(month)
    async with connection.transaction():
        await connection.execute(
            f"CREATE TABLE public.{name} (LIKE public.{table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        )
        await connection.execute(f"ALTER TABLE public.{name} ENABLE ROW LEVEL SECURITY")
        await connection.execute(
            f"ALTER TABLE public.{table} ATTACH PARTITION public.{name} FOR VALUES FROM ('{begin}') TO ('{end}')"
        )


async def _parents(connection: Any) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace ORDER BY relname"
    )
    return [row["relname"] for row in rows]


async def months_ahead(connection: Any) -> int:
    """How many months after the running one every partitioned table has; the least of them."""
    today = now().date()
    least = MONTHS_AHEAD
    for table in await _parents(connection):
        ahead = 0
        for month in list(months(month_after(today), month_after(today, MONTHS_AHEAD))):
            if not await connection.fetchval(
                "SELECT to_regclass('public.' || $1) IS NOT NULL", partition_name(table, month)
            ):
                break
            ahead += 1
        least = min(least, ahead)
    return least
