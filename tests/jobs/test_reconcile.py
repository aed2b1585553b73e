"""Tenants' jobs that nothing in the queue stands for any more are asked for again; those put aside are not."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database
from server.jobs.aside import retry
from server.jobs.reconcile import ReconcileIncomplete, reconcile
from server.jobs.worker import MOST_LOST
from tests.databases import Scratch
from tests.jobs.theirs import LEFT, SLOTS, Theirs, add, backlog, handlers
from tests.jobs.working import until, working


async def test_a_job_that_was_lost_is_asked_for_again_and_one_that_is_there_is_not(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for tenant_id in tenants:
        for number in range(3):
            await add(asking, tenant_id, number)
    assert await reconcile(asking, backlog()) == 0
    await admin.execute(
        "DELETE FROM jobs.pgqueuer WHERE dedupe_key IN "
        "(SELECT tenant_id || '/' || id FROM tenant_jobs WHERE tenant_id = $1 ORDER BY id LIMIT 2)",
        tenants[0],
    )

    assert await reconcile(asking, backlog()) == 2

    theirs = Theirs()
    async with working(scratch, handlers(asking, theirs)):
        ran = sorted([await theirs.next() for _ in range(6)])
        await until(admin, LEFT, 0)
    assert ran == sorted((tenant_id, number) for tenant_id in tenants for number in range(3))
    assert await admin.fetchval(SLOTS) == 0


async def test_a_slot_whose_job_killed_its_workers_is_given_to_the_next(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    await add(asking, tenants[0], 1, share=1)
    await admin.execute(
        "INSERT INTO jobs.runs (job_id, attempts, run_token) SELECT id, $1, gen_random_uuid() FROM jobs.pgqueuer",
        MOST_LOST,
    )
    await add(asking, tenants[0], 2, share=1)
    theirs = Theirs()

    async with working(scratch, handlers(asking, theirs, share=1)):
        await until(admin, "SELECT status::text FROM jobs.pgqueuer", "failed")
        assert await reconcile(asking, backlog(1)) == 0
        assert await theirs.next() == (tenants[0], 2)
        await until(admin, "SELECT string_agg(status, ' ') FROM tenant_jobs", "aside")
        assert await reconcile(asking, backlog(1)) == 0

        await retry(asking)
        assert await theirs.next() == (tenants[0], 1)
        await until(admin, LEFT, 0)
    assert await admin.fetchval(SLOTS) == 0


async def test_what_was_put_aside_is_forgotten_with_its_job(
    asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    await add(asking, tenants[0], 1)
    await admin.execute("UPDATE jobs.pgqueuer SET status = 'failed'")
    await reconcile(asking, backlog())
    assert await admin.fetchval(LEFT) == 1

    await admin.execute("DELETE FROM jobs.pgqueuer")
    await reconcile(asking, backlog())

    assert await admin.fetchval(LEFT) == 0


@pytest.mark.parametrize("wrong", [0, 7])
async def test_a_count_of_slots_that_went_wrong_is_set_right(
    asking: Database, admin: Any, tenants: tuple[UUID, UUID], wrong: int
) -> None:
    for number in range(5):
        await add(asking, tenants[0], number, share=3)
    await admin.execute("UPDATE tenant_slots SET admitted = $1", wrong)

    await reconcile(asking, backlog(3))

    assert await admin.fetchval(SLOTS) == 3


async def test_a_tenant_that_it_fails_for_keeps_it_from_no_other(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for tenant_id in tenants:
        await add(asking, tenant_id, 1)
    await admin.execute("DELETE FROM jobs.pgqueuer")

    async with scratch.connect() as other, other.transaction():
        await other.execute("SELECT FROM tenant_slots WHERE tenant_id = $1 FOR UPDATE", tenants[0])
        with pytest.raises(ReconcileIncomplete):
            await reconcile(asking, backlog())

    found = await admin.fetch("SELECT split_part(dedupe_key, '/', 1) FROM jobs.pgqueuer")
    assert [row[0] for row in found] == [str(tenants[1])]
    assert await reconcile(asking, backlog()) == 1
