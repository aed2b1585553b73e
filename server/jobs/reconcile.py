"""Jobs that should be there and are not: asked for again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from server.db.database import Database
from server.jobs.queue import enqueue


@dataclass(frozen=True, slots=True)
class Due:
    """Something that a slice's own tables say is queued or runs, and the job that must be there for it.

    `key`: that of the job, by which it is seen whether it is.
    """

    entrypoint: str
    payload: bytes
    key: str


Claims = Callable[[], AsyncIterator[Due]]
"""What a slice's tables say is to be done."""


_ASIDE = "SELECT FROM jobs.pgqueuer WHERE dedupe_key = $1 AND status = 'failed' LIMIT 1"


async def reconcile(database: Database, slices: Iterable[Claims]) -> int:
    """Enqueues what no job is there for; how many those were.

    A job can be lost: a queue that is restored from a backup knows nothing of what was enqueued since. The slices'
    tables are the authority. What was put aside is not asked for again as long as it is kept: a new job would be tried,
    and put aside, all over again.
    """
    lost = 0
    for claims in slices:
        async for due in claims():
            lost += await _ask(database, due)
    return lost


async def _ask(database: Database, due: Due) -> bool:
    try:
        async with database.global_tx() as tx:
            if not await enqueue(tx, due.entrypoint, due.payload, key=due.key):
                return False
            # Afterwards: one that runs, and is put aside at this moment, is either there or kept.
            if await tx.run(_ASIDE, due.key):
                raise _PutAside
    except _PutAside:
        return False
    return True


class _PutAside(Exception):
    """There is a job with that key, which was put aside."""
