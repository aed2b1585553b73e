"""Months: which ids lie in which, and that there are always some ahead."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.db.partitions import (
    MONTHS_AHEAD,
    bounds,
    drop_months,
    ensure_months,
    month_after,
    months,
    months_ahead,
    partition_name,
)
from server.kernel.clock import now
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7_floor
from tests.databases import Scratch

_TABLES = (
    *("audit_logs", "execution_events", "model_call_logs"),
    *("rag_query_logs", "workflow_executions", "workflow_tasks"),
)
_MILLISECOND = timedelta(milliseconds=1)
_INSERT = """
    INSERT INTO audit_logs (tenant_id, id, actor_kind, action, resource_type)
    VALUES ($1, coalesce($2, atrium_uuid7()), 'system', 'test', 'test')
"""


async def _month_of(admin: Any, identifier: UUID) -> str:
    await admin.execute(_INSERT, PLATFORM_TENANT_ID, identifier)
    found: str = await admin.fetchval("SELECT tableoid::regclass::text FROM audit_logs WHERE id = $1", identifier)
    return found


def _largest(moment: datetime) -> UUID:
    """The last id that can be made in the moment's millisecond."""
    return UUID(int=uuid7_floor(moment).int | 0xFFF << 64 | (1 << 62) - 1)


@pytest.mark.parametrize(
    ("month", "count", "after"),
    [
        (date(2030, 1, 31), 1, date(2030, 2, 1)),
        (date(2030, 12, 1), 1, date(2031, 1, 1)),
        (date(2030, 11, 5), 14, date(2032, 1, 1)),
    ],
)
def test_months_are_counted_over_the_ends_of_years(month: date, count: int, after: date) -> None:
    assert month_after(month, count) == after


def test_a_span_has_the_months_of_both_its_ends() -> None:
    assert list(months(date(2030, 11, 30), date(2031, 1, 1))) == [
        date(2030, 11, 1),
        date(2030, 12, 1),
        date(2031, 1, 1),
    ]


@pytest.mark.parametrize("month", [date(2024, 2, 1), date(2030, 12, 1)])
async def test_the_first_and_the_last_millisecond_of_a_month_lie_in_it(
    month: date, scratch: Scratch, admin: Any
) -> None:
    await ensure_months(scratch.admin_url, month, month_after(month))
    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    next_month = month_after(month)
    end = datetime(next_month.year, next_month.month, 1, tzinfo=UTC)

    assert await _month_of(admin, uuid7_floor(start)) == partition_name("audit_logs", month)
    assert await _month_of(admin, _largest(end - _MILLISECOND)) == partition_name("audit_logs", month)
    assert await _month_of(admin, uuid7_floor(end)) == partition_name("audit_logs", next_month)
    assert bounds(month) == (uuid7_floor(start), uuid7_floor(end))


async def test_an_id_of_a_month_that_was_not_made_is_refused(admin: Any) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="no partition"):
        await admin.execute(_INSERT, PLATFORM_TENANT_ID, uuid7_floor(datetime(2001, 1, 1, tzinfo=UTC)))


async def test_an_id_by_default_lies_in_the_running_month(admin: Any) -> None:
    await admin.execute(_INSERT, PLATFORM_TENANT_ID, None)

    found = await admin.fetchval("SELECT tableoid::regclass::text FROM audit_logs")
    assert found == partition_name("audit_logs", now().date())


async def test_a_migrated_database_has_this_month_and_three_ahead(admin: Any) -> None:
    wanted = months(now().date(), month_after(now().date(), MONTHS_AHEAD))

    rows = await admin.fetch("""
        SELECT part.relname FROM pg_class part JOIN pg_inherits ON inhrelid = part.oid
            JOIN pg_partitioned_table ON partrelid = inhparent
        WHERE part.relkind = 'r' AND partstrat = 'r'
    """)

    assert {row["relname"] for row in rows} == {partition_name(table, month) for month in wanted for table in _TABLES}


async def test_months_that_are_there_are_left_alone(scratch: Scratch) -> None:
    assert await ensure_months(scratch.admin_url) == []


async def test_past_months_are_made_when_asked_for(scratch: Scratch, admin: Any) -> None:
    made = await ensure_months(scratch.admin_url, date(2024, 12, 15), date(2025, 1, 15))

    assert sorted(made) == sorted(f"{table}_{month}" for table in _TABLES for month in ("2024_12", "2025_01"))
    assert await _month_of(admin, uuid7_floor(datetime(2025, 1, 31, tzinfo=UTC))) == "audit_logs_2025_01"


async def test_a_past_month_is_dropped_of_every_table_also_where_foreign_keys_lead_into_it(
    scratch: Scratch, admin: Any
) -> None:
    await ensure_months(scratch.admin_url, date(2024, 12, 15), date(2024, 12, 15))

    dropped = [name for table in _TABLES for name in await drop_months(admin, table, date(2025, 1, 1))]

    assert dropped == [f"{table}_2024_12" for table in _TABLES]
    assert await admin.fetchval("SELECT count(*) FROM pg_class WHERE relname LIKE '%_2024_12'") == 0


async def test_the_months_ahead_are_counted_up_to_the_first_gap(scratch: Scratch, admin: Any) -> None:
    today = now().date()
    async with scratch.connect(scratch.url) as app:
        assert await months_ahead(app) == MONTHS_AHEAD

        await admin.execute(f"DROP TABLE {partition_name('model_call_logs', month_after(today, 2))}")

        assert await months_ahead(app) == 1


async def test_a_month_has_every_index_of_its_parent_and_shows_nobody_anything_by_itself(
    scratch: Scratch, admin: Any
) -> None:
    name = partition_name("audit_logs", now().date())
    count = "SELECT count(*) FROM pg_index WHERE indrelid = $1::regclass"

    assert await admin.fetchval(count, name) == await admin.fetchval(count, "audit_logs")
    assert await admin.fetchval("SELECT relrowsecurity FROM pg_class WHERE relname = $1", name)
    async with scratch.connect(scratch.url) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.fetch(f"SELECT * FROM {name}")
