"""Doing jobs: a supervised loop around the engine, and the schedule."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.core.qm import QueueManager
from pgqueuer.core.sm import SchedulerManager
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.models import Job, Schedule

from server.db.database import Database
from server.db.together import Together
from server.jobs.queue import CHANNEL, engine, enqueue
from server.jobs.runs import FencedQueries, Overtaken, Run, begin
from server.settings import Settings

_log = structlog.get_logger("atrium.jobs")

Handler = Callable[[Run], Awaitable[None]]
"""Does a job. It may be run again after any failure, and beside one that is taken for dead."""

MOST_ATTEMPTS = 5
"""A job that was begun so often and did not end is put aside: it may be what kills its workers."""

HEARTBEAT = timedelta(seconds=12)
"""A job whose worker has been silent for so long is another's."""

# How long a worker sleeps that nobody wakes: with the heartbeat, the longest until a dead one's jobs are taken over.
_DEQUEUE = timedelta(seconds=5)
_BATCH = 10
_AT_ONCE = 40

_CONNECT_SECONDS = 10.0
_RETRY_SECONDS = 0.2
_MOST_RETRY_SECONDS = 5.0
_FIRST_DELAY_SECONDS = 1.0

_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, FailingListenerError)


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
        first_delay: float = _FIRST_DELAY_SECONDS,
    ) -> None:
        """`first_delay`: seconds until a job that failed is tried again, twice as many each time."""
        self._settings = settings
        self._database = database
        self._handlers = handlers
        self._schedule = schedule
        self._first_delay = first_delay
        self._stopping = asyncio.Event()
        self._begin = Together(partial(begin, database))

    def stop(self) -> None:
        """Takes no more jobs; `run` returns when those that run are done."""
        self._stopping.set()

    async def run(self) -> None:
        """Works until it is stopped, however often the database goes away. Cancelled, it leaves its jobs to others."""
        wait = _RETRY_SECONDS
        while not self._stopping.is_set():
            try:
                connection: Any = await asyncpg.connect(
                    # LISTEN does not work through a pooler of transactions.
                    self._settings.listen_database_url or self._settings.database_url,
                    timeout=_CONNECT_SECONDS,
                    server_settings={"application_name": "atrium worker", "idle_in_transaction_session_timeout": "30s"},
                )
                wait = _RETRY_SECONDS
                try:
                    await self._work(connection)
                finally:
                    connection.terminate()
            except* _LOST as errors:
                _log.warning("working interrupted", error=type(errors.exceptions[0]).__name__)
            except* Exception as errors:  # noqa: BLE001 - whatever it is, jobs go on being done
                _log.error("working interrupted", exc_info=errors)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait * random.uniform(0.5, 1)):  # noqa: S311 - apart, not secret
                    await self._stopping.wait()
            wait = min(2 * wait, _MOST_RETRY_SECONDS)

    async def _work(self, connection: Any) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        queries = engine(AsyncpgDriver(connection), FencedQueries)
        assert isinstance(queries, FencedQueries)
        queries.tokens = {}
        manager = QueueManager(queries, CHANNEL)
        for name, handler in self._handlers.items():
            # Held, not removed: what a job was about can still be looked into.
            manager.entrypoint(name, on_failure="hold")(self._fenced(handler, queries.tokens))
        scheduler = SchedulerManager(queries)
        for cron in self._schedule:
            scheduler.schedule(cron.entrypoint, cron.expression)(self._due)

        async def end() -> None:
            waits = [asyncio.create_task(event.wait()) for event in (self._stopping, lost)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            manager.shutdown.set()
            scheduler.shutdown.set()
            if lost.is_set():
                raise ConnectionResetError

        async with asyncio.TaskGroup() as group:
            group.create_task(end())
            group.create_task(
                manager.run(
                    dequeue_timeout=_DEQUEUE,
                    batch_size=_BATCH,
                    max_concurrent_tasks=_AT_ONCE,
                    shutdown_on_listener_failure=True,
                    heartbeat_timeout=HEARTBEAT,
                    log_aggregation_interval=timedelta(),
                )
            )
            if self._schedule:
                group.create_task(scheduler.run())

    def _fenced(self, handler: Handler, tokens: dict[int, UUID]) -> Callable[[Job], Awaitable[None]]:
        async def run(job: Job) -> None:
            this = await self._begin(job)
            tokens[this.job_id] = this.token
            told = {"entrypoint": job.entrypoint, "job": this.job_id, "attempts": this.attempts}
            if this.attempts > MOST_ATTEMPTS:
                _log.error("job put aside", **told)
                raise PutAside
            try:
                await handler(this)
            except Overtaken:
                _log.warning("job overtaken", **told)
            except Exception as error:
                if this.attempts == MOST_ATTEMPTS:
                    _log.error("job put aside", **told, exc_info=error)
                    raise PutAside from error
                delay = timedelta(seconds=self._first_delay * 2 ** (this.attempts - 1))
                _log.warning("job failed", **told, again_in=delay.total_seconds(), exc_info=error)
                raise RetryRequested(delay=delay) from error

        return run

    async def _due(self, schedule: Schedule) -> None:
        """What is scheduled becomes a job like any other, with its lease: one, however many workers there are."""
        async with self._database.global_tx() as tx:
            await enqueue(tx, schedule.entrypoint, key=f"scheduled/{schedule.entrypoint}")


class PutAside(Exception):
    """The job was begun too often: it is held for somebody to look at."""
