"""Asking for a job to be done: a part of the transaction that needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Self

import asyncpg
import orjson
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.models import TableChangedEvent, utc_now
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import Driver, NotifyCallback

from server.db.database import Database, Tx
from server.db.errors import LOST
from server.db.pool import CONNECT_SECONDS
from server.db.removal import BATCH
from server.kernel.tasks import going_on
from server.settings import Settings

CHANNEL = Channel("atrium_jobs")
ENQUEUED = "atrium_jobs_enqueued"
"""What this process is told, so that the workers are woken, when it has put something into the queue."""

# Of a burst of commits the first one is told of, and the rest together: commits that notify are made one by one.
_GATHER_SECONDS = 0.01
_NOTIFY_SECONDS = 3.0

# By table: its key, and which of its rows are forgotten.
_OLD = (
    ("pgqueuer_log", "id", "created < now() - interval '7 days'"),
    ("pgqueuer", "id", "status = 'failed' AND updated < now() - interval '30 days'"),
    # Of a job that ended in the moment in which another worker began it.
    (
        "runs",
        "job_id",
        "begun_at < now() - interval '7 days' AND NOT EXISTS (SELECT FROM jobs.pgqueuer WHERE id = row.job_id)",
    ),
)

_SETTINGS = DBSettings(db_schema="jobs", channel=CHANNEL)


def engine(driver: Driver, kind: type[Queries] = Queries) -> Queries:
    """PgQueuer's statements for our schema."""
    return kind(
        driver,
        QueryBuilderEnvironment(settings=_SETTINGS),
        QueryQueueBuilder(settings=_SETTINGS),
        QuerySchedulerBuilder(settings=_SETTINGS),
    )


class _InTransaction(Driver):
    """Runs the engine's one statement that adds jobs, in a transaction of ours."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        *columns, headers = args
        # The engine gives JSON as text, and our connections take it as values.
        assert isinstance(headers, list)
        return [dict(row) for row in await self._tx.run(query, *columns, [orjson.loads(text) for text in headers])]

    async def execute(self, query: str, *args: object) -> str:
        raise NotImplementedError("adding jobs is a statement that gives rows")

    async def notify(self, channel: str, payload: str) -> None:
        raise NotImplementedError("workers are woken by `waking`")

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        raise NotImplementedError("a transaction does not listen")

    @property
    def shutdown(self) -> asyncio.Event:
        return asyncio.Event()

    @property
    def tm(self) -> TaskManager:
        return TaskManager()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def enqueue(
    tx: Tx,
    entrypoint: str,
    payload: bytes = b"",
    *,
    priority: int = 0,
    delay: timedelta = timedelta(),
    key: str | None = None,
) -> bool:
    """Has the job done once the transaction has committed, `delay` later at the earliest.

    `key`: of jobs with one key there is one at a time; False where there is one already, and this one is left out.
    """
    made = await engine(_InTransaction(tx)).enqueue(entrypoint, payload, priority, delay, key, on_conflict="skip")
    tx.tell_here(ENQUEUED)
    return made[0] is not None


async def prune(database: Database) -> None:
    """Forgets, in batches, what was noted of jobs a week ago, and jobs that were put aside thirty days ago."""
    for table, key, old in _OLD:
        statement = (
            f"WITH gone AS (DELETE FROM jobs.{table} WHERE {key} IN "
            f"(SELECT {key} FROM jobs.{table} AS row WHERE {old} LIMIT {BATCH}) RETURNING 1) SELECT count(*) FROM gone"
        )
        count = BATCH
        while count == BATCH:
            async with database.global_tx() as tx:
                ((count,),) = await tx.run(statement)


@asynccontextmanager
async def waking(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Wakes the workers, in whichever process they are, for what this process enqueues."""
    enqueued = asyncio.Event()
    database.hear(ENQUEUED, lambda _: enqueued.set())
    async with going_on(partial(_wake, settings, enqueued), "waking", every=0, outages=LOST):
        yield


async def _wake(settings: Settings, enqueued: asyncio.Event) -> None:
    """Until its connection is lost, which it raises. A worker that is not woken finds its jobs by itself, a few seconds
    later: what is lost here costs no more.
    """
    connection = await _connected(settings, enqueued)
    try:
        await _tell(connection, enqueued)
    finally:
        connection.terminate()


async def _connected(settings: Settings, enqueued: asyncio.Event) -> Any:
    connection: Any = await asyncpg.connect(
        settings.database_url,
        timeout=CONNECT_SECONDS,
        command_timeout=_NOTIFY_SECONDS,
        # A notification is no fact that must survive: its commit need not wait for the disk.
        server_settings={"application_name": "atrium waking", "synchronous_commit": "off"},
    )
    # Found out at once, and not by the next job that somebody is waiting for.
    connection.add_termination_listener(lambda _: enqueued.set())
    return connection


async def _tell(connection: Any, enqueued: asyncio.Event) -> None:
    while True:
        await enqueued.wait()
        enqueued.clear()
        try:
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, changed())
        except BaseException:
            enqueued.set()  # nobody was woken: over the next connection then
            raise
        await asyncio.sleep(_GATHER_SECONDS)


def changed() -> str:
    """What wakes the engine."""
    event = TableChangedEvent(
        channel=CHANNEL, sent_at=utc_now(), type="table_changed_event", operation="insert", table=_SETTINGS.queue_table
    )
    return event.model_dump_json()
