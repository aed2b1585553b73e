"""The months ahead, and what PostgreSQL knows of all of them, while the server runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.db.errors import DatabaseRefused
from server.db.partitions import MONTHS_AHEAD, ensure_months, month_after, partition_name
from server.db.upkeep import analyze_divided, keep_months, months_kept
from server.kernel.clock import now
from tests.databases import Cluster, Scratch
from tests.pauses import noted_pauses

NOT_FOR_EVER = 20.0


@pytest.fixture
async def gap(admin: Any) -> str:
    """The month after the next one, which is missing from one table."""
    name = partition_name("audit_logs", month_after(now().date(), 2))
    await admin.execute(f"DROP TABLE {name}")
    return name


async def test_missing_months_are_made_where_the_owner_is_known(scratch: Scratch, admin: Any, gap: str) -> None:
    assert await keep_months(scratch.settings()) == MONTHS_AHEAD

    assert await admin.fetchval("SELECT to_regclass($1) IS NOT NULL", gap)


async def test_without_the_owner_it_raises_the_alarm(scratch: Scratch, gap: str) -> None:
    with capture_logs() as logs:
        assert await keep_months(scratch.settings(admin_database_url=None)) == 1

    assert [(entry["log_level"], entry["months"]) for entry in logs] == [("error", 1)]


async def test_nothing_is_said_while_enough_lie_ahead(scratch: Scratch) -> None:
    with capture_logs() as logs:
        assert await keep_months(scratch.settings(admin_database_url=None)) == MONTHS_AHEAD

    assert logs == []


async def test_who_cannot_make_the_months_is_told_what_to_look_for(scratch: Scratch, admin: Any) -> None:
    await admin.execute("SELECT pg_advisory_lock(hashtext('atrium months'))")

    with pytest.raises(DatabaseRefused, match="another process makes them"):
        await ensure_months(scratch.admin_url, patience="50ms")


async def test_a_table_that_somebody_holds_is_no_traceback_either(scratch: Scratch, admin: Any, gap: str) -> None:
    async with admin.transaction():
        await admin.execute("LOCK TABLE audit_logs IN SHARE UPDATE EXCLUSIVE MODE")

        with pytest.raises(DatabaseRefused, match="holds one of their tables"):
            await ensure_months(scratch.admin_url)


async def test_months_that_could_not_be_made_are_tried_again_soon(
    scratch: Scratch, admin: Any, gap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses, failures = noted_pauses(monkeypatch), [DatabaseRefused("somebody holds a table"), ConnectionResetError()]
    made = asyncio.Event()

    async def ensure(dsn: str) -> None:
        if failures:
            raise failures.pop()
        await ensure_months(dsn)
        made.set()

    monkeypatch.setattr("server.db.upkeep.ensure_months", ensure)

    with capture_logs() as logs:
        async with asyncio.timeout(NOT_FOR_EVER), months_kept(scratch.settings()):
            await made.wait()

    assert await admin.fetchval("SELECT to_regclass($1) IS NOT NULL", gap)
    assert len(pauses) == 2
    assert [entry.get("error") for entry in logs] == [
        "ConnectionResetError",
        "somebody holds a table",
        "DatabaseRefused",
    ]


async def test_divided_tables_are_looked_at_as_wholes(each_postgres: Cluster) -> None:
    async with each_postgres.clone() as scratch, scratch.connect() as admin:
        statement = "SELECT relname FROM pg_class WHERE relkind = 'p' AND reltuples >= 0 ORDER BY relname"
        before = [row[0] for row in await admin.fetch(statement)]

        tables = await analyze_divided(scratch.settings())

        assert before == []
        assert [row[0] for row in await admin.fetch(statement)] == tables
        assert "model_call_logs" in tables


async def test_without_the_owner_they_are_not(scratch: Scratch) -> None:
    assert await analyze_divided(scratch.settings(admin_database_url=None)) == []
