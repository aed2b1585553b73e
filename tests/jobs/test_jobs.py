"""Jobs: done once what asked for them is committed, and done again by others where a worker fails."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest

from server.db.database import Database
from server.jobs.queue import enqueue
from server.jobs.runs import Overtaken, Run
from server.jobs.worker import Cron, Patience
from server.kernel.ids import PLATFORM_TENANT_ID
from tests.databases import Scratch
from tests.jobs.working import NOT_FOR_EVER, QUICK, STATUS, Done, ask, until, working


async def test_a_job_is_done_once_what_asked_for_it_is_committed(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    done = Done()
    async with working(scratch, {"wait": done}):
        async with asking.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await enqueue(tx, "wait", b"first")
            await ask(asking, payload=b"second")
            assert (await done.next()).payload == b"second"

        assert (await done.next()).payload == b"first"
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)
    assert done.runs.empty()
    assert await admin.fetchval("SELECT count(*) FROM jobs.runs") == 0


async def test_what_is_rolled_back_is_not_done(scratch: Scratch, asking: Database) -> None:
    done = Done()

    async def fail() -> None:
        async with asking.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await enqueue(tx, "wait", b"never")
            raise ZeroDivisionError

    async with working(scratch, {"wait": done}):
        with pytest.raises(ZeroDivisionError):
            await fail()
        await ask(asking, payload=b"later")

        assert (await done.next()).payload == b"later"
    assert done.runs.empty()


async def test_of_jobs_with_one_key_there_is_one_at_a_time(scratch: Scratch, asking: Database) -> None:
    done = Done()

    assert [await ask(asking, key="k"), await ask(asking, key="k"), await ask(asking, key="l")] == [
        True,
        False,
        True,
    ]
    async with working(scratch, {"wait": done}):
        await done.next()
        await done.next()
    assert done.runs.empty()


async def test_a_job_that_fails_is_done_again_until_it_does_not(scratch: Scratch, asking: Database, admin: Any) -> None:
    done = Done(failures=2)
    async with working(scratch, {"wait": done}):
        await ask(asking)

        assert [(await done.next()).attempts for _ in range(3)] == [1, 2, 3]
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)


async def test_a_job_that_always_fails_is_put_aside_and_kept(scratch: Scratch, asking: Database, admin: Any) -> None:
    done = Done(failures=QUICK.most_failures)
    async with working(scratch, {"wait": done}):
        await ask(asking, payload=b"poison")

        assert [(await done.next()).attempts for _ in range(QUICK.most_failures)] == list(
            range(1, QUICK.most_failures + 1)
        )
        await until(admin, STATUS, "failed")
    assert done.runs.empty()
    assert await admin.fetchval("SELECT payload FROM jobs.pgqueuer") == b"poison"


async def test_a_job_whose_work_was_cancelled_by_others_has_failed(scratch: Scratch, asking: Database) -> None:
    attempts: asyncio.Queue[int] = asyncio.Queue()

    async def wait(run: Run) -> None:
        attempts.put_nowait(run.attempts)
        if run.attempts == 1:
            raise asyncio.CancelledError

    async with working(scratch, {"wait": wait}):
        await ask(asking)

        async with asyncio.timeout(NOT_FOR_EVER):
            assert [await attempts.get(), await attempts.get()] == [1, 2]


def test_a_job_that_fails_is_tried_for_longer_than_an_hour() -> None:
    patience = Patience()

    delays = [patience.delay(failures).total_seconds() for failures in range(1, patience.most_failures)]

    assert 1 <= delays[0] < 2
    assert max(delays) < 20 * 60
    assert sum(delays) > 90 * 60


async def test_a_job_waits_for_its_time(scratch: Scratch, asking: Database) -> None:
    done = Done()
    async with working(scratch, {"wait": done}):
        asked = monotonic()
        await ask(asking, delay=timedelta(seconds=0.5))

        await done.next()

    assert monotonic() - asked >= 0.5


async def test_what_is_scheduled_is_done_once_however_many_work(scratch: Scratch, admin: Any) -> None:
    done = Done()
    schedule = (Cron("wait", "* * * * *"),)
    async with working(scratch, {"wait": done}, schedule), working(scratch, {"wait": done}, schedule):
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer_schedules", 1)
        await admin.execute("UPDATE jobs.pgqueuer_schedules SET next_run = now()")

        await done.next()
        await until(admin, "SELECT status::text FROM jobs.pgqueuer_schedules", "queued")
    assert done.runs.qsize() <= 1  # where the minute turned meanwhile, it was due again


async def test_a_run_that_finishes_with_its_effect_is_over_and_another_is_not_let(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    overtaken: asyncio.Queue[bool] = asyncio.Queue()

    async def finish(run: Run) -> None:
        async with asking.global_tx() as tx:
            await run.finish(tx)
        try:
            async with asking.global_tx() as tx:
                await run.finish(tx)
        except Overtaken:
            overtaken.put_nowait(True)  # noqa: FBT003

    async with working(scratch, {"wait": finish}):
        await ask(asking)
        async with asyncio.timeout(NOT_FOR_EVER):
            assert await overtaken.get()
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 0
    assert await admin.fetchval("SELECT count(*) FROM jobs.runs") == 0
