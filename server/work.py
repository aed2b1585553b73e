"""What workers do: the jobs of every slice and their schedule, and a process that does nothing else."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry

from server.audit.service.log import AuditLog
from server.audit.service.sealing import Sealing
from server.audit.store import checkpoints
from server.audit.tables import audit_logs
from server.db.database import Database
from server.db.retention import Retention
from server.db.upkeep import analyze_divided, months_kept
from server.identity.ports import Belongings, Mailer
from server.identity.service.expiry import Expiry
from server.identity.service.mailing import MAIL, MAIL_PATIENCE, MOST_MAILS, MailBelongings, TokenMail
from server.identity.service.signing import SigningKeys
from server.identity.store import idempotency
from server.jobs.backlog import ADMIT, Backlog
from server.jobs.queue import prune, waking
from server.jobs.reconcile import reconcile
from server.jobs.runs import Run
from server.jobs.worker import Cron, Handler, Worker
from server.kernel.errors import DatabaseUnavailable
from server.kernel.grace import Grace
from server.kernel.tasks import Background
from server.knowledge.service.upkeep import KnowledgeBelongings, KnowledgeUpkeep
from server.knowledge.store import queries
from server.knowledge.tables import rag_query_logs
from server.labour import MOST, Labour, labouring
from server.mail.outgoing import mailer
from server.model.ledger import Ledger
from server.model.service.upkeep import ModelBelongings, ModelUpkeep
from server.model.store import logs
from server.model.tables import model_call_logs
from server.prompt.service.upkeep import PromptBelongings, PromptUpkeep
from server.settings import Settings
from server.telemetry import serve_metrics
from server.tenant.belongings import TenantBelongings
from server.tenant.domain import OwnerUnknown, Tenant, TenantNotFound
from server.tenant.purge import TenantPurge
from server.tenant.standing import TenantStanding
from server.workflow.service.upkeep import WorkflowBelongings, WorkflowUpkeep
from server.workflow.store import executions
from server.workflow.tables import execution_events, workflow_executions, workflow_tasks

_log = structlog.get_logger("atrium.work")

SCHEDULE = (
    Cron("upkeep/1", "17 * * * *"),
    Cron("reconcile/1", "*/5 * * * *"),
    Cron("reingest/1", "3-59/10 * * * *"),
    Cron("restep/1", "1-59/5 * * * *"),
    Cron("seal/1", "37 * * * *"),
    Cron("retention/1", "51 1 * * *"),
    Cron("analyze/1", "29 2 * * *"),
    Cron("prune/1", "43 3 * * *"),
    Cron("rotate_signing_key/1", "11 4 * * *"),
)
"""By names that carry a version: jobs of an older one may be in the queue when a newer server starts."""


_MOST_UNANSWERED = 3
"""Tenants one after the other for which the database does not answer: it is away for all of them then."""


async def for_everyone(standing: TenantStanding, keep: Callable[[Tenant, int], Awaitable[None]]) -> None:
    """Does it for every tenant, given the days that it keeps what was deleted.

    Raises UpkeepIncomplete where it failed for some tenants, once it was done for all the others; DatabaseUnavailable
    where that answers for none of several.
    """
    failed, unanswered = 0, 0
    async for tenant, retention_days in standing.everyone():
        try:
            await keep(tenant, retention_days)
        except TenantNotFound:  # purged meanwhile
            continue
        except Exception as error:  # whatever is wrong with one tenant is not with the others
            failed += 1
            _log.error("upkeep failed", tenant_id=tenant.id, exc_info=error)
            # So ends, too, what takes too long for this one tenant, or waits for a lock on something of it.
            unanswered = unanswered + 1 if isinstance(error, DatabaseUnavailable) else 0
            if unanswered == _MOST_UNANSWERED:
                raise
        else:
            unanswered = 0
    if failed:
        raise UpkeepIncomplete(f"upkeep failed for {failed} tenants")


class Upkeep:
    """Removes what has expired and what was deleted long ago, in every tenant."""

    def __init__(
        self,
        standing: TenantStanding,
        expiry: Expiry,
        purge: TenantPurge,
        models: ModelUpkeep,
        prompts: PromptUpkeep,
        knowledge: KnowledgeUpkeep,
        workflows: WorkflowUpkeep,
    ) -> None:
        self._standing = standing
        self._models = models
        self._prompts = prompts
        self._knowledge = knowledge
        self._workflows = workflows
        self._expiry = expiry
        self._purge = purge

    async def __call__(self, _: Run) -> None:
        """Raises what `for_everyone` does."""
        waiting = 0

        async def keep(tenant: Tenant, retention_days: int) -> None:
            nonlocal waiting
            waiting += await self._keep(tenant, retention_days)

        try:
            await for_everyone(self._standing, keep)
        finally:
            if waiting:
                _log.warning("tenants are due to be purged, which takes ATRIUM_ADMIN_DATABASE_URL", tenants=waiting)

    async def _keep(self, tenant: Tenant, retention_days: int) -> bool:
        """Whether the tenant is due to be purged, and waits for a server that knows the owner."""
        waits = False
        try:
            if await self._purge.due(tenant, retention_days):
                _log.info("tenant purged", tenant_id=tenant.id)
                return False
        except OwnerUnknown:
            waits = True
        if tenant.purge_started_at is not None:
            return waits
        await self._models.sweep(tenant.id)
        await self._prompts.sweep(tenant.id, retention_days)
        await self._knowledge.sweep(tenant.id, retention_days)
        await self._workflows.sweep(tenant.id, retention_days)
        if removed := await self._expiry.sweep(tenant.id, retention_days):
            _log.info("upkeep", tenant_id=tenant.id, **removed)
        return waits


class UpkeepIncomplete(Exception):
    """The upkeep failed for some tenants; the log says which, and why."""


def belongings() -> tuple[Belongings, ...]:
    """What every slice keeps that belongs to people, and goes with them."""
    forget = idempotency.forget_about
    return (
        PromptBelongings(forget),
        KnowledgeBelongings(forget),
        WorkflowBelongings(forget),
        ModelBelongings(),
        MailBelongings(),
        TenantBelongings(),
    )


def retentions(settings: Settings, standing: TenantStanding) -> tuple[Retention, ...]:
    """What removes, of every slice, what is only ever added to, and kept for a time."""

    async def call_log_days(tenant_id: UUID) -> int:
        return (await standing.model_settings(tenant_id)).call_log_retention_days

    async def audit_days(tenant_id: UUID) -> int:
        return (await standing.model_settings(tenant_id)).audit_retention_days

    async def query_log_days(tenant_id: UUID) -> int:
        return (await standing.model_settings(tenant_id)).query_log_retention_days

    async def execution_days(tenant_id: UUID) -> int:
        return (await standing.model_settings(tenant_id)).execution_retention_days

    owner_url = settings.admin_database_url
    return (
        Retention(model_call_logs, owner_url, call_log_days, logs.expire, whole_months=True),
        Retention(rag_query_logs, owner_url, query_log_days, queries.expire, whole_months=True),
        # What has not ended stays, and so do its months. Events and tasks go with their executions; what is left of
        # theirs are empty months, and those of executions, which they refer to, go last.
        *(
            Retention(
                part, owner_url, execution_days, executions.expire, whole_months=False, part_of=workflow_executions
            )
            for part in (execution_events, workflow_tasks)
        ),
        Retention(workflow_executions, owner_url, execution_days, executions.expire, whole_months=False),
        # What is not sealed stays, and so does its month.
        Retention(audit_logs, owner_url, audit_days, checkpoints.expire, whole_months=False),
    )


def worker(
    settings: Settings,
    database: Database,
    registry: CollectorRegistry,
    mailer: Mailer | None,
    labour: Labour | None,
) -> Worker:
    """A worker for the jobs of every slice, which it counts in `registry`. `mailer`, `labour`: None: it leaves mail, or
    what takes models, to others.
    """
    audit = AuditLog(database)
    purge = TenantPurge(database, settings.admin_database_url, audit)
    standing = TenantStanding(database)
    models = ModelUpkeep(database, Ledger(database, audit, Background()), standing)
    expiry = Expiry(database, audit, belongings())
    signing = SigningKeys(database, audit, settings.master_keys, settings.access_life)
    prompts = PromptUpkeep(database, audit, idempotency.forget_about)
    knowledge = KnowledgeUpkeep(database, audit, idempotency.forget_about)
    workflows = WorkflowUpkeep(database, audit, idempotency.forget_about)
    upkeep = Upkeep(standing, expiry, purge, models, prompts, knowledge, workflows)
    seal = Sealing(database, signing)
    backlog = Backlog(settings.jobs_per_tenant)

    async def pruning(_: Run) -> None:
        await prune(database)

    async def rotating(_: Run) -> None:
        await signing.rotate_after(timedelta(days=settings.signing_key_days))

    async def reconciling(_: Run) -> None:
        if lost := await reconcile(database, backlog):
            _log.warning("jobs were lost, and are asked for again", count=lost)

    async def sealing(_: Run) -> None:
        if (before := await seal.horizon()) is None:
            return

        async def seal_of(tenant: Tenant, _: int) -> None:
            if tenant.purge_started_at is None:
                await seal(tenant.id, before)

        await for_everyone(standing, seal_of)

    async def retaining(_: Run) -> None:
        for retention in retentions(settings, standing):
            await retention(tenant.id async for tenant, _ in standing.everyone())

    async def analyzing(_: Run) -> None:
        await analyze_divided(settings)

    handlers: dict[str, Handler] = {
        "upkeep/1": upkeep,
        "prune/1": pruning,
        "rotate_signing_key/1": rotating,
        "reconcile/1": reconciling,
        "seal/1": sealing,
        "retention/1": retaining,
        "analyze/1": analyzing,
        ADMIT: backlog.admitting(database),
    }
    most: dict[str, int] = {}
    if labour is not None:

        async def reingesting(_: Run) -> None:
            await for_everyone(standing, lambda tenant, _: labour.reingest(tenant.id, backlog))

        async def restepping(_: Run) -> None:
            await for_everyone(standing, lambda tenant, _: labour.restep(tenant.id))

        handlers |= {"reingest/1": reingesting, "restep/1": restepping, **labour.handlers(database, backlog)}
        most |= MOST
    if mailer is not None:
        handlers[MAIL] = backlog.handler(database, TokenMail(database, standing, mailer), MAIL_PATIENCE)
        most[MAIL] = MOST_MAILS
    return Worker(settings, database, handlers, SCHEDULE, most=most, registry=registry)


@asynccontextmanager
async def working(
    settings: Settings,
    database: Database,
    grace: Grace,
    registry: CollectorRegistry,
    mailer: Mailer | None,
    labour: Labour | None,
) -> AsyncIterator[Worker]:
    """A worker beside whatever else this process does. At the end its jobs finish, within the grace period."""
    crew = worker(settings, database, registry, mailer, labour)
    task = asyncio.create_task(crew.run(), name="worker")
    try:
        yield crew
    finally:
        grace.begin()
        crew.stop()
        await asyncio.wait([task], timeout=grace.to_finish)
        task.cancel()  # what still runs is taken over by another worker
        await asyncio.wait([task], timeout=grace.left)


async def work(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT. Raises SettingsError, and the refusals of `Database.open`."""
    stopping, grace = asyncio.Event(), Grace(settings.grace_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    registry = CollectorRegistry()
    by = mailer(settings, console=False)
    if by is None:
        _log.warning("mail is left to other workers: ATRIUM_SMTP_URL is not set")
    serve_metrics(registry, settings, process=0)
    async with (
        Database.open(settings) as database,
        months_kept(settings),
        waking(settings, database),
        labouring(settings, database, grace) as labour,
        working(settings, database, grace, registry, by, labour),
    ):
        _log.info("working")
        await stopping.wait()
