"""Doing jobs: a supervised loop around the engine, and the schedule."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.core.sm import SchedulerManager
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.models import Job, Schedule
from prometheus_client import CollectorRegistry, Counter

from server.db.database import Database
from server.db.errors import LOST
from server.db.together import Together
from server.jobs.line import Line, connect
from server.jobs.queue import CHANNEL, changed, engine, enqueue
from server.jobs.runs import FencedQueries, Overtaken, PutAside, Run, SetBack, begin
from server.kernel.tasks import Pauses
from server.settings import Settings

_log = structlog.get_logger("atrium.jobs")

Handler = Callable[[Run], Awaitable[None]]
"""Does a job. It may be run again after any failure, and beside one that is taken for dead."""

MOST_LOST = 5
"""A job that was begun so often without coming to an end is put aside: it may be what kills its workers."""

HEARTBEAT = timedelta(seconds=12)
"""A job whose worker has been silent for so long is another's."""

# How long a worker sleeps that nobody wakes: with the heartbeat, the longest until a dead one's jobs are taken over.
_DEQUEUE = timedelta(seconds=5)
_BATCH = 10
_AT_ONCE = 40


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a job that fails is tried again before it is put aside: an hour and a half, where nothing else is said.

    A second after the first failure, each time four times as long, and every quarter of an hour in the end: a database
    or a provider may be away for an hour.
    """

    most_failures: int = 12
    first_seconds: float = 1.0
    most_seconds: float = 900.0

    def delay(self, failures: int) -> timedelta:
        """How long after so many failures. A little longer for one than for another: they failed together."""
        seconds = min(self.first_seconds * 4.0 ** (failures - 1), self.most_seconds)
        return timedelta(seconds=seconds * random.uniform(1, 1.25))  # noqa: S311 - apart, not secret


PATIENCE = Patience()
"""Where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A job that is asked for again and again. `expression`: five fields, in UTC."""

    entrypoint: str
    expression: str


class Worker:
    """Does the jobs of every process that are ready, and asks for the scheduled ones when they are due."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        handlers: Mapping[str, Handler],
        schedule: tuple[Cron, ...] = (),
        *,
        most: Mapping[str, int] | None = None,
        patience: Patience = PATIENCE,
        registry: CollectorRegistry | None = None,
    ) -> None:
        """`most`: how many of a kind run at once here, two or more; those without one have forty places together."""
        self._settings = settings
        self._database = database
        self._handlers = handlers
        self._schedule = schedule
        self._most = most or {}
        self._patience = patience
        self._stopping = asyncio.Event()
        self._begin = Together(partial(begin, database))
        self._tokens: dict[int, UUID] = {}
        self._runs = Counter(
            "atrium_jobs", "Runs of jobs, by how they ended.", ["entrypoint", "outcome"], registry=registry
        )

    def stop(self) -> None:
        """Takes no more jobs; `run` returns when those that run are done."""
        self._stopping.set()

    async def run(self) -> None:
        """Works until it is stopped, however often the database goes away. Cancelled, it leaves its jobs to others."""
        pauses = Pauses()
        while not self._stopping.is_set():
            began = monotonic()
            try:
                connection = await connect(self._settings)
                try:
                    await self._work(connection)
                finally:
                    connection.terminate()
            except (*LOST, FailingListenerError) as error:
                _log.warning("working interrupted", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - whatever it is, jobs go on being done
                _log.error("working interrupted", exc_info=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(pauses.after(monotonic() - began)):
                    await self._stopping.wait()

    async def _work(self, connection: Any) -> None:
        """Until it is stopped and what runs has ended, or until the connection is of no use any more, or cancelled."""
        line = Line(connection)
        queries = engine(line, FencedQueries)
        assert isinstance(queries, FencedQueries)
        queries.tokens = self._tokens
        queries.wake = lambda: line.wake(changed())
        await queries.give_back()  # what the connection before this one could not carry any more
        shift = _Shift()
        # The engine's own limit of a kind is looked at with every job that is taken, and costs a third of the rate.
        managers = [(self._manager(queries, shift, [name]), most) for name, most in self._most.items()]
        managers.append((self._manager(queries, shift, self._handlers.keys() - self._most.keys()), _AT_ONCE))
        scheduler = SchedulerManager(queries)
        for cron in self._schedule:
            scheduler.schedule(cron.entrypoint, cron.expression)(self._due)
        working = [
            asyncio.create_task(
                manager.run(
                    dequeue_timeout=_DEQUEUE,
                    batch_size=min(_BATCH, most // 2),  # the engine takes no more than half of them at once
                    max_concurrent_tasks=most,
                    shutdown_on_listener_failure=True,
                    heartbeat_timeout=HEARTBEAT,
                    log_aggregation_interval=timedelta(),
                )
            )
            for manager, most in managers
        ]
        if self._schedule:
            working.append(asyncio.create_task(scheduler.run()))
        # The engine waits for what runs, however long that is, before it tells that it cannot go on.
        lost = asyncio.create_task(line.lost.wait())
        over = (self._stopping, *(manager.shutdown for manager, _ in managers))
        signs = [lost, *(asyncio.create_task(event.wait()) for event in over)]
        try:
            await asyncio.wait([*working, *signs], return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                for manager, _ in managers:
                    manager.shutdown.set()
                scheduler.shutdown.set()
                while not line.lost.is_set() and (rest := [task for task in working if not task.done()]):
                    await asyncio.wait([*rest, lost], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if line.lost.is_set():
                connection.terminate()  # nobody waits for its answers
            shift.end()
            for task in (*working, *signs):
                task.cancel()
            await asyncio.wait(working)
        for task in working:
            if not task.cancelled():
                task.result()
        if not self._stopping.is_set():
            raise ConnectionResetError

    def _manager(self, queries: Queries, shift: _Shift, names: Iterable[str]) -> QueueManager:
        manager = QueueManager(queries, CHANNEL)
        for name in names:
            # Held, not removed: what a job was about can still be looked into.
            manager.entrypoint(name, on_failure="hold")(self._fenced(self._handlers[name], shift))
        return manager

    def _fenced(self, handler: Handler, shift: _Shift) -> Callable[[Job], Awaitable[None]]:
        async def run(job: Job) -> None:
            with shift.run():
                this = await self._begin(job)
                if this is None:
                    return
                self._tokens[this.job_id] = this.token
                await self._do(handler, job, this)

        return run

    async def _do(self, handler: Handler, job: Job, run: Run) -> None:
        told = {"entrypoint": job.entrypoint, "job": run.job_id, "attempts": run.attempts}

        def ended(outcome: str) -> None:
            self._runs.labels(job.entrypoint, outcome).inc()

        def put_aside(cause: BaseException | None) -> None:
            ended("put_aside")
            _log.error("job put aside", **told, exc_info=cause)

        def failed(cause: BaseException, delay: timedelta) -> None:
            ended("failed")
            _log.warning("job failed", **told, again_in=delay.total_seconds(), exc_info=cause)

        # The engine counts the runs that failed; the others that were begun came to no end.
        failures, lost = job.attempts, run.attempts - 1 - job.attempts
        if lost >= MOST_LOST:
            put_aside(None)
            raise PutAside(None)
        try:
            await handler(run)
        except Overtaken:
            ended("overtaken")
            _log.warning("job overtaken", **told)
        except SetBack as error:
            failed(error.cause, error.delay)
        except PutAside as error:
            put_aside(error.cause)
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _cancelled():
                ended("cut_short")
                raise
            failures += 1
            if failures >= self._patience.most_failures:
                put_aside(error)
                raise PutAside(error) from error
            delay = self._patience.delay(failures)
            failed(error, delay)
            raise RetryRequested(delay=delay) from error
        else:
            ended("done")

    async def _due(self, schedule: Schedule) -> None:
        """What is scheduled becomes a job like any other, with its lease: one, however many workers there are."""
        async with self._database.global_tx() as tx:
            await enqueue(tx, schedule.entrypoint, key=f"scheduled/{schedule.entrypoint}")


class _Shift:
    """What runs while one connection lasts."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._over = False

    @contextmanager
    def run(self) -> Iterator[None]:
        """The task's own run, which the end of the shift cuts short."""
        task = _this()
        self._tasks.add(task)
        if self._over:
            task.cancel()  # where it next waits
        try:
            yield
        finally:
            self._tasks.discard(task)

    def end(self) -> None:
        """Cuts short what runs, and what would still begin."""
        self._over = True
        for task in self._tasks:
            task.cancel()


def _cancelled() -> bool:
    """Whether this task was asked to end; else what it waited for was, which is a failure like any other."""
    return _this().cancelling() > 0


def _this() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "runs are tasks"
    return task
