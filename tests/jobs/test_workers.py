"""Workers that lose their connection, their database or their life: the jobs are done nevertheless."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from server.db.bootstrap import bootstrap
from server.db.database import Database
from server.db.migrate import up
from server.embedded.postgres import embedded_postgres
from server.jobs import worker as module
from server.jobs.queue import waking
from server.jobs.runs import Run
from server.jobs.worker import MOST_LOST, Worker
from server.kernel.errors import DatabaseUnavailable
from tests.databases import Scratch, in_memory
from tests.jobs.working import NOT_FOR_EVER, STATUS, TAKEN_OVER_SECONDS, Done, ask, crew, until, working
from tests.pauses import noted_pauses

_BACKENDS = "FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"


class Endless:
    """A handler that notes its runs, and goes on until it is told to end."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self._runs: asyncio.Queue[Run] = asyncio.Queue()

    async def __call__(self, run: Run) -> None:
        self._runs.put_nowait(run)
        await self.end.wait()

    async def begun(self) -> int:
        """The attempts of the next run."""
        async with asyncio.timeout(NOT_FOR_EVER):
            return (await self._runs.get()).attempts


async def test_a_worker_that_lost_its_connection_works_on(scratch: Scratch, asking: Database, admin: Any) -> None:
    done = Done()
    async with working(scratch, {"wait": done}):
        for _ in range(2):
            await ask(asking)
            await done.next()
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name IN ('atrium worker', 'atrium waking') AND datname = current_database()"
            )
        began = monotonic()
        await ask(asking)
        await done.next()

    assert monotonic() - began < 10


async def test_a_worker_that_loses_its_connection_leaves_its_long_job_and_works_on(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    done, long = Done(), Endless()
    async with working(scratch, {"wait": done, "long": long}) as worker:
        await ask(asking, "long")
        assert await long.begun() == 1
        await admin.execute(f"SELECT pg_terminate_backend(pid) {_BACKENDS}", "atrium worker")

        await ask(asking)
        await done.next()
        assert await long.begun() == 1, "begun anew, and the run that was cut short does not count"
        worker.stop()
        long.end.set()
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 0


async def test_a_worker_whose_connection_falls_silent_works_on_over_another(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    done, long = Done(), Endless()
    async with working(scratch, {"wait": done, "long": long}):
        await ask(asking, "long")
        await long.begun()
        silent = await admin.fetchval(f"SELECT pid {_BACKENDS}", "atrium worker")
        os.kill(silent, signal.SIGSTOP)
        try:
            await ask(asking)

            await done.next()
        finally:
            os.kill(silent, signal.SIGCONT)
            long.end.set()


async def test_a_long_job_outlives_any_number_of_workers_that_are_stopped(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    long = Endless()
    await ask(asking, "long")
    for _ in range(MOST_LOST + 1):
        async with Database.open(scratch.settings(pool_size=2)) as database:
            worker = Worker(scratch.settings(), database, {"long": long})
            task = asyncio.create_task(worker.run())
            assert await long.begun() == 1
            worker.stop()

            task.cancel()  # its grace period is over
            await asyncio.wait([task])
        assert await admin.fetchval(STATUS) == "queued"


async def test_a_worker_that_is_cancelled_without_a_word_leaves_its_jobs_to_others(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    long = Endless()
    await ask(asking, "long")
    async with Database.open(scratch.settings(pool_size=2)) as database:
        task = asyncio.create_task(Worker(scratch.settings(), database, {"long": long}).run())
        await long.begun()

        task.cancel()
        async with asyncio.timeout(NOT_FOR_EVER):
            await asyncio.wait([task])

    assert await admin.fetchval(STATUS) == "queued"


async def test_a_worker_that_is_stopped_finishes_what_runs(scratch: Scratch, asking: Database, admin: Any) -> None:
    long = Endless()
    await ask(asking, "long")
    async with working(scratch, {"long": long}) as worker:
        await long.begun()

        worker.stop()
        long.end.set()

    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 0


class Refusing:
    """A connection that was let in, and may do nothing."""

    def add_termination_listener(self, _: object) -> None:
        pass

    def terminate(self) -> None:
        pass

    async def add_listener(self, *_: object) -> None:
        raise asyncpg.InsufficientPrivilegeError

    fetch = execute = add_listener


async def test_a_server_that_lets_a_worker_in_and_no_further_is_tried_less_and_less_often(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses, tries, often = noted_pauses(monkeypatch), 0, asyncio.Event()

    async def connect(_: object) -> Refusing:
        nonlocal tries
        tries += 1
        if tries > 8:
            often.set()
        return Refusing()

    monkeypatch.setattr(module, "connect", connect)
    with capture_logs() as logs:
        async with working(scratch, {"wait": Done()}), asyncio.timeout(NOT_FOR_EVER):
            await often.wait()

    assert pauses[0] <= 0.1
    assert pauses[7] >= 2.5
    assert {entry["event"] for entry in logs} == {"working interrupted"}


async def test_a_worker_listens_over_the_address_for_listening(scratch: Scratch, admin: Any) -> None:
    settings = scratch.settings(listen_database_url=scratch.owner_url)
    async with Database.open(settings) as database:
        worker = Worker(settings, database, {})
        task = asyncio.create_task(worker.run())

        await until(admin, f"SELECT min(usename) {_BACKENDS.replace('$1', repr('atrium worker'))}", "atrium_owner")

        worker.stop()
        await task


@pytest.fixture
def own() -> Iterator[Scratch]:
    """A database on a server of the test's own."""
    with (
        tempfile.TemporaryDirectory(prefix="atrium-crash-", dir=in_memory()) as folder,
        embedded_postgres(Path(folder) / "pg") as dsn,
    ):
        asyncio.run(_prepare(dsn))
        yield Scratch(dsn)


async def _prepare(dsn: str) -> None:
    await bootstrap(dsn)
    await up(dsn)


async def test_a_worker_outlives_a_crash_of_the_database(own: Scratch) -> None:
    done, long = Done(), Endless()
    async with (
        Database.open(own.settings()) as asking,
        waking(own.settings(), asking),
        working(own, {"wait": done, "long": long}),
    ):
        await ask(asking)
        await done.next()
        await ask(asking, "long")
        await long.begun()

        connection: Any = await asyncpg.connect(own.admin_url)
        # Of a backend that is killed the server cannot know what it left in memory: it ends all and starts anew.
        os.kill(await connection.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
        connection.terminate()  # nobody is there to say goodbye to

        async with asyncio.timeout(NOT_FOR_EVER):
            while not await _asked(asking):  # noqa: ASYNC110 - what it waits for is another process
                await asyncio.sleep(0.05)
        await done.next()
        assert await long.begun() == 1, "what ran is begun anew"
        long.end.set()


async def _asked(database: Database) -> bool:
    """The pool finds its connections dead one by one."""
    try:
        return await ask(database)
    except DatabaseUnavailable:
        return False


async def test_a_killed_workers_job_is_taken_over(scratch: Scratch, asking: Database, admin: Any) -> None:
    async with crew(scratch) as first, crew(scratch) as second:
        await ask(asking)
        # Whichever of them has it.
        told = {asyncio.create_task(member.says()): member for member in (first, second)}
        done, waiting = await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED, timeout=NOT_FOR_EVER)
        (one,) = done
        (other,) = waiting
        assert one.result() == "began 1"

        told[one].signal(signal.SIGKILL)
        killed = monotonic()

        assert await other == "began 2"
        assert monotonic() - killed < TAKEN_OVER_SECONDS + 5, "and what a busy machine adds"
        told[other].answer()
        assert await told[other].says() == "ended"
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)


async def test_a_stopped_worker_is_overtaken_and_what_it_ends_late_is_discarded(
    scratch: Scratch, asking: Database, admin: Any
) -> None:
    async with crew(scratch) as first:
        await ask(asking)
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
            await until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)


async def test_a_job_that_kills_its_workers_is_put_aside(scratch: Scratch, asking: Database, admin: Any) -> None:
    await ask(asking, "die")
    for attempt in range(1, MOST_LOST + 1):
        async with crew(scratch) as member:
            assert await member.ended() == 9
            assert await admin.fetchval("SELECT attempts FROM jobs.runs") == attempt
        # Its heartbeat is long past, as it would be in time.
        await admin.execute("UPDATE jobs.pgqueuer SET heartbeat = now() - interval '1 minute'")

    async with crew(scratch):
        await until(admin, STATUS, "failed")
