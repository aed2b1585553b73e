"""Jobs that are a tenant's own: they wait in its backlog, and no more of them than its share are in the queue.

What stands in the queue stands before everybody's next job. A tenant's jobs therefore come into it, oldest first, as
those before them end; one that failed gives its place away until it is tried again. `tenant_jobs` is the authority:
what changes there and what changes in the queue is one transaction, in which the tenant's row of slots is locked last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from math import ceil
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import Interval, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import JSONB

from server.db.database import Database, Tx
from server.db.statements import HotStatement, Statement
from server.jobs.queue import enqueue
from server.jobs.runs import PutAside, Run, SetBack
from server.jobs.tables import tenant_jobs
from server.jobs.worker import PATIENCE, Handler, Patience
from server.kernel.ids import uuid7

ADMIT = "admit/1"
"""What looks at a backlog when jobs in it that failed are to be tried again."""

_THIS = tenant_jobs.c.id == bindparam("job_id")
_ADD = Statement(
    insert(tenant_jobs).values({name: bindparam(name) for name in ("tenant_id", "id", "entrypoint", "payload")})
)
_READ = HotStatement(select(tenant_jobs.c.payload, tenant_jobs.c.status, tenant_jobs.c.failed_runs).where(_THIS))
_DONE = Statement(delete(tenant_jobs).where(_THIS).returning(tenant_jobs.c.status))
_FORGET = Statement(
    delete(tenant_jobs).where(
        tenant_jobs.c.entrypoint == bindparam("entrypoint"),
        tenant_jobs.c.status != "admitted",
        tenant_jobs.c.payload.contains(bindparam("about", type_=JSONB)),
    )
)
_before = select(tenant_jobs.c.id, tenant_jobs.c.status).where(_THIS).with_for_update().cte("before")
_FAILED = Statement(
    update(tenant_jobs)
    .where(tenant_jobs.c.id == _before.c.id)
    .values(
        status=bindparam("becomes"),
        failed_runs=bindparam("failed_runs"),
        not_before=func.now() + bindparam("delay", type_=Interval),
    )
    .returning(_before.c.status, func.extract("epoch", func.now()))
)

# No row where the tenant is gone, or is being purged: nothing of it is begun any more, nor locked against the purge.
_SLOTS = """
INSERT INTO tenant_slots AS slots (tenant_id) SELECT id FROM tenants WHERE id = $1 AND purge_started_at IS NULL
ON CONFLICT (tenant_id) DO UPDATE SET admitted = greatest(slots.admitted - $2, 0)
RETURNING admitted
"""
# By the clock and not by the transaction's beginning: what was added meanwhile waits for this look, and for no other.
_ADMIT = """
WITH next AS (
    SELECT id FROM tenant_jobs WHERE tenant_id = $1 AND status = 'ready' AND not_before <= clock_timestamp()
    ORDER BY not_before, id LIMIT $2 FOR UPDATE SKIP LOCKED
), admitted AS (
    UPDATE tenant_jobs AS job SET status = 'admitted' FROM next WHERE job.tenant_id = $1 AND job.id = next.id
    RETURNING job.id, job.entrypoint
), counted AS (
    UPDATE tenant_slots SET admitted = admitted + (SELECT count(*) FROM admitted) WHERE tenant_id = $1
)
SELECT id, entrypoint FROM admitted ORDER BY id
"""
_IN_QUEUE = "SELECT FROM jobs.pgqueuer AS queued WHERE queued.dedupe_key = job.tenant_id || '/' || job.id"
_UNDER_WAY = f"EXISTS ({_IN_QUEUE} AND queued.status IN ('queued', 'picked'))"
_ASIDE = f"EXISTS ({_IN_QUEUE} AND queued.status = 'failed')"
# A job that killed its workers was put aside without a word to the backlog. One that was, long ago, is forgotten.
_SETTLE = f"""
WITH aside AS (
    UPDATE tenant_jobs AS job SET status = 'aside'
    WHERE tenant_id = $1 AND status = 'admitted' AND NOT {_UNDER_WAY} AND {_ASIDE} RETURNING job.id
), forgotten AS (
    DELETE FROM tenant_jobs AS job WHERE tenant_id = $1 AND status = 'aside' AND NOT {_UNDER_WAY} AND NOT {_ASIDE}
)
UPDATE tenant_slots SET admitted =
    (SELECT count(*) FROM tenant_jobs WHERE tenant_id = $1 AND status = 'admitted') - (SELECT count(*) FROM aside)
WHERE tenant_id = $1
"""
_LOST = (
    f"SELECT id, entrypoint FROM tenant_jobs AS job WHERE tenant_id = $1 AND status = 'admitted' AND NOT {_UNDER_WAY}"
)

# Of a tenant's jobs that failed those that are due together are looked for together: while they are tried soon, once a
# second, and then four times a minute.
_SOON_SECONDS, _STEP, _LATER_STEP = 10.0, 1.0, 15.0


class TenantRun:
    """One run of a tenant's job. `payload`: what was asked for with it."""

    def __init__(self, run: Run, backlog: Backlog, tenant_id: UUID, job_id: UUID, job: asyncpg.Record) -> None:
        self.tenant_id = tenant_id
        self.id = job_id
        self.payload: Mapping[str, Any] = job["payload"]
        self.finished = False
        self._run = run
        self._backlog = backlog
        # One that was put aside, and is tried again, begins anew.
        self._failed_runs: int = 0 if job["status"] == "aside" else job["failed_runs"]

    async def finish(self, tx: Tx) -> None:
        """The job is done, if the tenant's transaction commits: its effect and its end are one. Raises Overtaken."""
        await self._run.finish(tx)
        before: str | None = await tx.fetchval(_DONE, job_id=self.id)
        await self._backlog.admit(tx, ended=before == "admitted")
        self.finished = True

    async def fail(self, tx: Tx, patience: Patience, error: Exception) -> timedelta | None:
        """The run failed: after how long the job is tried again; None: it is put aside. Raises Overtaken."""
        failed_runs = self._failed_runs + 1
        aside = failed_runs >= patience.most_failures
        delay = timedelta() if aside else patience.delay(failed_runs)
        if aside:
            await self._run.put_aside(tx, type(error).__name__)
        else:
            await self._run.finish(tx)
        values = {"becomes": "aside" if aside else "ready", "failed_runs": failed_runs, "delay": delay}
        row = await tx.fetchrow(_FAILED, job_id=self.id, **values)
        if row is None:  # its tenant is being purged
            return None if aside else delay
        before, moment = row
        if not aside:
            await _look_later(tx, float(moment), delay.total_seconds())
        await self._backlog.admit(tx, ended=before == "admitted")
        return None if aside else delay


TenantHandler = Callable[[TenantRun], Awaitable[None]]
"""Does a job of a tenant. It may be run again after any failure, and beside one that is taken for dead. Where it
finishes the job by itself, in a transaction that fails, it raises.
"""


class Backlog:
    """Where jobs of tenants wait. `share`: the most of one tenant's that are in the queue, waiting or running."""

    def __init__(self, share: int) -> None:
        self._share = share

    async def add(self, tx: Tx, entrypoint: str, payload: Mapping[str, Any]) -> None:
        """Has the job of the transaction's tenant done once it has committed. `payload`: no secret.

        Whoever adds one to the same backlog waits until the transaction ends: it comes last in it.
        """
        await tx.execute(_ADD, tenant_id=tx.tenant_id, id=uuid7(), entrypoint=entrypoint, payload=payload)
        await self.admit(tx)

    async def admit(self, tx: Tx, *, ended: bool = False) -> None:
        """Puts into the queue what the tenant's share has room for. `ended`: one that had a slot has given it back."""
        for row in await tx.run(_SLOTS, tx.tenant_id, int(ended)):
            if (room := self._share - row["admitted"]) > 0:
                for job in await tx.run(_ADMIT, tx.tenant_id, room):
                    await _enqueue(tx, job["id"], job["entrypoint"])

    async def reconcile(self, tx: Tx) -> int:
        """Sets right what is left of failures that nobody could write down, and asks again for jobs that were lost: how
        many those were.

        A job can be lost: a queue that is restored from a backup knows nothing of what was enqueued since.
        """
        if not await tx.run(_SLOTS, tx.tenant_id, 0):
            return 0
        await tx.run(_SETTLE, tx.tenant_id)
        lost = await tx.run(_LOST, tx.tenant_id)
        for job in lost:
            await _enqueue(tx, job["id"], job["entrypoint"])
        await self.admit(tx)
        return len(lost)

    def handler(self, database: Database, act: TenantHandler, patience: Patience = PATIENCE) -> Handler:
        """What does the jobs in the queue that stand for jobs of tenants."""

        async def do(run: Run) -> None:
            named = orjson.loads(run.payload)
            tenant_id, job_id = UUID(named["tenant_id"]), UUID(named["id"])
            job = await database.hot(tenant_id, _READ, job_id=job_id)
            if job is None:  # its tenant was purged
                return
            this = TenantRun(run, self, tenant_id, job_id, job)
            failure: Exception | None = None
            try:
                await act(this)
            except Exception as error:  # noqa: BLE001 - whatever it is, the job is tried again
                failure = error
            if failure is None and this.finished:
                return
            async with database.tenant_tx(tenant_id) as tx:
                if failure is None:
                    await this.finish(tx)
                    return
                delay = await this.fail(tx, patience, failure)
            # Not from the failure: the engine keeps what an error came from, which may speak of people.
            raise PutAside(failure) if delay is None else SetBack(failure, delay)

        return do

    def admitting(self, database: Database) -> Handler:
        """What does ADMIT."""

        async def admit(run: Run) -> None:
            async with database.tenant_tx(UUID(bytes=run.payload)) as tx:
                await self.admit(tx)

        return admit


async def forget(tx: Tx, entrypoint: str, about: Mapping[str, Any]) -> None:
    """Forgets those jobs of the transaction's tenant that have this in their payload, and wait or were put aside. One
    that is in the queue is left to its run, which ends it.
    """
    await tx.execute(_FORGET, entrypoint=entrypoint, about=about)


async def _enqueue(tx: Tx, job_id: UUID, entrypoint: str) -> None:
    named = orjson.dumps({"tenant_id": str(tx.tenant_id), "id": str(job_id)})
    await enqueue(tx, entrypoint, named, key=f"{tx.tenant_id}/{job_id}")


async def _look_later(tx: Tx, moment: float, seconds: float) -> None:
    """Has the tenant's backlog looked at so many seconds after the moment, or a little later. `moment`: the
    transaction's.
    """
    step = _STEP if seconds < _SOON_SECONDS else _LATER_STEP
    due = ceil((moment + seconds) / step) * step
    key = f"{tx.tenant_id}/admit/{due:.0f}"
    await enqueue(tx, ADMIT, tx.tenant_id.bytes, delay=timedelta(seconds=due - moment), key=key)
