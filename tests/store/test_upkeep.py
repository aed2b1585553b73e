"""The months ahead, while the server runs."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from server.db.partitions import MONTHS_AHEAD, month_after, partition_name
from server.db.upkeep import keep_months
from server.kernel.clock import now
from tests.databases import Scratch


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
