"""What workers do: the jobs of every slice and their schedule, and a process that does nothing else."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from server.audit.service import AuditLog
from server.db.database import Database
from server.identity.service.expiry import Expiry
from server.identity.service.signing import SigningKeys
from server.jobs.queue import prune, waking
from server.jobs.runs import Run
from server.jobs.worker import Cron, Handler, Worker
from server.kernel.tasks import Background
from server.model.ledger import Ledger
from server.model.service.upkeep import ModelUpkeep
from server.prompt.service.upkeep import PromptBelongings, PromptUpkeep
from server.settings import Settings
from server.telemetry import serve_metrics
from server.tenant.purge import TenantPurge
from server.tenant.standing import TenantStanding

_log = structlog.get_logger("atrium.work")

SCHEDULE = (
    Cron("upkeep/1", "17 * * * *"),
    Cron("prune/1", "43 3 * * *"),
    Cron("rotate_signing_key/1", "11 4 * * *"),
)
"""By names that carry a version: jobs of an older one may be in the queue when a newer server starts."""


class Upkeep:
    """Removes what has expired and what was deleted long ago, in every tenant."""

    def __init__(
        self,
        standing: TenantStanding,
        expiry: Expiry,
        purge: TenantPurge,
        models: ModelUpkeep,
        prompts: PromptUpkeep,
    ) -> None:
        self._standing = standing
        self._models = models
        self._prompts = prompts
        self._expiry = expiry
        self._purge = purge

    async def __call__(self, _: Run) -> None:
        async for tenant, retention_days in self._standing.everyone():
            if await self._purge.due(tenant, retention_days):
                _log.info("tenant purged", tenant_id=tenant.id)
                continue
            await self._models.sweep(tenant.id)
            await self._prompts.sweep(tenant.id, retention_days)
            if removed := await self._expiry.sweep(tenant.id, retention_days):
                _log.info("upkeep", tenant_id=tenant.id, **removed)


def worker(settings: Settings, database: Database, registry: CollectorRegistry) -> Worker:
    """A worker for the jobs of every slice. `registry`: where it counts them."""
    audit = AuditLog(database)
    purge = TenantPurge(database, settings.admin_database_url, audit)
    standing = TenantStanding(database)
    models = ModelUpkeep(database, Ledger(database, audit, Background()), standing)
    expiry = Expiry(database, audit, PromptBelongings())
    upkeep = Upkeep(standing, expiry, purge, models, PromptUpkeep(database, audit))

    signing = SigningKeys(database, audit, settings.master_keys, settings.access_life)

    async def pruning(_: Run) -> None:
        await prune(database)

    async def rotating(_: Run) -> None:
        await signing.rotate_after(timedelta(days=settings.signing_key_days))

    handlers: dict[str, Handler] = {"upkeep/1": upkeep, "prune/1": pruning, "rotate_signing_key/1": rotating}
    return Worker(settings, database, handlers, SCHEDULE, registry=registry)


@asynccontextmanager
async def working(settings: Settings, database: Database, registry: CollectorRegistry) -> AsyncIterator[None]:
    """A worker beside whatever else this process does. At the end it finishes its jobs, within the grace period."""
    crew = worker(settings, database, registry)
    task = asyncio.create_task(crew.run(), name="worker")
    try:
        yield
    finally:
        crew.stop()
        await asyncio.wait([task], timeout=settings.grace_seconds)
        task.cancel()  # what still runs is taken over by another worker
        await asyncio.wait([task])


async def work(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT. Raises SettingsError, and the refusals of `Database.open`."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    registry = CollectorRegistry()
    serve_metrics(registry, settings, process=0)
    async with Database.open(settings) as database, waking(settings, database), working(settings, database, registry):
        _log.info("working")
        await stopping.wait()
