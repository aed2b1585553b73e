"""Jobs that were put aside are told of, kept for a while, and done anew when somebody says so."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from server.db.database import Database
from server.db.removal import BATCH
from server.jobs.aside import put_aside, retry
from server.jobs.queue import prune
from server.jobs.runs import Run
from tests.databases import Scratch
from tests.jobs.working import QUICK, STATUS, Done, ask, until, working
from tests.processes import atrium, environment


async def test_a_job_that_was_put_aside_is_listed_with_what_it_failed_with_and_done_anew(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    done = Done(failures=QUICK.most_failures)
    async with working(scratch, {"wait": done}):
        await ask(asking, key="item/1")
        await until(admin, STATUS, "failed")
    (job,) = await put_aside(asking)
    assert (job.entrypoint, job.key, job.error) == ("wait", "item/1", "ZeroDivisionError")

    assert await retry(asking, [job.id]) == [job.id]

    done = Done()
    async with working(scratch, {"wait": done}):
        assert (await done.next()).attempts == 1
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)


async def test_of_jobs_with_one_key_one_is_done_anew_and_none_beside_another(asking: Database, admin: Any) -> None:
    for _ in range(2):
        await ask(asking, key="item/1")
        await admin.execute("UPDATE jobs.pgqueuer SET status = 'failed'")
    await ask(asking, key="item/2")
    await admin.execute("UPDATE jobs.pgqueuer SET status = 'failed' WHERE status = 'queued'")
    await ask(asking, key="item/2")

    await retry(asking)

    rows = await admin.fetch("SELECT dedupe_key, status FROM jobs.pgqueuer ORDER BY 1, 2")
    assert [tuple(row) for row in rows] == [
        ("item/1", "queued"),
        ("item/1", "failed"),
        ("item/2", "queued"),
        ("item/2", "failed"),
    ]


async def test_an_operator_lists_them_and_has_them_done_anew(scratch: Scratch, asking: Database, admin: Any) -> None:
    await ask(asking, key="item/1")
    await ask(asking)
    await admin.execute("UPDATE jobs.pgqueuer SET status = 'failed'")
    first, second = await admin.fetchval("SELECT array_agg(id ORDER BY id) FROM jobs.pgqueuer")

    async with atrium(environment(scratch), "jobs", "failed") as process:
        await process.line(rf"^{first}  \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC  wait \(item/1\)  no end$")
        await process.line(rf"^{second}  .* UTC  wait  no end$")
        assert await process.end() == 0
    async with atrium(environment(scratch), "jobs", "retry", str(first)) as process:
        await process.line("^1 job is done anew.$")
        assert await process.end() == 0

    statuses = dict(await admin.fetch("SELECT id, status::text FROM jobs.pgqueuer"))
    assert statuses == {first: "queued", second: "failed"}


async def test_runs_are_counted_by_how_they_ended(scratch: Scratch, asking: Database, admin: Any) -> None:
    registry, done = CollectorRegistry(), Done()

    async def fail(_: Run) -> None:
        raise ZeroDivisionError

    async with working(scratch, {"wait": done, "fail": fail}, registry=registry):
        await ask(asking)
        await ask(asking, "fail")
        await until(admin, STATUS, "failed")

    def counted(entrypoint: str, outcome: str) -> float | None:
        return registry.get_sample_value("atrium_jobs_total", {"entrypoint": entrypoint, "outcome": outcome})

    assert counted("wait", "done") == 1
    assert (counted("fail", "failed"), counted("fail", "put_aside")) == (QUICK.most_failures - 1, 1)


async def test_what_was_noted_of_jobs_is_forgotten_in_time(asking: Database, admin: Any) -> None:
    for key in ("failed long ago", "failed", "queued long ago"):
        await ask(asking, key=key)
    await admin.execute("""
        UPDATE jobs.pgqueuer SET status = 'failed' WHERE dedupe_key LIKE 'failed%';
        UPDATE jobs.pgqueuer SET updated = now() - interval '31 days' WHERE dedupe_key LIKE '%long ago';
        UPDATE jobs.pgqueuer_log SET created = now() - interval '8 days'
        WHERE job_id = (SELECT min(id) FROM jobs.pgqueuer);
        INSERT INTO jobs.runs (job_id, attempts, run_token, begun_at)
        SELECT id, 1, gen_random_uuid(), now() - interval '8 days' FROM jobs.pgqueuer WHERE status = 'queued'
        UNION ALL VALUES (-1, 1, gen_random_uuid(), now() - interval '8 days'), (-2, 1, gen_random_uuid(), now())
    """)

    await prune(asking)

    keys = await admin.fetchval("SELECT array_agg(dedupe_key ORDER BY id) FROM jobs.pgqueuer")
    assert keys == ["failed", "queued long ago"]
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer_log") == 2
    (waiting,) = await admin.fetchval("SELECT array_agg(id) FROM jobs.pgqueuer WHERE status = 'queued'")
    assert await admin.fetchval("SELECT array_agg(job_id ORDER BY job_id) FROM jobs.runs") == [-2, waiting]


async def test_no_statement_forgets_more_than_a_batch(asking: Database, admin: Any) -> None:
    await admin.execute("""
        INSERT INTO jobs.pgqueuer_log (job_id, status, priority, entrypoint, created)
        SELECT n, 'successful', 0, 'wait', now() - interval '8 days' FROM generate_series(1, 2500) AS n;
        CREATE TABLE batches (removed bigint);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            INSERT INTO public.batches SELECT count(*) FROM gone;
            RETURN NULL;
        END $$;
        CREATE TRIGGER note AFTER DELETE ON jobs.pgqueuer_log REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION note()
    """)

    await prune(asking)

    assert await admin.fetchval("SELECT array_agg(removed) FROM batches") == [BATCH, BATCH, 500]
