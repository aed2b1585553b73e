"""Executions go with their tasks and events when their tenant keeps them no more; what has not ended stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database
from server.db.partitions import ensure_months, partition_name
from server.kernel.clock import now
from server.kernel.ids import uuid7_floor
from server.tenant.standing import TenantStanding
from server.work import retentions
from server.workflow.tables import execution_events, workflow_executions, workflow_tasks
from tests.databases import Scratch

TABLES = [execution_events.name, workflow_tasks.name, workflow_executions.name]
OLD, OLDER, YOUNG = 150, 300, 10
_EXECUTION = """
INSERT INTO workflow_executions (tenant_id, id, workflow_id, workflow_version, definition, status, completed_at)
VALUES ($1, $2, $2, 'v1.0', '{"steps": [], "output": ""}', $3::text, CASE WHEN $3::text <> 'running' THEN now() END)
"""
_KEPT = """
INSERT INTO tenant_configs (tenant_id, execution_retention_days) SELECT id, 100 FROM tenants
ON CONFLICT (tenant_id) DO UPDATE SET execution_retention_days = 100
"""
_TASK = "INSERT INTO workflow_tasks (tenant_id, execution_id, step_id, step_type) VALUES ($1, $2, 'a', 'wait')"
_EVENT = "INSERT INTO execution_events VALUES ($1, $2, 1, 'execution_started', '{}')"


async def _add(admin: Any, tenant_id: UUID, age: int, status: str = "completed") -> UUID:
    execution_id = uuid7_floor(now() - timedelta(days=age))
    await admin.execute(_EXECUTION, tenant_id, execution_id, status)
    for statement in (_TASK, _EVENT):
        await admin.execute(statement, tenant_id, execution_id)
    return execution_id


@pytest.fixture
async def removing(database: Database, scratch: Scratch, tenants: tuple[UUID, UUID], admin: Any) -> Any:
    """What removes them, a hundred days after they were started."""
    today = now().date()
    await ensure_months(scratch.admin_url, today - timedelta(days=OLDER), today)
    await admin.execute(_KEPT)
    standing = TenantStanding(database)
    settings = scratch.settings(admin_database_url=scratch.admin_url)

    async def remove() -> None:
        for each in retentions(settings, standing):
            if each.table.name in TABLES:
                await each(tenant.id async for tenant, _ in standing.everyone())

    return remove


async def _left(admin: Any) -> dict[str, set[UUID]]:
    key = {workflow_executions.name: "id"}
    return {
        table: {row[0] for row in await admin.fetch(f"SELECT {key.get(table, 'execution_id')} FROM {table}")}
        for table in TABLES
    }


async def _months(admin: Any, age: int) -> list[bool]:
    """Which of the tables have the month of that age."""
    day = now().date() - timedelta(days=age)
    return [await admin.fetchval("SELECT to_regclass($1) IS NOT NULL", partition_name(one, day)) for one in TABLES]


async def test_what_has_ended_long_ago_goes_with_its_months(
    removing: Any, tenants: tuple[UUID, UUID], admin: Any
) -> None:
    first, second = tenants
    await _add(admin, first, OLDER)
    await _add(admin, second, OLDER, "failed")
    await _add(admin, first, OLD, "cancelled")
    kept = {await _add(admin, first, OLD - 1, "running"), await _add(admin, second, YOUNG)}

    await removing()

    assert await _left(admin) == dict.fromkeys(TABLES, kept)
    assert await _months(admin, OLDER) == [False, False, False]
    assert await _months(admin, OLD - 1) == [True, True, True]


async def test_no_month_goes_of_which_an_execution_has_not_ended_that_may_get_more_tasks_and_events(
    removing: Any, tenants: tuple[UUID, UUID], admin: Any
) -> None:
    kept = await _add(admin, tenants[0], OLDER, "running")
    await admin.execute("DELETE FROM workflow_tasks; DELETE FROM execution_events")

    await removing()

    assert (await _left(admin))[workflow_executions.name] == {kept}
    assert await _months(admin, OLDER) == [True, True, True]
