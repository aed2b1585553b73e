"""Jobs that were put aside: for somebody to look at, who has them done anew once the cause is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from server.db.database import Database

_MOST_LISTED = 100

_LIST = """
SELECT job.id, job.entrypoint, job.dedupe_key, job.updated, why.error
FROM jobs.pgqueuer AS job
LEFT JOIN LATERAL (
    SELECT nullif(log.traceback ->> 'exception_message', '') AS error FROM jobs.pgqueuer_log AS log
    WHERE log.job_id = job.id AND log.traceback IS NOT NULL ORDER BY log.created DESC, log.id DESC LIMIT 1
) AS why ON true
WHERE job.status = 'failed'
ORDER BY job.updated DESC
LIMIT $1
"""
_ALL = "SELECT id FROM jobs.pgqueuer WHERE status = 'failed' ORDER BY id"
# Of jobs with one key there is one at a time: where another has been asked for since, this one stays.
_RETRY = """
WITH again AS (
    UPDATE jobs.pgqueuer AS job
    SET status = 'queued', execute_after = now(), updated = now(), attempts = 0
    WHERE id = $1 AND status = 'failed' AND NOT EXISTS (
        SELECT FROM jobs.pgqueuer AS other
        WHERE other.dedupe_key = job.dedupe_key AND other.status IN ('queued', 'picked')
    )
    RETURNING id, entrypoint, priority, status
)
INSERT INTO jobs.pgqueuer_log (job_id, entrypoint, priority, status) SELECT * FROM again RETURNING job_id
"""


@dataclass(frozen=True, slots=True)
class Aside:
    """A job that was put aside at that time. `error`: what its last run failed with; None where it came to no end."""

    id: int
    entrypoint: str
    key: str | None
    at: datetime
    error: str | None


async def put_aside(database: Database) -> list[Aside]:
    """The jobs that were put aside, the last ones first."""
    async with database.global_tx() as tx:
        return [Aside(*row) for row in await tx.run(_LIST, _MOST_LISTED)]


async def retry(database: Database, ids: Sequence[int] | None = None) -> list[int]:
    """Has those of the jobs that were put aside done anew, from their first try on; all of them where none is named.

    Which they were.
    """
    again = []
    async with database.global_tx() as tx:
        for job_id in [row["id"] for row in await tx.run(_ALL)] if ids is None else ids:
            again += [row["job_id"] for row in await tx.run(_RETRY, job_id)]
    return again
