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


async def reconcile(database: Database, slices: Iterable[Claims]) -> int:
    """Enqueues what no job is there for; how many those were.

    A job can be lost: the engine drops one whose handler raises, and a queue that is restored from a backup knows
    nothing of what was enqueued since. The slices' tables are the authority.
    """
    lost = 0
    for claims in slices:
        async for due in claims():
            async with database.global_tx() as tx:
                lost += await enqueue(tx, due.entrypoint, due.payload, key=due.key)
    return lost
