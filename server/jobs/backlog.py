"""Jobs that are a tenant's own: they wait in its backlog, and no more of them than its share are in the queue.

What stands in the queue stands before everybody's next job. A tenant's jobs therefore come into it, oldest first, as
those before them end; one that failed gives its place away until it is tried again. `tenant_jobs` is the authority:
what changes there and what changes in the queue is one transaction, in which the tenant's row of slots is locked last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from server.db.database import Database, Tx
from server.jobs.queue import enqueue
from server.jobs.runs import PutAside, Run, SetBack
from server.jobs.worker import PATIENCE, Handler, Patience
from server.kernel.ids import uuid7

ADMIT = "admit/1"
"""What looks at a backlog when a job in it that failed is to be tried again."""

_ADD = "INSERT INTO tenant_jobs (tenant_id, id, entrypoint, payload) VALUES ($1, $2, $3, $4)"
_READ = "SELECT payload, status, failed_runs FROM tenant_jobs WHERE id = $1"
_DONE = "DELETE FROM tenant_jobs WHERE id = $1"
_FAILED = "UPDATE tenant_jobs SET status = $2, failed_runs = $3, not_before = now() + $4::interval WHERE id = $1"
# No row where the tenant is gone.
_HOLD = """
INSERT INTO tenant_slots AS slots (tenant_id) SELECT id FROM tenants WHERE id = $1
ON CONFLICT (tenant_id) DO UPDATE SET admitted = greatest(slots.admitted - $2, 0)
RETURNING admitted
"""
# By the clock and not by the transaction's beginning: what was added meanwhile waits for this look, and for no other.
_ADMIT = """
WITH next AS (
    SELECT id FROM tenant_jobs WHERE status = 'ready' AND not_before <= clock_timestamp()
    ORDER BY not_before, id LIMIT $1
), admitted AS (
    UPDATE tenant_jobs AS job SET status = 'admitted' FROM next WHERE job.id = next.id RETURNING job.id, job.entrypoint
), counted AS (
    UPDATE tenant_slots SET admitted = admitted + (SELECT count(*) FROM admitted)
)
SELECT id, entrypoint FROM admitted ORDER BY id
"""
_KEY = "job.tenant_id || '/' || job.id"
_THERE = f"EXISTS (SELECT FROM jobs.pgqueuer AS there WHERE there.dedupe_key = {_KEY} AND there.status {{}})"
_QUEUED, _HELD = _THERE.format("IN ('queued', 'picked')"), _THERE.format("= 'failed'")
# A job that killed its workers was put aside without a word to the backlog. One that was, long ago, is forgotten.
_SETTLE = f"""
WITH aside AS (
    UPDATE tenant_jobs AS job SET status = 'aside'
    WHERE status = 'admitted' AND NOT {_QUEUED} AND {_HELD} RETURNING job.id
), forgotten AS (
    DELETE FROM tenant_jobs AS job WHERE status = 'aside' AND NOT {_QUEUED} AND NOT {_HELD}
)
UPDATE tenant_slots SET admitted =
    (SELECT count(*) FROM tenant_jobs WHERE status = 'admitted') - (SELECT count(*) FROM aside)
"""
_LOST = f"SELECT id, entrypoint FROM tenant_jobs AS job WHERE status = 'admitted' AND NOT {_QUEUED}"


class TenantRun:
    """One run of a tenant's job. `payload`: what was asked for with it."""

    def __init__(self, run: Run, backlog: Backlog, tenant_id: UUID, job_id: UUID, job: asyncpg.Record) -> None:
        self.tenant_id = tenant_id
        self.id = job_id
        self.payload: Mapping[str, Any] = job["payload"]
        self.finished = False
        self._run = run
        self._backlog = backlog
        self._slots = int(job["status"] == "admitted")  # one that was put aside gave its own away
        # One that was put aside, and is tried again, begins anew.
        self._failures: int = job["failed_runs"] if self._slots else 0

    async def finish(self, tx: Tx) -> None:
        """The job is done, if the tenant's transaction commits: its effect and its end are one. Raises Overtaken."""
        await self._run.finish(tx)
        await tx.run(_DONE, self.id)
        await self._backlog.admit(tx, ended=self._slots)
        self.finished = True

    async def fail(self, tx: Tx, patience: Patience) -> timedelta | None:
        """The run failed: after how long the job is tried again; None: it is put aside. Raises Overtaken."""
        failures = self._failures + 1
        aside = failures >= patience.most_failures
        delay = timedelta() if aside else patience.delay(failures)
        if aside:
            await self._run.hold(tx)  # the job in the queue stays, for whoever looks for what failed
        else:
            await self._run.finish(tx)
            await enqueue(tx, ADMIT, tx.tenant_id.bytes, delay=delay)
        await tx.run(_FAILED, self.id, "aside" if aside else "ready", failures, delay)
        await self._backlog.admit(tx, ended=self._slots)
        return None if aside else delay


TenantHandler = Callable[[TenantRun], Awaitable[None]]
"""Does a job of a tenant. It may be run again after any failure, and beside one that is taken for dead."""


class Backlog:
    """Where jobs of tenants wait. `share`: the most of one tenant's that are in the queue, waiting or running."""

    def __init__(self, share: int) -> None:
        self._share = share

    async def add(self, tx: Tx, entrypoint: str, payload: Mapping[str, Any]) -> None:
        """Has the job of the transaction's tenant done once it has committed. `payload`: no secret.

        Whoever adds one to the same backlog waits until the transaction ends: it comes last in it.
        """
        await tx.run(_ADD, tx.tenant_id, uuid7(), entrypoint, payload)
        await self.admit(tx)

    async def admit(self, tx: Tx, *, ended: int = 0) -> None:
        """Puts into the queue what the tenant's share has room for. `ended`: so many of its jobs are over."""
        for row in await tx.run(_HOLD, tx.tenant_id, ended):
            if (room := self._share - row["admitted"]) > 0:
                for job in await tx.run(_ADMIT, room):
                    await _enqueue(tx, job["id"], job["entrypoint"])

    async def reconcile(self, tx: Tx) -> int:
        """Sets right what is left of failures that nobody could write down, and asks again for jobs that were lost: how
        many those were.

        A job can be lost: a queue that is restored from a backup knows nothing of what was enqueued since.
        """
        if not await tx.run(_HOLD, tx.tenant_id, 0):
            return 0
        await tx.run(_SETTLE)
        lost = await tx.run(_LOST)
        for job in lost:
            await _enqueue(tx, job["id"], job["entrypoint"])
        await self.admit(tx)
        return len(lost)

    def handler(self, database: Database, act: TenantHandler, patience: Patience = PATIENCE) -> Handler:
        """What does the jobs in the queue that stand for jobs of tenants."""

        async def do(run: Run) -> None:
            named = orjson.loads(run.payload)
            tenant_id, job_id = UUID(named["tenant_id"]), UUID(named["id"])
            async with database.tenant_tx(tenant_id) as tx:
                found = await tx.run(_READ, job_id)
            if not found or found[0]["status"] == "ready":  # its tenant was purged; or another job stands for it
                return
            this = TenantRun(run, self, tenant_id, job_id, found[0])
            try:
                await act(this)
            except Exception as error:
                async with database.tenant_tx(tenant_id) as tx:
                    delay = await this.fail(tx, patience)
                raise (PutAside(type(error).__name__) if delay is None else SetBack(delay)) from error
            if not this.finished:
                async with database.tenant_tx(tenant_id) as tx:
                    await this.finish(tx)

        return do

    def admitting(self, database: Database) -> Handler:
        """What does ADMIT."""

        async def admit(run: Run) -> None:
            async with database.tenant_tx(UUID(bytes=run.payload)) as tx:
                await self.admit(tx)

        return admit


async def _enqueue(tx: Tx, job_id: UUID, entrypoint: str) -> None:
    named = orjson.dumps({"tenant_id": str(tx.tenant_id), "id": str(job_id)})
    await enqueue(tx, entrypoint, named, key=f"{tx.tenant_id}/{job_id}")
