"""Jobs: done once what asked for them is committed, and done again by others where a worker fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest

from server.db.bootstrap import bootstrap
from server.db.database import Database
from server.db.migrate import up
from server.embedded.postgres import embedded_postgres
from server.jobs.queue import enqueue, waking
from server.jobs.reconcile import Due, reconcile
from server.jobs.runs import Overtaken, Run
from server.jobs.worker import MOST_ATTEMPTS, Cron, Handler, Worker
from server.kernel.errors import DatabaseUnavailable
from server.kernel.ids import PLATFORM_TENANT_ID
from tests.databases import Scratch

NOT_FOR_EVER = 40.0
"""A dead worker's job is another's after its heartbeat and a sleep: seventeen seconds at most."""

STATUS = "SELECT status::text FROM jobs.pgqueuer"


@asynccontextmanager
async def working(
    scratch: Scratch, handlers: Mapping[str, Handler], schedule: tuple[Cron, ...] = ()
) -> AsyncIterator[Worker]:
    """A worker in this process."""
    settings = scratch.settings(pool_size=3)
    async with Database.open(settings) as database:
        worker = Worker(settings, database, handlers, schedule, first_delay=0.01)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task


@pytest.fixture
async def asking(scratch: Scratch, database: Database) -> AsyncIterator[Database]:
    """A database whose jobs wake the workers."""
    async with waking(scratch.settings(), database):
        yield database


async def _ask(database: Database, name: str = "wait", **options: Any) -> bool:
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        return await enqueue(tx, name, **options)


async def _until(admin: Any, query: str, wanted: Any) -> None:
    async with asyncio.timeout(NOT_FOR_EVER):
        while await admin.fetchval(query) != wanted:  # noqa: ASYNC110 - what it waits for is in the database
            await asyncio.sleep(0.01)


class Done:
    """A handler that notes its runs, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.runs: asyncio.Queue[Run] = asyncio.Queue()
        self._failures = failures

    async def __call__(self, run: Run) -> None:
        self.runs.put_nowait(run)
        if run.attempts <= self._failures:
            raise ZeroDivisionError

    async def next(self) -> Run:
        async with asyncio.timeout(NOT_FOR_EVER):
            return await self.runs.get()


async def test_a_job_is_done_once_what_asked_for_it_is_committed(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    done = Done()
    async with working(scratch, {"wait": done}):
        async with asking.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await enqueue(tx, "wait", b"first")
            await _ask(asking, payload=b"second")
            assert (await done.next()).payload == b"second"

        assert (await done.next()).payload == b"first"
        await _until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)
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
        await _ask(asking, payload=b"later")

        assert (await done.next()).payload == b"later"
    assert done.runs.empty()


async def test_of_jobs_with_one_key_there_is_one_at_a_time(scratch: Scratch, asking: Database) -> None:
    done = Done()

    assert [await _ask(asking, key="k"), await _ask(asking, key="k"), await _ask(asking, key="l")] == [
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
        await _ask(asking)

        assert [(await done.next()).attempts for _ in range(3)] == [1, 2, 3]
        await _until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)


async def test_a_job_that_always_fails_is_put_aside_and_kept(scratch: Scratch, asking: Database, admin: Any) -> None:
    done = Done(failures=MOST_ATTEMPTS + 1)
    async with working(scratch, {"wait": done}):
        await _ask(asking, payload=b"poison")

        assert [(await done.next()).attempts for _ in range(MOST_ATTEMPTS)] == list(range(1, MOST_ATTEMPTS + 1))
        await _until(admin, STATUS, "failed")
    assert done.runs.empty()
    assert await admin.fetchval("SELECT payload FROM jobs.pgqueuer") == b"poison"


async def test_a_job_waits_for_its_time(scratch: Scratch, asking: Database) -> None:
    done = Done()
    async with working(scratch, {"wait": done}):
        asked = monotonic()
        await _ask(asking, delay=timedelta(seconds=0.5))

        await done.next()

    assert monotonic() - asked >= 0.5


async def test_what_is_scheduled_is_done_once_however_many_work(scratch: Scratch, admin: Any) -> None:
    done = Done()
    schedule = (Cron("wait", "* * * * *"),)
    async with working(scratch, {"wait": done}, schedule), working(scratch, {"wait": done}, schedule):
        await _until(admin, "SELECT count(*) FROM jobs.pgqueuer_schedules", 1)
        await admin.execute("UPDATE jobs.pgqueuer_schedules SET next_run = now()")

        await done.next()
        await _until(admin, "SELECT status::text FROM jobs.pgqueuer_schedules", "queued")
    assert done.runs.qsize() <= 1  # where the minute turned meanwhile, it was due again


async def test_a_worker_that_lost_its_connection_works_on(scratch: Scratch, asking: Database, admin: Any) -> None:
    done = Done()
    async with working(scratch, {"wait": done}):
        for _ in range(2):
            await _ask(asking)
            await done.next()
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name IN ('atrium worker', 'atrium waking') AND datname = current_database()"
            )
        began = monotonic()
        await _ask(asking)
        await done.next()

    assert monotonic() - began < 10


async def test_an_idle_worker_is_woken_at_once(scratch: Scratch, asking: Database, admin: Any) -> None:
    done = Done()
    async with working(scratch, {"wait": done}):
        await _ask(asking)
        await done.next()
        await _until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)
        took = []
        for _ in range(5):
            began = monotonic()
            await _ask(asking)
            await done.next()
            took.append(monotonic() - began)

    assert min(took) < 1  # it sleeps for five seconds where nobody wakes it


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
        await _ask(asking)
        async with asyncio.timeout(NOT_FOR_EVER):
            assert await overtaken.get()
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 0
    assert await admin.fetchval("SELECT count(*) FROM jobs.runs") == 0


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


@pytest.fixture
def own() -> Iterator[Scratch]:
    """A database on a server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="atrium-crash-") as folder, embedded_postgres(Path(folder) / "pg") as dsn:
        asyncio.run(_prepare(dsn))
        yield Scratch(dsn)


async def _prepare(dsn: str) -> None:
    await bootstrap(dsn)
    await up(dsn)


async def test_a_worker_outlives_a_crash_of_the_database(own: Scratch) -> None:
    done = Done()
    async with (
        Database.open(own.settings()) as asking,
        waking(own.settings(), asking),
        working(own, {"wait": done}),
    ):
        await _ask(asking)
        await done.next()

        connection: Any = await asyncpg.connect(own.admin_url)
        # Of a backend that is killed the server cannot know what it left in memory: it ends all and starts anew.
        os.kill(await connection.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
        connection.terminate()  # nobody is there to say goodbye to

        async with asyncio.timeout(NOT_FOR_EVER):
            while not await _asked(asking):  # noqa: ASYNC110 - what it waits for is another process
                await asyncio.sleep(0.05)
        await done.next()


async def _asked(database: Database) -> bool:
    """The pool finds its connections dead one by one."""
    try:
        return await _ask(database)
    except DatabaseUnavailable:
        return False


class Member:
    """A worker in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(NOT_FOR_EVER):
            return (await self._process.stdout.readline()).decode().strip()

    def answer(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        async with asyncio.timeout(NOT_FOR_EVER):
            return await self._process.wait()


@asynccontextmanager
async def crew(scratch: Scratch) -> AsyncIterator[Member]:
    urls = json.dumps({"database_url": scratch.url})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.jobs.crew", urls),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    try:
        yield Member(process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()


async def test_a_killed_workers_job_is_taken_over(scratch: Scratch, asking: Database, admin: Any) -> None:
    async with crew(scratch) as first, crew(scratch) as second:
        await _ask(asking)
        # Whichever of them has it.
        told = {asyncio.create_task(member.says()): member for member in (first, second)}
        done, waiting = await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED, timeout=NOT_FOR_EVER)
        (one,) = done
        (other,) = waiting
        assert one.result() == "began 1"

        told[one].signal(signal.SIGKILL)

        assert await other == "began 2"
        told[other].answer()
        assert await told[other].says() == "ended"
        await _until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)


async def test_a_stopped_worker_is_overtaken_and_what_it_ends_late_is_discarded(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    async with crew(scratch) as first:
        await _ask(asking)
        assert await first.says() == "began 1"
        first.signal(signal.SIGSTOP)
        async with crew(scratch) as second:
            assert await second.says() == "began 2"

            first.signal(signal.SIGCONT)
            first.answer()
            assert await first.says() == "ended"
            # The engine writes ends in batches, after a tenth of a second; the job must still be the second's then.
            await asyncio.sleep(1)
            assert await admin.fetchval(STATUS) == "picked"

            second.answer()
            assert await second.says() == "ended"
            await _until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)


async def test_a_job_that_kills_its_workers_is_put_aside(scratch: Scratch, asking: Database, admin: Any) -> None:
    await _ask(asking, "die")
    for attempt in range(1, MOST_ATTEMPTS + 1):
        async with crew(scratch) as member:
            assert await member.ended() == 9
            assert await admin.fetchval("SELECT attempts FROM jobs.runs") == attempt
        # Its heartbeat is long past, as it would be in time.
        await admin.execute("UPDATE jobs.pgqueuer SET heartbeat = now() - interval '1 minute'")

    async with crew(scratch):
        await _until(admin, STATUS, "failed")
