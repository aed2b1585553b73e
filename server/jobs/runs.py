"""Runs of jobs: how often each was begun, and who may finish it.

A worker that is stopped past its heartbeat is overtaken, and comes back to finish what another has begun again. The
engine would let it: it removes a job by its id, and its own count of attempts does not know of crashes. So each run has
a token of its own, the last one counts, and what is finished under an older one is discarded. Whatever begins or ends a
run is one statement, which locks the run before the job: between a look at the token and the act nobody overtakes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Job, TracebackRecord
from pgqueuer.domain.types import JOB_STATUS, JobId, QueueEntrypoint

from server.db.database import Database, Tx

_log = structlog.get_logger("atrium.jobs")

# Who no longer has the lease does not begin. The job is looked at again once the run is written: the one that was
# overtaken may have ended it while this waited for the run's row.
_BEGIN = """
WITH wanted AS (
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) AS wanted (job_id, worker, run_token)
), begun AS (
    INSERT INTO jobs.runs AS run (job_id, attempts, run_token)
    SELECT wanted.job_id, 1, wanted.run_token
    FROM wanted JOIN jobs.pgqueuer AS job ON job.id = wanted.job_id AND job.queue_manager_id = wanted.worker
    ORDER BY wanted.job_id
    ON CONFLICT (job_id) DO UPDATE SET attempts = run.attempts + 1, run_token = excluded.run_token, begun_at = now()
    RETURNING job_id, attempts
)
SELECT begun.job_id, begun.attempts
FROM begun
JOIN wanted ON wanted.job_id = begun.job_id
JOIN jobs.pgqueuer AS job ON job.id = wanted.job_id AND job.queue_manager_id = wanted.worker
FOR KEY SHARE OF job
"""
_FINISH = """
WITH mine AS (DELETE FROM jobs.runs WHERE job_id = $1 AND run_token = $2 RETURNING job_id)
DELETE FROM jobs.pgqueuer WHERE id IN (SELECT job_id FROM mine) RETURNING id
"""
# As the engine's own end of a run that failed, and part of somebody's transaction.
_PUT_ASIDE = """
WITH mine AS (
    DELETE FROM jobs.runs WHERE job_id = $1 AND run_token = $2 RETURNING job_id
), held AS (
    UPDATE jobs.pgqueuer SET status = 'failed', updated = now(), queue_manager_id = NULL
    WHERE id IN (SELECT job_id FROM mine)
    RETURNING id, entrypoint, priority, status
)
INSERT INTO jobs.pgqueuer_log (job_id, entrypoint, priority, status, traceback)
SELECT held.*, jsonb_build_object('exception_message', $3::text) FROM held RETURNING job_id
"""
_END = """
WITH mine AS (
    SELECT ended.*
    FROM unnest($1::bigint[], $2::uuid[], $3::jobs.pgqueuer_status[], $4::jsonb[])
        AS ended (job_id, run_token, status, traceback)
    JOIN jobs.runs AS run ON run.job_id = ended.job_id AND run.run_token = ended.run_token
    ORDER BY ended.job_id
    FOR UPDATE OF run
), over AS (
    DELETE FROM jobs.runs WHERE job_id IN (SELECT job_id FROM mine)
), removed AS (
    DELETE FROM jobs.pgqueuer AS job USING mine WHERE job.id = mine.job_id AND mine.status <> 'failed'
    RETURNING job.id, job.entrypoint, job.priority, mine.status, mine.traceback
), held AS (
    UPDATE jobs.pgqueuer AS job SET status = mine.status, updated = now(), queue_manager_id = NULL
    FROM mine WHERE job.id = mine.job_id AND mine.status = 'failed'
    RETURNING job.id, job.entrypoint, job.priority, mine.status, mine.traceback
)
INSERT INTO jobs.pgqueuer_log (job_id, entrypoint, priority, status, traceback)
SELECT * FROM removed UNION ALL SELECT * FROM held
"""
_AGAIN = """
WITH mine AS (
    SELECT job_id FROM jobs.runs WHERE job_id = $1 AND run_token = $2 FOR UPDATE
), again AS (
    UPDATE jobs.pgqueuer
    SET status = 'queued', execute_after = now() + $3::interval, attempts = attempts + 1, updated = now(),
        queue_manager_id = NULL
    WHERE id IN (SELECT job_id FROM mine)
    RETURNING id, entrypoint, priority, status
)
INSERT INTO jobs.pgqueuer_log (job_id, entrypoint, priority, status, traceback) SELECT again.*, $4::jsonb FROM again
"""
_GIVE_BACK = """
WITH mine AS (
    SELECT run.job_id
    FROM unnest($1::bigint[], $2::uuid[]) AS cut (job_id, run_token)
    JOIN jobs.runs AS run ON run.job_id = cut.job_id AND run.run_token = cut.run_token
    ORDER BY run.job_id
    FOR UPDATE OF run
), uncounted AS (
    UPDATE jobs.runs SET attempts = attempts - 1 WHERE job_id IN (SELECT job_id FROM mine)
)
UPDATE jobs.pgqueuer SET status = 'queued', updated = now(), queue_manager_id = NULL
WHERE id IN (SELECT job_id FROM mine) AND status = 'picked'
"""
# A job that somebody has locked is being ended: there is nothing to wait for, and other jobs would wait as well.
_BEAT = """
UPDATE jobs.pgqueuer SET heartbeat = now() WHERE id IN (
    SELECT job.id
    FROM unnest($1::bigint[], $2::uuid[]) AS mine (job_id, run_token)
    JOIN jobs.runs AS run ON run.job_id = mine.job_id AND run.run_token = mine.run_token
    JOIN jobs.pgqueuer AS job ON job.id = run.job_id
    FOR NO KEY UPDATE OF job SKIP LOCKED
)
"""


class Overtaken(Exception):
    """The run was taken for dead, and another has begun: what this one did is to be discarded."""


class PutAside(Exception):
    """The job failed, or was begun, too often: it is held for somebody to look at. `cause`: what its last run failed
    with; None: it came to no end.
    """

    def __init__(self, cause: BaseException | None) -> None:
        super().__init__("" if cause is None else type(cause).__name__)
        self.cause = cause


class SetBack(Exception):
    """The run failed, and is over: the backlog of its tenant has the job again, for `delay` later."""

    def __init__(self, cause: Exception, delay: timedelta) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause
        self.delay = delay


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job.

    `attempts`: how often it was begun, this time included, and without those that their worker's end cut short.
    """

    job_id: int
    payload: bytes
    attempts: int
    token: UUID

    async def finish(self, tx: Tx) -> None:
        """The job is done, if the transaction commits: its effect and its end are one. Raises Overtaken."""
        if not await tx.run(_FINISH, self.job_id, self.token):
            raise Overtaken

    async def put_aside(self, tx: Tx, why: str) -> None:
        """The job is held, if the transaction commits, for somebody to look at. Raises Overtaken."""
        if not await tx.run(_PUT_ASIDE, self.job_id, self.token, why):
            raise Overtaken


async def begin(database: Database, jobs: Sequence[Job]) -> list[Run | None]:
    """Counts a run of each, before it does anything: one that ends with its process was one too. `jobs`: each once.

    None for a job whose lease is another's by now, and for one that has ended.
    """
    tokens = {int(job.id): uuid4() for job in jobs}
    workers = [job.queue_manager_id for job in jobs]
    async with database.global_tx() as tx:
        rows = await tx.run(_BEGIN, list(tokens), workers, list(tokens.values()))
    attempts: dict[int, int] = {row["job_id"]: row["attempts"] for row in rows}
    return [
        Run(number, job.payload or b"", attempts[number], tokens[number]) if number in attempts else None
        for job in jobs
        for number in [int(job.id)]
    ]


class FencedQueries(Queries):
    """The engine's statements; what ends a job does so only under the token of its last run."""

    tokens: dict[int, UUID]
    """Of the runs of this worker whose end is not written yet, by job."""

    wake: Callable[[], None]
    """Has the engine look for jobs."""

    _passed_over = False
    """Whether the engine has left jobs that were due, since as many run as may: it would look again a tenth of a second
    later, whatever ends meanwhile."""

    async def has_table(self, table: str) -> bool:  # noqa: ARG002
        # The engine looks for what it needs whenever it begins, in a hundred queries for as many queues as there are.
        # It is there: the database was opened at the version of the schema that this program is of.
        return True

    async def table_has_column(self, table: str, column: str) -> bool:  # noqa: ARG002
        return True

    async def table_has_index(self, table: str, index: str) -> bool:  # noqa: ARG002
        return True

    async def has_user_defined_enum(self, key: str, enum: str) -> bool:  # noqa: ARG002
        return True

    async def eligible_queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        # It asks when it could take nothing.
        due = await super().eligible_queued_work(entrypoints)
        if due:
            self._passed_over = True
        return due

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        # A run that is cancelled as its worker stops is not over: another worker takes the job.
        cut = [int(job.id) for job, status, _ in job_status if status == "canceled"]
        await self._give_back({job_id: self.tokens[job_id] for job_id in cut if job_id in self.tokens})
        ended = {
            int(job.id): (status, record and record.model_dump_json())
            for job, status, record in job_status
            if status != "canceled" and int(job.id) in self.tokens
        }
        if ended:
            tokens = {job_id: self.tokens[job_id] for job_id in ended}
            await self.driver.execute(
                _END, list(tokens), list(tokens.values()), *map(list, zip(*ended.values(), strict=True))
            )
            self._written(tokens)
            if self._passed_over:
                self._passed_over = False
                self.wake()

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        job_id = int(job.id)
        token = self.tokens.get(job_id)
        if token is None:
            return
        try:
            await self.driver.execute(
                _AGAIN, job_id, token, delay, traceback_record and traceback_record.model_dump_json()
            )
        except Exception as error:  # noqa: BLE001 - the engine would put the job aside; without heartbeats it is taken over
            _log.warning("job left to its heartbeat", job=job_id, error=type(error).__name__)
        else:
            self._written({job_id: token})

    async def update_heartbeat(self, job_ids: list[JobId]) -> None:
        running = {int(job_id): self.tokens[int(job_id)] for job_id in job_ids if int(job_id) in self.tokens}
        if running:
            await self.driver.execute(_BEAT, list(running), list(running.values()))

    async def give_back(self) -> None:
        """The runs whose end could not be written count for nothing, and whoever is free takes their jobs."""
        await self._give_back(dict(self.tokens))

    async def _give_back(self, tokens: Mapping[int, UUID]) -> None:
        if tokens:
            await self.driver.execute(_GIVE_BACK, list(tokens), list(tokens.values()))
            self._written(tokens)

    def _written(self, tokens: Mapping[int, UUID]) -> None:
        for job_id, token in tokens.items():
            if self.tokens.get(job_id) == token:  # a job that is done again may have begun by now
                del self.tokens[job_id]
