"""Jobs: how many a worker does that do nothing, and how soon one begins, beside the bare engine."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from time import perf_counter
from typing import Any

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel

from bench.figures import Figure
from bench.stage import databased
from server.db.database import Database
from server.jobs.backlog import ADMIT, Backlog, TenantRun
from server.jobs.queue import enqueue, waking
from server.jobs.runs import Run
from server.jobs.worker import Worker
from server.settings import Settings

_SLICES = 4
_JOBS = 1_000
_SINGLE = 200
_TENANTS = 20
_RUNNING: dict[str, Any] = {
    "dequeue_timeout": timedelta(seconds=5),
    "batch_size": 10,
    "max_concurrent_tasks": 40,
    "log_aggregation_interval": timedelta(),
}


@dataclass
class _Side:
    """One engine. `ask`: asks for so many jobs, in one transaction."""

    ask: Callable[[int], Awaitable[None]]
    did: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    rates: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    async def many(self) -> None:
        await self.ask(_JOBS)
        began = perf_counter()
        for _ in range(_JOBS):
            await self.did.acquire()
        self.rates.append(_JOBS / (perf_counter() - began))

    async def one(self) -> None:
        await self.ask(1)
        asked = perf_counter()
        await self.did.acquire()
        self.delays.append((perf_counter() - asked) * 1000)


def run() -> list[Figure]:
    """About a minute."""
    with databased() as settings:
        return asyncio.run(_measure(settings))


async def _measure(settings: Settings) -> list[Figure]:
    figures = []
    async with _ours(settings) as ours, _bare(settings) as bare:
        await _compare(ours, bare)
        ratio = statistics.median(a / b for a, b in zip(ours.rates, bare.rates, strict=True))
        figures += [
            Figure("jobs / bare", ratio, "of its rate"),
            Figure("jobs", statistics.median(ours.rates), "jobs/s"),
            Figure("jobs, bare", statistics.median(bare.rates), "jobs/s"),
        ]
        for name, side in (("", ours), (", bare", bare)):
            *_, p99 = statistics.quantiles(side.delays, n=100)
            figures += [
                Figure(f"from commit to start{name}", statistics.median(side.delays), "ms at the median"),
                Figure(f"from commit to start{name}", p99, "ms at p99"),
            ]
            await side.one()
            await side.many()
    async with _ours(settings, workers=2) as ours, _bare(settings, workers=2) as bare:
        await _compare(ours, bare)
        ratio = statistics.median(a / b for a, b in zip(ours.rates, bare.rates, strict=True))
        figures += [
            Figure("two workers / bare", ratio, "of its rate"),
            Figure("two workers", statistics.median(ours.rates), "jobs/s"),
            Figure("two workers, bare", statistics.median(bare.rates), "jobs/s"),
        ]
    async with _ours(settings) as ours, _theirs(settings) as theirs:
        await _compare(ours, theirs)
        ratio = statistics.median(a / b for a, b in zip(theirs.rates, ours.rates, strict=True))
        figures += [
            Figure("of twenty tenants / jobs", ratio, "of its rate"),
            Figure("of twenty tenants", statistics.median(theirs.rates), "jobs/s"),
        ]
    return figures


async def _compare(ours: _Side, bare: _Side) -> None:
    for side in (ours, bare) * 2:  # whatever is made at first use
        await side.one()
        await side.many()
    for side in (ours, bare):
        side.rates.clear()
        side.delays.clear()
    for _ in range(_SLICES):
        for side in (ours, bare):
            await side.many()
    for _ in range(_SINGLE):
        for side in (ours, bare):
            await side.one()


@asynccontextmanager
async def _ours(settings: Settings, workers: int = 1) -> AsyncIterator[_Side]:
    async with Database.open(settings) as database, waking(settings, database):

        async def ask(number: int) -> None:
            async with database.global_tx() as tx:
                for _ in range(number):
                    await enqueue(tx, "noop")

        side = _Side(ask)

        async def noop(_: Run) -> None:
            side.did.release()

        crew = [Worker(settings, database, {"noop": noop}) for _ in range(workers)]
        tasks = [asyncio.create_task(worker.run()) for worker in crew]
        try:
            yield side
        finally:
            for worker in crew:
                worker.stop()
            await asyncio.wait(tasks)


@asynccontextmanager
async def _theirs(settings: Settings) -> AsyncIterator[_Side]:
    """Jobs that are tenants' own: each comes out of its tenant's backlog."""
    async with Database.open(settings) as database, waking(settings, database):
        tenants = await asyncpg.connect(settings.admin_database_url)
        rows = await tenants.fetch(
            "INSERT INTO tenants (name, slug) SELECT 't' || n, 't' || n FROM generate_series(1, $1) n RETURNING id",
            _TENANTS,
        )
        await tenants.close()
        backlog = Backlog(settings.jobs_per_tenant)

        async def ask(number: int) -> None:
            async with database.tenant_tx(rows[0]["id"]) as tx:  # in one, so that none is done before all are asked for
                for place, row in enumerate(rows):
                    await tx.enter(row["id"])
                    for _ in range(place, number, _TENANTS):
                        await backlog.add(tx, "theirs", {})

        side = _Side(ask)

        async def noop(_: TenantRun) -> None:
            side.did.release()

        worker = Worker(
            settings, database, {"theirs": backlog.handler(database, noop), ADMIT: backlog.admitting(database)}
        )
        task = asyncio.create_task(worker.run())
        try:
            yield side
        finally:
            worker.stop()
            await asyncio.wait([task])


@asynccontextmanager
async def _bare(settings: Settings, workers: int = 1) -> AsyncIterator[_Side]:
    """The engine as it is installed by itself, in a schema of its own."""
    own = DBSettings(db_schema="bare", channel=Channel("bare"))

    def queries(driver: Any) -> Queries:
        return Queries(
            driver,
            QueryBuilderEnvironment(settings=own),
            QueryQueueBuilder(settings=own),
            QuerySchedulerBuilder(settings=own),
        )

    async with asyncpg.create_pool(settings.admin_database_url, min_size=2, max_size=4) as pool:
        await pool.execute("CREATE SCHEMA bare")
        asking = queries(AsyncpgPoolDriver(pool))
        await asking.install()

        async def ask(number: int) -> None:
            await asking.enqueue(["noop"] * number, [None] * number, [0] * number)

        side = _Side(ask)

        async def noop(_: Any) -> None:
            side.did.release()

        async with AsyncExitStack() as stack:
            managers, tasks = [], []
            for _ in range(workers):
                connection = await asyncpg.connect(settings.admin_database_url)
                stack.push_async_callback(connection.close)
                manager = QueueManager(queries(AsyncpgDriver(connection)), own.channel)
                manager.entrypoint("noop")(noop)
                managers.append(manager)
                tasks.append(asyncio.create_task(manager.run(**_RUNNING)))
            try:
                yield side
            finally:
                for manager in managers:
                    manager.shutdown.set()
                await asyncio.wait(tasks)
        await pool.execute("DROP SCHEMA bare CASCADE")
