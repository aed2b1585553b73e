"""Who of a tenant's executions has a place, and what ends and goes on when it is given away."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from server.db.database import Database
from server.identity.store import idempotency
from server.jobs.queue import waking
from server.workflow.definition import Approval
from server.workflow.definition import Step as WorkflowStep
from server.workflow.service.progress import STEP, TEND
from server.workflow.service.upkeep import WorkflowBelongings
from tests.databases import Scratch
from tests.jobs.executing import Executing, Settings, chat
from tests.jobs.working import NOT_FOR_EVER, until, working

Tenants = tuple[UUID, UUID]


async def test_an_execution_that_is_held_while_a_place_is_given_away_gets_it_afterwards(active: Executing) -> None:
    active.tenants.settings = Settings(max_concurrent_workflows=1)
    first, second = await active.start(chat("a")), await active.start(chat("a"))

    async with active.engine.holding(active.tenant_id, second):
        await active.does("cancel", first)
        passed_over = (await active.get(second)).status

    assert (passed_over, (await active.get(second)).status) == ("pending", "running")
    await active.drain()
    await active.check_done_once(second, "a")


async def test_who_resumes_waits_for_nobody_who_holds_the_workflow_and_waits_for_a_place_to_give(
    active: Executing, admin: Any, scratch: Scratch
) -> None:
    execution_id = await active.start(WorkflowStep("asked", Approval("Well?"), timeout=60.0))
    await active.drain()
    await active.does("pause", execution_id, "")
    await admin.execute("UPDATE workflow_tasks SET not_before = now()")

    async with scratch.connect() as other, other.transaction(), asyncio.timeout(NOT_FOR_EVER):
        await other.execute("SELECT FROM workflows FOR UPDATE")
        resumed = await active.does("resume", execution_id)

    await active.look(seconds=1.0)
    assert resumed.status == "running"
    assert (await active.get(execution_id)).error_reason == "TASK_TIMED_OUT"


async def _person(admin: Any, tenant_id: UUID) -> UUID:
    user_id: UUID = await admin.fetchval(
        "INSERT INTO users (tenant_id, username, email) VALUES ($1, 'eve', 'eve@example.com') RETURNING id", tenant_id
    )
    return user_id


async def test_what_goes_on_for_somebody_who_is_removed_ends_and_its_place_is_anothers(
    active: Executing, database: Database, admin: Any
) -> None:
    active.tenants.settings = Settings(max_concurrent_workflows=1)
    user_id = await _person(admin, active.tenant_id)
    workflow_id = await active.workflow(chat("a"))
    theirs = (await active.execute(workflow_id, user_id)).id
    others = (await active.execute(workflow_id)).id

    async with database.tenant_tx(active.tenant_id) as tx:
        await WorkflowBelongings(idempotency.forget_about).remove(tx, user_id)
    await active.look(seconds=1.0)
    await active.drain()

    assert (await active.get(theirs)).status == "cancelled"
    await active.check_done_once(others, "a")


async def test_a_person_is_removed_while_an_execution_of_theirs_ends(
    active: Executing, database: Database, admin: Any
) -> None:
    user_id = await _person(admin, active.tenant_id)
    workflow_id = await active.workflow(chat("a"))
    await admin.execute("UPDATE workflows SET owner_user_id = $1, visibility = 'personal'", user_id)
    execution_id = (await active.execute(workflow_id, user_id)).id

    async def remove() -> None:
        async with database.tenant_tx(active.tenant_id) as tx:
            await WorkflowBelongings(idempotency.forget_about).remove(tx, user_id)

    async with active.engine.holding(active.tenant_id, execution_id) as (_, progress):
        removal = asyncio.create_task(remove())
        await until(admin, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 1)
        assert progress is not None
        await progress.fail("SOMETHING", "Something.")
    await removal

    assert await admin.fetchval("SELECT count(*) FROM workflow_executions") == 0
    assert await admin.fetchval("SELECT count(*) FROM workflows") == 0


async def test_no_more_run_at_once_than_may_and_all_end(
    scratch: Scratch, database: Database, admin: Any, tenants: Tenants
) -> None:
    settings = Settings(max_concurrent_workflows=3)
    engines = [Executing(database, admin, tenants[0], settings=settings) for _ in range(3)]
    workflow_id = await engines[0].workflow(chat("a"), chat("b"), chat("c", "a", "b"))
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            running = await database_watch("SELECT count(*) FROM workflow_executions WHERE status = 'running'")
            most = max(most, running)

    async with AsyncExitStack() as stack:
        watching = await stack.enter_async_context(scratch.connect())
        database_watch = watching.fetchval
        watcher = asyncio.create_task(watch())
        for one in engines:
            handlers = {STEP: one.backlog.handler(database, one.steps), TEND: one.engine.tend}
            await stack.enter_async_context(working(scratch, handlers))
        await stack.enter_async_context(waking(scratch.settings(), database))

        made = await asyncio.gather(*(engines[number % 3].execute(workflow_id) for number in range(40)))
        await until(admin, "SELECT count(*) FROM workflow_executions WHERE status = 'completed'", 40)
        watcher.cancel()
        await asyncio.wait([watcher])

    assert 1 <= most <= 3
    for one in made:
        told = await engines[0].told(one.id)
        assert sorted(told) == sorted(
            [
                ("execution_started", ""),
                *((kind, step) for step in "abc" for kind in ("task_started", "task_completed")),
                ("execution_completed", ""),
            ]
        )
    counts = await admin.fetchrow("SELECT execution_count, success_count, failure_count FROM workflows")
    assert tuple(counts) == (40, 40, 0)
    assert await admin.fetchval("SELECT sum(admitted) FROM tenant_slots") == 0
