"""Jobs of tenants: none has more than its share of the workers, and none is lost, done twice or kept from its turn."""

from __future__ import annotations

import asyncio
import signal
from typing import Any
from uuid import UUID

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.jobs.aside import put_aside, retry
from server.jobs.backlog import ADMIT, TenantRun
from server.jobs.runs import Overtaken
from server.jobs.worker import Patience
from server.tenant.purge import TenantPurge
from tests.databases import Scratch
from tests.jobs.theirs import LEFT, SLOTS, Theirs, add, backlog, handlers
from tests.jobs.working import NOT_FOR_EVER, QUICK, Done, ask, crew, until, working

SLOW = Patience(most_failures=4, first_seconds=3600, most_seconds=3600)


async def test_a_tenant_has_its_share_of_the_workers_and_another_tenant_the_next_turn(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for number in range(8):
        await add(asking, tenants[0], number, share=3)
    await add(asking, tenants[1], 0, share=3)
    theirs = Theirs(shut=True)

    async with working(scratch, handlers(asking, theirs, share=3)):
        begun = [await theirs.next() for _ in range(4)]
        assert sorted(begun) == sorted([(tenants[0], 0), (tenants[0], 1), (tenants[0], 2), (tenants[1], 0)])
        assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 4  # the others are in nobody's way
        theirs.open.set()
        rest = [await theirs.next() for _ in range(5)]
        await until(admin, LEFT, 0)

    assert sorted(rest) == [(tenants[0], number) for number in range(3, 8)]
    assert theirs.begun.empty()
    assert await admin.fetchval(SLOTS) == 0
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 0


async def test_fifty_who_add_at_once_admit_as_many_as_the_share(
    asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    await asyncio.gather(*(add(asking, tenants[number % 2], number, share=5) for number in range(50)))

    rows = await admin.fetch("SELECT admitted FROM tenant_slots")
    admitted = await admin.fetch("SELECT count(*) FROM tenant_jobs WHERE status = 'admitted' GROUP BY tenant_id")
    assert [row[0] for row in rows] == [row[0] for row in admitted] == [5, 5]
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 10
    assert await admin.fetchval(LEFT) == 50


async def test_what_is_rolled_back_takes_no_slot(asking: Database, admin: Any, tenants: tuple[UUID, UUID]) -> None:
    try:
        async with asking.tenant_tx(tenants[0]) as tx:
            await backlog().add(tx, "theirs", {})
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass

    assert await admin.fetchval(LEFT) == 0
    assert await admin.fetchval(SLOTS) is None
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 0


async def test_a_job_that_waits_to_be_tried_again_holds_up_no_other(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for number in range(3):
        await add(asking, tenants[0], number, share=1)
    theirs = Theirs(failures=1)

    async with working(scratch, handlers(asking, theirs, share=1, patience=SLOW)):
        assert [await theirs.next() for _ in range(3)] == [(tenants[0], number) for number in range(3)]
        await until(admin, "SELECT count(*) FROM tenant_jobs WHERE status = 'ready' AND failed_runs = 1", 3)

    assert await admin.fetchval(SLOTS) == 0
    assert await admin.fetchval("SELECT min(not_before) > now() + interval '59 minutes' FROM tenant_jobs")


async def test_a_job_that_fails_is_done_again_until_it_does_not(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    theirs = Theirs(failures=2)

    async with working(scratch, handlers(asking, theirs, share=1)):
        await add(asking, tenants[0], 7, share=1)
        assert [await theirs.next() for _ in range(3)] == [(tenants[0], 7)] * 3
        await until(admin, LEFT, 0)
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)

    assert await admin.fetchval(SLOTS) == 0


async def test_jobs_that_failed_and_are_due_together_are_looked_for_once(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for number in range(20):
        await add(asking, tenants[0], number)

    async with working(scratch, handlers(asking, Theirs(failures=1), patience=SLOW)):
        await until(admin, "SELECT count(*) FROM tenant_jobs WHERE failed_runs = 1", 20)

    looks = await admin.fetch("SELECT entrypoint, execute_after FROM jobs.pgqueuer ORDER BY execute_after")
    last = await admin.fetchval("SELECT max(not_before) FROM tenant_jobs")
    # A quarter of what they wait is by chance, and so they are due within a quarter of an hour.
    assert {look["entrypoint"] for look in looks} == {ADMIT}
    assert len({look["execute_after"] for look in looks}) == len(looks)
    assert last <= looks[-1]["execute_after"]


async def test_what_a_failure_says_is_not_kept(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    async def fail(_: TenantRun) -> None:
        raise ZeroDivisionError("ada@example.com")

    async with working(scratch, handlers(asking, fail)):
        await add(asking, tenants[0], 7)
        await until(admin, "SELECT status FROM tenant_jobs", "aside")

    rows = [
        str(dict(row))
        for table in ("pgqueuer", "pgqueuer_log")
        for row in await admin.fetch(f"SELECT * FROM jobs.{table}")
    ]
    assert "ZeroDivisionError" in "".join(rows)
    assert "ada@example.com" not in "".join(rows)


async def test_of_a_kind_no_more_run_at_once_than_may(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for number in range(4):
        await add(asking, tenants[number % 2], number)
    theirs, others = Theirs(shut=True), Done()

    async with working(scratch, {**handlers(asking, theirs), "wait": others}, most={"theirs": 2}):
        for _ in range(2):
            await theirs.next()
        await ask(asking)
        await others.next()  # however long those take
        assert theirs.begun.empty()
        theirs.open.set()
        for _ in range(2):
            await theirs.next()
        await until(admin, LEFT, 0)


async def test_a_job_that_always_fails_is_put_aside_gives_its_slot_away_and_is_done_anew_when_it_is_asked_for(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    theirs = Theirs(failures=QUICK.most_failures + 1)

    async with working(scratch, handlers(asking, theirs, share=1)):
        await add(asking, tenants[0], 7, share=1)
        for _ in range(QUICK.most_failures):
            await theirs.next()
        await until(admin, "SELECT status::text FROM jobs.pgqueuer WHERE dedupe_key IS NOT NULL", "failed")
        (aside,) = await put_aside(asking)
        assert await admin.fetchval("SELECT status FROM tenant_jobs") == "aside"
        assert await admin.fetchval(SLOTS) == 0

        assert await retry(asking, [aside.id]) == [aside.id]
        assert [await theirs.next() for _ in range(2)] == [(tenants[0], 7)] * 2
        await until(admin, LEFT, 0)

    assert aside.key is not None
    assert aside.key.startswith(f"{tenants[0]}/")
    assert aside.error == "ZeroDivisionError"
    assert await admin.fetchval(SLOTS) == 0


async def test_a_killed_workers_job_is_taken_over_and_its_slot_is_the_next_ones_then(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    for number in (1, 2):
        await add(asking, tenants[0], number, share=1)
    async with crew(scratch) as first, crew(scratch) as second:
        told = {asyncio.create_task(member.says()): member for member in (first, second)}
        (one,), (other,) = await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED, timeout=NOT_FOR_EVER)
        told[one].signal(signal.SIGKILL)

        assert [one.result(), await other] == ["began 1 of a tenant"] * 2
        assert await admin.fetchval(SLOTS) == 1
        told[other].answer()
        assert await told[other].says() == "began 2 of a tenant"
        told[other].answer()
        await until(admin, LEFT, 0)

    assert await admin.fetchval(SLOTS) == 0


async def test_who_was_overtaken_neither_ends_the_job_nor_frees_its_slot(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    counts: list[tuple[int, int]] = []
    overtaken = asyncio.Event()

    async def overtaken_once(run: TenantRun) -> None:
        async with asking.tenant_tx(run.tenant_id) as tx:
            ((left,), (slots,)) = [*await tx.run(LEFT), *await tx.run(SLOTS)]
            counts.append((left, slots))
            if not overtaken.is_set():
                await tx.run("UPDATE jobs.runs SET run_token = gen_random_uuid()")
        try:
            async with asking.tenant_tx(run.tenant_id) as tx:
                await run.finish(tx)
        except Overtaken:
            overtaken.set()
            raise

    async with working(scratch, handlers(asking, overtaken_once)):
        await add(asking, tenants[0], 7)
        await asyncio.wait_for(overtaken.wait(), NOT_FOR_EVER)
        await admin.execute("UPDATE jobs.pgqueuer SET status = 'queued', queue_manager_id = NULL")
        await until(admin, LEFT, 0)

    assert counts == [(1, 1), (1, 1)]
    assert await admin.fetchval(SLOTS) == 0


async def test_a_job_whose_end_is_part_of_its_effect_fails_with_it(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    names = iter(["first", "second"])

    async def rename(run: TenantRun) -> None:
        async with asking.tenant_tx(run.tenant_id) as tx:
            name = next(names)
            await tx.run("UPDATE tenants SET name = $1", name)
            await run.finish(tx)
            if name == "first":
                raise ZeroDivisionError

    async with working(scratch, handlers(asking, rename)):
        await add(asking, tenants[0], 7)
        await until(admin, LEFT, 0)

    assert await admin.fetchval("SELECT name FROM tenants WHERE id = $1", tenants[0]) == "second"
    assert await admin.fetchval(SLOTS) == 0


async def test_a_tenant_is_purged_while_its_jobs_are_done(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    gone, _ = tenants
    async with asking.tenant_tx(gone) as tx:
        for number in range(500):
            await backlog().add(tx, "theirs", {"number": number})
    theirs = Theirs()
    purge = TenantPurge(asking, scratch.admin_url, AuditLog(asking))
    await admin.execute("UPDATE tenants SET status = 'deleted', deleted_at = now() WHERE id = $1", gone)

    async with working(scratch, handlers(asking, theirs)):
        for _ in range(20):
            await theirs.next()
        await purge(gone)
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)

    assert await admin.fetchval("SELECT count(*) FROM tenants WHERE id = $1", gone) == 0
    assert await admin.fetchval(LEFT) == 0


async def test_the_job_of_a_tenant_that_is_gone_ends_without_a_word(
    scratch: Scratch, asking: Database, admin: Any, tenants: tuple[UUID, UUID]
) -> None:
    await add(asking, tenants[0], 1)
    for table in ("tenant_jobs", "tenant_slots"):
        await admin.execute(f"DELETE FROM {table}")
    await admin.execute("DELETE FROM tenants WHERE id = $1", tenants[0])
    await add(asking, tenants[1], 2)
    theirs = Theirs()

    async with working(scratch, handlers(asking, theirs)):
        assert await theirs.next() == (tenants[1], 2)
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)

    assert theirs.begun.empty()
