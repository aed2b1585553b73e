"""What is read and changed of executions goes by an index, however many there are and however many tasks one has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
import pytest

from server.db.partitions import partition_name
from server.db.statements import Statement
from server.kernel.clock import now
from server.workflow.store import executions, tasks
from tests.databases import Scratch

TENANT, OTHER = UUID(int=1), UUID(int=2)
_LAST = UUID(int=(1 << 128) - 1)
_PAGE: dict[str, Any] = {"before": _LAST, "most": 51}
_ROWS = f"""
INSERT INTO tenants (id, name, slug) VALUES ('{TENANT}', 'Ada', 'ada'), ('{OTHER}', 'Bob', 'bob');
INSERT INTO workflow_executions (tenant_id, workflow_id, workflow_version, definition, status, completed_at)
    SELECT CASE WHEN n % 10 = 0 THEN '{OTHER}' ELSE '{TENANT}' END::uuid, '{TENANT}', 'v1.0', '{{}}',
           CASE WHEN n % 400 = 1 THEN 'running' WHEN n % 400 = 2 THEN 'pending' ELSE 'completed' END,
           CASE WHEN n % 400 NOT IN (1, 2) THEN now() END
    FROM generate_series(1, 4000) n;
INSERT INTO workflow_tasks (tenant_id, execution_id, step_id, step_type, iteration, status)
    SELECT tenant_id, id, 'each', 'chat', n,
           CASE WHEN status = 'running' AND n % 7 = 0 THEN 'ready' ELSE 'completed' END
    FROM workflow_executions, generate_series(0, 3) n;
INSERT INTO workflow_tasks (tenant_id, execution_id, step_id, step_type, iteration, status)
    SELECT tenant_id, id, 'each', 'chat', n, CASE WHEN n % 7 = 0 THEN 'ready' ELSE 'completed' END
    FROM (SELECT * FROM workflow_executions WHERE status = 'running' AND tenant_id = '{TENANT}' LIMIT 3) big,
         generate_series(4, 1000) n;
INSERT INTO execution_events (tenant_id, execution_id, seq, event_type, payload)
    SELECT tenant_id, id, n, 'task_started', '{{}}' FROM workflow_executions, generate_series(1, 4) n;
ANALYZE;
"""
_THIS: dict[str, Any] = {"execution_id": TENANT}
_TASK: dict[str, Any] = {**_THIS, "task_id": TENANT}
_STEPS: dict[str, Any] = {**_THIS, "step_ids": ["each"]}
_STATEMENTS: dict[str, tuple[Statement, dict[str, Any]]] = {
    "list": (executions._list((), personal=True), _PAGE),
    "list of a member": (executions._list((), personal=False), {**_PAGE, "member_id": TENANT}),
    "list of those that run": (executions._list(("status",), personal=True), {**_PAGE, "status": "running"}),
    "lock": (executions._LOCK, _THIS),
    "running": (executions._COUNT, {"status": "running"}),
    "next": (executions._NEXT, {"most": 5}),
    "to look at": (executions._TO_LOOK_AT, {}),
    "events": (executions._EVENTS, {**_THIS, "after_seq": 2, "most": 500}),
    "begin": (tasks._BEGIN, {**_TASK, "worker_id": "job", "token": TENANT}),
    "held": (tasks._HELD, {**_TASK, "token": TENANT}),
    "leave": (tasks._LEAVE, {**_TASK, "worker_id": "job", "delay": None}),
    "count down": (tasks._COUNT_DOWN, _STEPS),
    "results": (tasks._RESULTS, _STEPS),
    "items": (tasks._ITEMS, {**_THIS, "step_id": "each"}),
    "any open": (tasks._ANY_OPEN, _THIS),
    "due again": (tasks._DUE_AGAIN, _THIS),
    "due": (tasks._DUE, _THIS),
    "at work": (tasks._AT_WORK, _THIS),
    "tasks": (tasks._list(by_status=False), {**_THIS, **_PAGE}),
}


@pytest.fixture(scope="module")
def busy(each_shared: Scratch) -> Scratch:
    """A database with thousands of executions, some of which have a thousand tasks."""
    asyncio.run(_fill(each_shared))
    return each_shared


async def _fill(scratch: Scratch) -> None:
    async with scratch.connect() as admin:
        await admin.execute(_ROWS)


def _whole(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that are read from end to end."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for inner in plan.get("Plans", ()):
        yield from _whole(inner)


@pytest.mark.parametrize("name", _STATEMENTS)
async def test_no_table_is_read_from_end_to_end(name: str, busy: Scratch) -> None:
    statement, values = _STATEMENTS[name]
    months = {
        partition_name(table, now().date()) for table in ("workflow_executions", "workflow_tasks", "execution_events")
    }
    async with busy.connect(busy.url) as app, app.transaction():
        await app.execute("SELECT set_config('app.tenant_id', $1, true)", str(TENANT))
        explain = f"EXPLAIN (FORMAT JSON) {statement.sql}"

        plan = orjson.loads(await app.fetchval(explain, *statement.arguments(values)))[0]["Plan"]

    assert not months & {*_whole(plan)}
