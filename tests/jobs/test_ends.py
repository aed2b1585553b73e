"""Jobs of tenants that end at one moment end together, and each as if it were alone."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from server.db.database import Database
from server.jobs.backlog import TenantRun
from server.jobs.queue import CHANNEL, waking
from tests.databases import Scratch
from tests.jobs.theirs import LEFT, SLOTS, Theirs, add, handlers
from tests.jobs.working import NOT_FOR_EVER, until, working

_OF = "SELECT count(*) FROM tenant_jobs WHERE tenant_id = '{}'"


async def test_they_end_and_the_next_ones_come_in_in_one_transaction(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for number in range(2):
        for tenant_id in tenants:
            await add(asking, tenant_id, number, share=1)
    gates = asyncio.Event(), asyncio.Event()
    begun: asyncio.Queue[int] = asyncio.Queue()

    async def act(run: TenantRun) -> None:
        begun.put_nowait(run.payload["number"])
        await gates[run.payload["number"]].wait()

    async with working(scratch, handlers(asking, act, share=1)):
        async with asyncio.timeout(NOT_FOR_EVER):
            assert [await begun.get() for _ in tenants] == [0, 0]
            gates[0].set()
            assert [await begun.get() for _ in tenants] == [1, 1]
        transactions = await admin.fetchval("SELECT count(DISTINCT xmin::text) FROM tenant_jobs")
        left, slots = [await admin.fetchval(query) for query in (LEFT, SLOTS)]
        gates[1].set()
        await until(admin, LEFT, 0)

    assert (transactions, left, slots) == (1, 2, 2)
    assert await admin.fetchval(SLOTS) == 0


async def test_who_was_overtaken_ends_nothing_and_who_ends_beside_it_does(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for tenant_id in tenants:
        await add(asking, tenant_id, 7)
    theirs = Theirs(shut=True)

    async with working(scratch, handlers(asking, theirs)):
        for _ in tenants:
            await theirs.next()
        await admin.execute(
            "UPDATE jobs.runs SET run_token = gen_random_uuid() "
            "WHERE job_id = (SELECT id FROM jobs.pgqueuer WHERE dedupe_key LIKE $1)",
            f"{tenants[0]}/%",
        )
        theirs.open.set()
        await until(admin, _OF.format(tenants[1]), 0)
        assert await admin.fetchval(_OF.format(tenants[0])) == await admin.fetchval(SLOTS) == 1

        await admin.execute("UPDATE jobs.pgqueuer SET status = 'queued', queue_manager_id = NULL")
        assert await theirs.next() == (tenants[0], 7)
        await until(admin, LEFT, 0)

    assert await admin.fetchval(SLOTS) == 0
    assert theirs.begun.empty()


async def test_a_tenant_whose_slots_somebody_holds_keeps_no_other_from_ending_its_job(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for tenant_id in tenants:
        await add(asking, tenant_id, 7)
    theirs = Theirs(shut=True)

    async with working(scratch, handlers(asking, theirs)):
        for _ in tenants:
            await theirs.next()
        async with scratch.connect() as other, other.transaction():
            await other.execute("SELECT FROM tenant_slots WHERE tenant_id = $1 FOR UPDATE", tenants[0])
            theirs.open.set()
            await until(admin, _OF.format(tenants[1]), 0)
            assert await admin.fetchval(_OF.format(tenants[0])) == 1
        await until(admin, LEFT, 0)

    assert await admin.fetchval(SLOTS) == 0
    assert theirs.begun.empty()  # neither was done anew


async def test_workers_are_woken_for_what_comes_in_as_jobs_end(
    scratch: Scratch, database: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for number in range(2):
        await add(database, tenants[0], number, share=1)
    told: asyncio.Queue[str] = asyncio.Queue()
    await admin.add_listener(CHANNEL, lambda *event: told.put_nowait(event[-1]))

    async with waking(scratch.settings(), database), working(scratch, handlers(database, Theirs(), share=1)):
        async with asyncio.timeout(NOT_FOR_EVER):
            await told.get()
        await until(admin, LEFT, 0)
