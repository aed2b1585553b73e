"""Jobs that are tenants' own, for tests: asked for by number, and noted when they run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

from server.db.database import Database
from server.jobs.backlog import ADMIT, Backlog, TenantHandler, TenantRun
from server.jobs.worker import Handler, Patience
from tests.jobs.working import NOT_FOR_EVER, QUICK

LEFT = "SELECT count(*) FROM tenant_jobs"
SLOTS = "SELECT sum(admitted) FROM tenant_slots"

_NAME = "theirs"


def backlog(share: int = 10) -> Backlog:
    return Backlog(share)


def handlers(
    database: Database, act: TenantHandler, *, share: int = 10, patience: Patience = QUICK
) -> Mapping[str, Handler]:
    """What a worker is given to do them."""
    made = backlog(share)
    return {_NAME: made.handler(database, act, patience), ADMIT: made.admitting(database)}


async def add(database: Database, tenant_id: UUID, number: int, *, share: int = 10) -> None:
    async with database.tenant_tx(tenant_id) as tx:
        await backlog(share).add(tx, _NAME, {"number": number})


class Theirs:
    """Notes each run. `failures`: so many runs of each job fail; `shut`: jobs do not end until it is `open`."""

    def __init__(self, *, failures: int = 0, shut: bool = False) -> None:
        self.open = asyncio.Event()
        if not shut:
            self.open.set()
        self.begun: asyncio.Queue[tuple[UUID, int]] = asyncio.Queue()
        self._failures = failures
        self._runs: dict[UUID, int] = {}

    async def __call__(self, run: TenantRun) -> None:
        self.begun.put_nowait((run.tenant_id, run.payload["number"]))
        await self.open.wait()
        self._runs[run.id] = self._runs.get(run.id, 0) + 1
        if self._runs[run.id] <= self._failures:
            raise ZeroDivisionError

    async def next(self) -> tuple[UUID, int]:
        """Whose job began next, and its number."""
        async with asyncio.timeout(NOT_FOR_EVER):
            return await self.begun.get()
