"""Jobs that should be there and are not are asked for again; those that were put aside are not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from server.db.database import Database
from server.jobs.reconcile import Due, reconcile
from tests.databases import Scratch
from tests.jobs.working import STATUS, Done, ask, until, working


async def test_a_job_that_was_lost_is_asked_for_again_and_one_that_is_there_is_not(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    async def claims() -> AsyncIterator[Due]:
        for number in range(3):
            yield Due("wait", str(number).encode(), f"item/{number}")

    assert await reconcile(asking, [claims]) == 3
    await admin.execute("DELETE FROM jobs.pgqueuer WHERE payload = '1'")
    assert await reconcile(asking, [claims]) == 1

    done = Done()
    async with working(scratch, {"wait": done}):
        assert {(await done.next()).payload for _ in range(3)} == {b"0", b"1", b"2"}


async def test_a_job_that_was_put_aside_is_not_asked_for_again(scratch: Scratch, asking: Database, admin: Any) -> None:
    async def claims() -> AsyncIterator[Due]:
        yield Due("wait", b"poison", "item/1")
        yield Due("wait", b"good", "item/2")

    await ask(asking, payload=b"poison", key="item/1")
    await admin.execute("UPDATE jobs.pgqueuer SET status = 'failed'")

    assert await reconcile(asking, [claims]) == 1

    done = Done()
    async with working(scratch, {"wait": done}):
        assert (await done.next()).payload == b"good"
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer WHERE status <> 'failed'", 0)
    assert await admin.fetchval(STATUS) == "failed"
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 1
