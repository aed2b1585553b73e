"""Runs of jobs: how often each was begun, and who may finish it.

A worker that is stopped past its heartbeat is overtaken, and comes back to finish what another has begun again. The
engine would let it: it removes a job by its id, and its own count of attempts does not know of crashes. So each run has
a token of its own, the last one counts, and what is finished under an older one is discarded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Job, TracebackRecord
from pgqueuer.domain.types import JOB_STATUS, JobId

from server.db.database import Database, Tx

_BEGIN = """
INSERT INTO jobs.runs AS run (job_id, attempts, run_token)
SELECT job_id, 1, run_token FROM unnest($1::bigint[], $2::uuid[]) AS begun (job_id, run_token) ORDER BY job_id
ON CONFLICT (job_id) DO UPDATE SET attempts = run.attempts + 1, run_token = excluded.run_token, begun_at = now()
RETURNING job_id, attempts
"""
_HOLD = "SELECT job_id FROM jobs.runs WHERE job_id = $1 AND run_token = $2 FOR UPDATE"
_FINISH = """
WITH mine AS (DELETE FROM jobs.runs WHERE job_id = $1 AND run_token = $2 RETURNING job_id)
DELETE FROM jobs.pgqueuer WHERE id IN (SELECT job_id FROM mine)
"""
_MINE = """
DELETE FROM jobs.runs WHERE (job_id, run_token) IN (SELECT * FROM unnest($1::bigint[], $2::uuid[])) RETURNING job_id
"""
_STILL_MINE = "SELECT 1 FROM jobs.runs WHERE job_id = $1 AND run_token = $2"


class Overtaken(Exception):
    """The run was taken for dead, and another has begun: what this one did is to be discarded."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job. `attempts`: how often it was begun, this time included."""

    job_id: int
    payload: bytes
    attempts: int
    token: UUID

    async def hold(self, tx: Tx) -> None:
        """Nobody overtakes the run until the transaction ends. Raises Overtaken where somebody has."""
        if not await tx.run(_HOLD, self.job_id, self.token):
            raise Overtaken

    async def finish(self, tx: Tx) -> None:
        """The job is done, if the transaction commits: its effect and its end are one. Raises Overtaken."""
        await self.hold(tx)
        await tx.run(_FINISH, self.job_id, self.token)


async def begin(database: Database, jobs: Sequence[Job]) -> list[Run]:
    """Counts a run of each, before it does anything: one that ends with its process was one too. `jobs`: each once."""
    tokens = {int(job.id): uuid4() for job in jobs}
    async with database.global_tx() as tx:
        rows = await tx.run(_BEGIN, list(tokens), list(tokens.values()))
    attempts: dict[int, int] = {row["job_id"]: row["attempts"] for row in rows}
    return [
        Run(number, job.payload or b"", attempts[number], tokens[number]) for job in jobs for number in [int(job.id)]
    ]


class FencedQueries(Queries):
    """The engine's statements; what ends a job does so only under the token of its last run."""

    tokens: dict[int, UUID]
    """Of the runs of this worker, by job."""

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        # A run that is cancelled as its worker stops is not over: another worker takes the job.
        ended = [entry for entry in job_status if entry[1] != "canceled"]
        mine = await self._mine([int(job.id) for job, _, _ in ended])
        if kept := [entry for entry in ended if int(entry[0].id) in mine]:
            await super().log_jobs(kept)

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        token = self.tokens.pop(int(job.id), None)
        if token is not None and await self.driver.fetch(_STILL_MINE, job.id, token):
            await super().retry_job(job, delay, traceback_record)

    async def update_heartbeat(self, job_ids: list[JobId]) -> None:
        if running := [job_id for job_id in job_ids if int(job_id) in self.tokens]:
            await super().update_heartbeat(running)

    async def _mine(self, job_ids: Sequence[int]) -> set[Any]:
        """Those whose last run was this worker's."""
        tokens = {job_id: self.tokens.pop(job_id) for job_id in job_ids if job_id in self.tokens}
        rows = await self.driver.fetch(_MINE, list(tokens), list(tokens.values()))
        return {row["job_id"] for row in rows}
