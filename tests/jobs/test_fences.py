"""Two workers and one job, step by step: only who holds the last run's token may end it, or keep it alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from server.db.database import Database
from server.jobs.line import Line
from server.jobs.queue import CHANNEL, engine
from server.jobs.runs import FencedQueries, Overtaken, Run, begin
from server.jobs.worker import HEARTBEAT
from tests.databases import WAITING, Scratch
from tests.jobs.working import STATUS, ask, until

_ATTEMPTS = "SELECT attempts FROM jobs.runs"


class Hand:
    """What a worker does to the queue, one act at a time."""

    def __init__(self, database: Database, connection: Any) -> None:
        queries = engine(Line(connection), FencedQueries)
        assert isinstance(queries, FencedQueries)
        self.queries = queries
        self.queries.tokens = {}
        self._database = database
        self._id = QueueManagerId(uuid4())

    async def lease(self) -> Job:
        (job,) = await self.queries.dequeue(
            batch_size=10,
            entrypoints={QueueEntrypoint("wait"): EntrypointExecutionParameter(concurrency_limit=0)},
            queue_manager_id=self._id,
            global_concurrency_limit=40,
            heartbeat_timeout=HEARTBEAT,
        )
        return job

    async def begin(self, job: Job) -> Run | None:
        (run,) = await begin(self._database, [job])
        if run is not None:
            self.queries.tokens[run.job_id] = run.token
        return run

    async def take(self) -> tuple[Job, Run]:
        job = await self.lease()
        run = await self.begin(job)
        assert run is not None
        return job, run


@pytest.fixture
async def hands(scratch: Scratch, database: Database) -> AsyncIterator[tuple[Hand, Hand]]:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(scratch.connect(scratch.url)) for _ in range(2)]
        for connection in (first, second):
            await connection.execute("SET lock_timeout = '10s'")
        yield Hand(database, first), Hand(database, second)


@asynccontextmanager
async def locked(scratch: Scratch, table: str) -> AsyncIterator[Any]:
    """Somebody holds on to the table's one row; they let go, and what they did to it stays, as the context ends."""
    async with scratch.connect() as other, other.transaction():
        await other.execute(f"SELECT FROM jobs.{table} FOR UPDATE")
        yield other


async def _silent(admin: Any) -> None:
    """The worker that has the job was not heard of for too long."""
    await admin.execute("UPDATE jobs.pgqueuer SET heartbeat = now() - interval '1 minute'")


async def _left(admin: Any) -> tuple[int, int]:
    return (
        await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer"),
        await admin.fetchval("SELECT count(*) FROM jobs.runs"),
    )


async def test_a_run_that_is_overtaken_while_its_end_is_written_leaves_the_job_to_the_other(
    scratch: Scratch, database: Database, hands: tuple[Hand, Hand], admin: Any
) -> None:
    first, _ = hands
    await ask(database)
    job, _ = await first.take()

    async with locked(scratch, "runs") as other:
        ending = asyncio.create_task(first.queries.log_jobs([(job, "successful", None)]))
        await until(admin, WAITING, 1)
        await other.execute("UPDATE jobs.runs SET run_token = gen_random_uuid(), attempts = attempts + 1")
    await ending

    assert await _left(admin) == (1, 1)


async def test_a_run_that_is_overtaken_while_it_asks_to_be_tried_again_leaves_the_job_to_the_other(
    scratch: Scratch, database: Database, hands: tuple[Hand, Hand], admin: Any
) -> None:
    first, _ = hands
    await ask(database)
    job, _ = await first.take()

    async with locked(scratch, "runs") as other:
        asking = asyncio.create_task(first.queries.retry_job(job, timedelta(), None))
        await until(admin, WAITING, 1)
        await other.execute("UPDATE jobs.runs SET run_token = gen_random_uuid(), attempts = attempts + 1")
    await asking

    assert await admin.fetchval(STATUS) == "picked"


async def test_a_job_that_ends_while_another_begins_it_is_not_done_again(
    database: Database, hands: tuple[Hand, Hand], admin: Any
) -> None:
    first, second = hands
    await ask(database)
    _, run = await first.take()
    await _silent(admin)
    job = await second.lease()

    async with database.global_tx() as tx:
        await run.finish(tx)
        beginning = asyncio.create_task(second.begin(job))
        await until(admin, WAITING, 1)

    assert await beginning is None
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer") == 0


async def test_who_lost_the_lease_before_it_began_does_not_begin(
    database: Database, hands: tuple[Hand, Hand], admin: Any
) -> None:
    first, second = hands
    await ask(database)
    late = await first.lease()
    await _silent(admin)
    _, run = await second.take()

    assert await first.begin(late) is None
    async with database.global_tx() as tx:
        await run.finish(tx)
    assert await _left(admin) == (0, 0)


async def test_an_overtaken_run_does_not_finish(database: Database, hands: tuple[Hand, Hand], admin: Any) -> None:
    first, second = hands
    await ask(database)
    _, old = await first.take()
    await _silent(admin)
    await second.take()

    async def finish() -> None:
        async with database.global_tx() as tx:
            await old.finish(tx)

    with pytest.raises(Overtaken):
        await finish()
    assert await _left(admin) == (1, 1)


async def test_an_overtaken_worker_does_not_keep_the_others_job_alive(
    database: Database, hands: tuple[Hand, Hand], admin: Any
) -> None:
    first, second = hands
    await ask(database)
    job, _ = await first.take()
    await _silent(admin)
    await second.take()
    await _silent(admin)
    quiet = "SELECT heartbeat < now() - interval '30 seconds' FROM jobs.pgqueuer"

    await first.queries.update_heartbeat([job.id])
    assert await admin.fetchval(quiet)
    await second.queries.update_heartbeat([job.id])
    assert not await admin.fetchval(quiet)


async def test_a_heartbeat_does_not_wait_for_a_job_that_is_being_ended(
    scratch: Scratch, database: Database, hands: tuple[Hand, Hand]
) -> None:
    first, _ = hands
    await ask(database)
    job, _ = await first.take()

    async with locked(scratch, "pgqueuer"), asyncio.timeout(20):
        await first.queries.update_heartbeat([job.id])


async def test_an_end_that_could_not_be_written_is_written_later(
    scratch: Scratch, database: Database, hands: tuple[Hand, Hand], admin: Any
) -> None:
    first, _ = hands
    await ask(database)
    job, _ = await first.take()
    await first.queries.driver.execute("SET lock_timeout = '100ms'")
    async with locked(scratch, "pgqueuer"):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await first.queries.log_jobs([(job, "successful", None)])
    assert await _left(admin) == (1, 1)

    await first.queries.log_jobs([(job, "successful", None)])

    assert await _left(admin) == (0, 0)
    assert not first.queries.tokens


async def test_a_job_whose_next_try_could_not_be_written_is_left_to_its_heartbeat_and_not_put_aside(
    scratch: Scratch, database: Database, hands: tuple[Hand, Hand], admin: Any
) -> None:
    first, second = hands
    await ask(database)
    job, _ = await first.take()
    await first.queries.driver.execute("SET lock_timeout = '100ms'")

    async with locked(scratch, "pgqueuer"):
        await first.queries.retry_job(job, timedelta(), None)

    assert await admin.fetchval(STATUS) == "picked"
    await _silent(admin)
    _, run = await second.take()
    assert run.attempts == 2


async def test_a_run_that_its_workers_end_cuts_short_counts_for_nothing(
    database: Database, hands: tuple[Hand, Hand], admin: Any
) -> None:
    first, second = hands
    await ask(database)
    job, _ = await first.take()

    await first.queries.log_jobs([(job, "canceled", None)])

    assert await admin.fetchval(_ATTEMPTS) == 0
    _, run = await second.take()  # at once, with no heartbeat to wait for
    assert run.attempts == 1


async def test_a_worker_that_had_no_place_for_a_job_is_woken_as_another_ends_and_not_again(
    database: Database, hands: tuple[Hand, Hand]
) -> None:
    first, _ = hands
    woken: list[str] = []
    line = first.queries.driver
    assert isinstance(line, Line)
    await line.add_listener("atrium_test", lambda payload: woken.append(str(payload)))
    first.queries.wake = lambda: line.wake("a place is free")
    await ask(database)
    one, _ = await first.take()
    await ask(database)
    other, _ = await first.take()

    assert await first.queries.eligible_queued_work([QueueEntrypoint("wait")]) == 0
    await first.queries.log_jobs([(one, "successful", None)])
    assert woken == []

    await ask(database)
    assert await first.queries.eligible_queued_work([QueueEntrypoint("wait")]) == 1
    await first.queries.log_jobs([(other, "successful", None)])
    assert woken == ["a place is free"]
    third, _ = await first.take()
    await first.queries.log_jobs([(third, "successful", None)])
    assert woken == ["a place is free"]


async def test_what_the_engine_needs_and_is_not_let_look_for_is_there(each_shared: Scratch) -> None:
    async with each_shared.connect(each_shared.url) as connection:
        queries = engine(Line(connection))

        await QueueManager(queries, CHANNEL).verify_structure()

        assert await queries.has_table(queries.qbe.settings.schedules_table)
