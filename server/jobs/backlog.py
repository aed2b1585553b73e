"""Jobs that are a tenant's own: they wait in its backlog, and no more of them than its share are in the queue.

What stands in the queue stands before everybody's next job. A tenant's jobs therefore come into it, oldest first, as
those before them end; one that failed gives its place away until it is tried again. `tenant_jobs` is the authority:
what changes there and what changes in the queue is one transaction, in which the tenant's row of slots is locked last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from math import ceil
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Integer,
    Interval,
    String,
    Uuid,
    bindparam,
    column,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.database import Database, Tx
from server.db.statements import Statement
from server.db.together import Together
from server.jobs.queue import ENQUEUED, enqueue
from server.jobs.runs import Overtaken, PutAside, Run, SetBack
from server.jobs.tables import tenant_jobs
from server.jobs.worker import PATIENCE, Handler, Patience
from server.kernel.ids import uuid7

_log = structlog.get_logger("atrium.jobs")

ADMIT = "admit/1"
"""What looks at a backlog when jobs in it that failed are to be tried again."""

_THIS = tenant_jobs.c.id == bindparam("job_id")
_asked = (
    func.unnest(bindparam("ids", type_=ARRAY(Uuid())), bindparam("payloads", type_=ARRAY(JSONB)))
    .table_valued(column("id", Uuid()), column("payload", JSONB))
    .render_derived(name="asked")
)
_ADD = Statement(
    insert(tenant_jobs).from_select(
        ["tenant_id", "id", "entrypoint", "payload"],
        select(
            bindparam("tenant_id", type_=Uuid()),
            _asked.c.id,
            bindparam("entrypoint", type_=String),
            _asked.c.payload,
        ),
    )
)
_ASKED = Statement(
    select(tenant_jobs.c.payload, tenant_jobs.c.status).where(
        tenant_jobs.c.entrypoint == bindparam("entrypoint"),
        tenant_jobs.c.payload.contains(bindparam("about", type_=JSONB)),
    )
)
_GOES_ON = Statement(
    select(
        exists().where(
            tenant_jobs.c.entrypoint == bindparam("entrypoint"),
            tenant_jobs.c.status != "aside",
            tenant_jobs.c.payload.contains(bindparam("about", type_=JSONB)),
        )
    )
)
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

# Each is a function: what has to see what others commit while it waits for the slots is several statements.
_ADMIT = Statement(
    select(
        func.atrium_admit_jobs(
            bindparam("tenant_id", type_=Uuid()),
            bindparam("given_back", type_=Integer()),
            bindparam("share", type_=Integer()),
        )
    )
)
_READ = Statement(
    select(
        func.atrium_read_jobs(
            bindparam("tenants", type_=ARRAY(Uuid())),
            bindparam("ids", type_=ARRAY(Uuid())),
        )
    )
)
_END = Statement(
    select(
        func.atrium_end_jobs(
            bindparam("job_ids", type_=ARRAY(BigInteger())),
            bindparam("run_tokens", type_=ARRAY(Uuid())),
            bindparam("tenants", type_=ARRAY(Uuid())),
            bindparam("ids", type_=ARRAY(Uuid())),
            bindparam("share", type_=Integer()),
            bindparam("in_haste", type_=Boolean()),
        )
    )
)
_IN_QUEUE = "SELECT FROM jobs.pgqueuer AS queued WHERE queued.dedupe_key = job.tenant_id || '/' || job.id"
_UNDER_WAY = f"EXISTS ({_IN_QUEUE} AND queued.status IN ('queued', 'picked'))"
_ASIDE = f"EXISTS ({_IN_QUEUE} AND queued.status = 'failed')"
# A job that killed its workers was put aside without a word to the backlog. One that was, long ago, is forgotten. One
# that was lost waits again, before those that never were in the queue.
_SETTLE = f"""
WITH aside AS (
    UPDATE tenant_jobs AS job SET status = 'aside'
    WHERE tenant_id = $1 AND status = 'admitted' AND NOT {_UNDER_WAY} AND {_ASIDE}
), lost AS (
    UPDATE tenant_jobs AS job SET status = 'ready'
    WHERE tenant_id = $1 AND status = 'admitted' AND NOT {_UNDER_WAY} AND NOT {_ASIDE} RETURNING job.id
), forgotten AS (
    DELETE FROM tenant_jobs AS job WHERE tenant_id = $1 AND status = 'aside' AND NOT {_UNDER_WAY} AND NOT {_ASIDE}
), counted AS (
    UPDATE tenant_slots SET admitted =
        (SELECT count(*) FROM tenant_jobs AS job WHERE tenant_id = $1 AND status = 'admitted' AND {_UNDER_WAY})
    WHERE tenant_id = $1
)
SELECT count(*) FROM lost
"""

# Of a tenant's jobs that failed those that are due together are looked for together: while they are tried soon, once a
# second, and then four times a minute.
_SOON_SECONDS, _STEP, _LATER_STEP = 10.0, 1.0, 15.0


class TenantRun:
    """One run of a tenant's job. `payload`: what was asked for with it."""

    def __init__(self, run: Run, backlog: Backlog, tenant_id: UUID, job_id: UUID, job: Mapping[str, Any]) -> None:
        self.tenant_id = tenant_id
        self.id = job_id
        self.payload: Mapping[str, Any] = job["payload"]
        self.finished = False
        self.lease = run
        self._backlog = backlog
        # One that was put aside, and is tried again, begins anew.
        self._failed_runs: int = 0 if job["status"] == "aside" else job["failed_runs"]

    def is_last(self, patience: Patience) -> bool:
        """Whether the job is put aside where this run fails too."""
        return self._failed_runs + 1 >= patience.most_failures

    async def finish(self, tx: Tx) -> None:
        """The job is done, if the tenant's transaction commits: its effect and its end are one. Raises Overtaken."""
        await self._backlog.end(tx, self)
        self.finished = True

    async def fail(self, tx: Tx, patience: Patience, error: Exception) -> timedelta | None:
        """The run failed: after how long the job is tried again; None: it is put aside. Raises Overtaken."""
        failed_runs = self._failed_runs + 1
        aside = failed_runs >= patience.most_failures
        delay = timedelta() if aside else patience.delay(failed_runs)
        if aside:
            await self.lease.put_aside(tx, type(error).__name__)
        else:
            await self.lease.finish(tx)
        values = {"becomes": "aside" if aside else "ready", "failed_runs": failed_runs, "delay": delay}
        row = await tx.fetchrow(_FAILED, job_id=self.id, **values)
        if row is None:  # its tenant is being purged
            return None if aside else delay
        before, moment = row
        if not aside:
            await _look_later(tx, float(moment), delay.total_seconds())
        await self._backlog.admit(tx, given_back=int(before == "admitted"))
        return None if aside else delay


TenantHandler = Callable[[TenantRun], Awaitable[None]]
"""Does a job of a tenant. It may be run again after any failure, and beside one that is taken for dead. Where it
finishes the job by itself, in a transaction that fails, it raises.
"""


class Backlog:
    """Where jobs of tenants wait. `share`: the most of one tenant's that are in the queue, waiting or running."""

    def __init__(self, share: int) -> None:
        self._share = share

    async def add(self, tx: Tx, entrypoint: str, *payloads: Mapping[str, Any]) -> None:
        """Has jobs of the transaction's tenant done once it has committed, one for each payload, which holds no secret.

        Whoever adds one to the same backlog waits until the transaction ends: it comes last in it.
        """
        ids = [uuid7() for _ in payloads]
        given = {"tenant_id": tx.tenant_id, "entrypoint": entrypoint, "ids": ids, "payloads": list(payloads)}
        await tx.execute(_ADD, **given)
        await self.admit(tx)

    async def admit(self, tx: Tx, *, given_back: int = 0) -> None:
        """Puts into the queue what the tenant's share has room for. `given_back`: how many slots were."""
        if await tx.fetchval(_ADMIT, tenant_id=tx.tenant_id, given_back=given_back, share=self._share):
            tx.tell_here(ENQUEUED)

    async def end(self, tx: Tx, run: TenantRun) -> None:
        """Ends the run's job and lets the next one in, in its tenant's transaction. Raises Overtaken."""
        outcome = await tx.fetchval(_END, **self._ending([run]), in_haste=False)
        if not outcome["ended"]:
            raise Overtaken
        if outcome["came"]:
            tx.tell_here(ENQUEUED)

    async def reconcile(self, tx: Tx) -> int:
        """Sets right what is left of failures that nobody could write down, and asks again for jobs that were lost: how
        many those were.

        A job can be lost: a queue that is restored from a backup knows nothing of what was enqueued since.
        """
        # No room for any yet: it holds the tenant's slots, so that what is counted stays so.
        if await tx.fetchval(_ADMIT, tenant_id=tx.tenant_id, given_back=0, share=0) is None:
            return 0
        ((lost,),) = await tx.run(_SETTLE, tx.tenant_id)
        await self.admit(tx)
        return int(lost)

    def handler(self, database: Database, act: TenantHandler, patience: Patience = PATIENCE) -> Handler:
        """What does the jobs in the queue that stand for jobs of tenants."""
        reading = Together(partial(_read, database))
        ending = Together(partial(self._end_together, database))

        async def do(run: Run) -> None:
            named = orjson.loads(run.payload)
            tenant_id, job_id = UUID(named["tenant_id"]), UUID(named["id"])
            job = await reading((tenant_id, job_id))
            if job is None:  # its tenant was purged
                return
            this = TenantRun(run, self, tenant_id, job_id, job)
            failure: Exception | None = None
            try:
                await act(this)
            except Exception as error:  # noqa: BLE001 - whatever it is, the job is tried again
                failure = error
            if failure is None:
                if not this.finished:
                    await self._end(database, ending, this)
                return
            async with database.tenant_tx(tenant_id) as tx:
                delay = await this.fail(tx, patience, failure)
            # Not from the failure: the engine keeps what an error came from, which may speak of people.
            raise PutAside(failure) if delay is None else SetBack(failure, delay)

        return do

    async def _end(self, database: Database, ending: Together[TenantRun, bool], run: TenantRun) -> None:
        """Ends the job of a run that has not, with those that end at the same moment. Raises Overtaken."""
        try:
            ended = await ending(run)
        except Exception as error:  # noqa: BLE001 - it may have been another's: each by itself then
            _log.warning("jobs not ended together", tenant_id=run.tenant_id, error=type(error).__name__)
            async with database.tenant_tx(run.tenant_id) as tx:
                await self.end(tx, run)
        else:
            if not ended:
                raise Overtaken

    async def _end_together(self, database: Database, runs: Sequence[TenantRun]) -> list[bool]:
        """Ends the jobs of runs of whichever tenants, and lets the next ones in, in a transaction; which it did."""
        outcome = await database.at_once(_END, **self._ending(runs), in_haste=True)
        if outcome["came"]:
            database.tell_here(ENQUEUED)
        ended = set(outcome["ended"])
        return [place in ended for place in range(1, len(runs) + 1)]

    def _ending(self, runs: Sequence[TenantRun]) -> dict[str, Any]:
        return {
            "job_ids": [run.lease.job_id for run in runs],
            "run_tokens": [run.lease.token for run in runs],
            "tenants": [run.tenant_id for run in runs],
            "ids": [run.id for run in runs],
            "share": self._share,
        }

    def admitting(self, database: Database) -> Handler:
        """What does ADMIT."""

        async def admit(run: Run) -> None:
            async with database.tenant_tx(UUID(bytes=run.payload)) as tx:
                await self.admit(tx)

        return admit


async def asked(
    tx: Tx, entrypoint: str, about: Mapping[str, Any] | None = None
) -> list[tuple[Mapping[str, Any], bool]]:
    """What those jobs of the transaction's tenant are about that wait, are under way, or were put aside: which is told
    with each. `about`: those alone that have this in their payload.
    """
    rows = await tx.fetch(_ASKED, entrypoint=entrypoint, about=about or {})
    return [(row["payload"], row["status"] == "aside") for row in rows]


async def goes_on(tx: Tx, entrypoint: str, about: Mapping[str, Any]) -> bool:
    """Whether one of those jobs of the transaction's tenant that have this in their payload waits, or is under way."""
    return bool(await tx.fetchval(_GOES_ON, entrypoint=entrypoint, about=about))


async def forget(tx: Tx, entrypoint: str, about: Mapping[str, Any]) -> None:
    """Forgets those jobs of the transaction's tenant that have this in their payload, and wait or were put aside. One
    that is in the queue is left to its run, which ends it.
    """
    await tx.execute(_FORGET, entrypoint=entrypoint, about=about)


async def _read(database: Database, jobs: Sequence[tuple[UUID, UUID]]) -> list[Mapping[str, Any] | None]:
    """The rows of jobs, by their tenants and ids; None for one that is gone."""
    tenants, ids = map(list, zip(*jobs, strict=True))
    found: list[Mapping[str, Any] | None] = await database.at_once(_READ, tenants=tenants, ids=ids)
    return found


async def _look_later(tx: Tx, moment: float, seconds: float) -> None:
    """Has the tenant's backlog looked at so many seconds after the moment, or a little later. `moment`: the
    transaction's.
    """
    step = _STEP if seconds < _SOON_SECONDS else _LATER_STEP
    due = ceil((moment + seconds) / step) * step
    key = f"{tx.tenant_id}/admit/{due:.0f}"
    await enqueue(tx, ADMIT, tx.tenant_id.bytes, delay=timedelta(seconds=due - moment), key=key)
