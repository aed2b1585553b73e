"""What of the jobs takes models: documents made searchable, and steps of workflows done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

import structlog

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.gateway import Gateway
from server.identity.standing import Acting
from server.identity.store.idempotency import forget_about
from server.jobs.backlog import Backlog
from server.jobs.worker import Handler
from server.kernel.cores import cores
from server.kernel.grace import Grace
from server.kernel.tasks import Background
from server.knowledge.service.fetching import Fetching
from server.knowledge.service.ingestion import INGEST, MOST_INGESTIONS, Ingestion
from server.knowledge.service.making import PATIENCE as MAKING_PATIENCE
from server.knowledge.service.making import ChunkMaker
from server.knowledge.service.passages import Passages
from server.knowledge.service.rebuilding import MOST_REINDEXES, REINDEX, Rebuilding
from server.knowledge.service.searching import SearchService
from server.knowledge.service.sight import Sight
from server.knowledge.work import document_workers, question_workers
from server.model.service.calls import CallService
from server.model.service.conversations import Conversations
from server.net.fetching import Fetcher
from server.offload.workers import Workers
from server.prompt.rendering import Renderer
from server.prompt.service.counts import Counts
from server.prompt.service.rendering import PromptRendering
from server.prompt.service.sight import Sight as PromptSight
from server.prompt.service.work import PromptWork, prompt_workers
from server.settings import Settings
from server.tenant.standing import TenantStanding
from server.workflow.service.actions import Actions
from server.workflow.service.agents import AgentService
from server.workflow.service.engine import Engine
from server.workflow.service.progress import STEP, TEND
from server.workflow.service.running import AgentRunning
from server.workflow.service.steps import MOST_STEPS, Steps
from server.workflow.work import expression_workers

MOST = MappingProxyType({INGEST: MOST_INGESTIONS, REINDEX: MOST_REINDEXES, STEP: MOST_STEPS})
"""How many of a kind a worker does at once."""

_log = structlog.get_logger("atrium.work")


@dataclass(frozen=True, slots=True)
class Labour:
    """Who does it."""

    ingestion: Ingestion
    rebuilding: Rebuilding
    steps: Steps
    engine: Engine
    agents: AgentService
    running: AgentRunning

    @classmethod
    def of(
        cls,
        settings: Settings,
        database: Database,
        gateway: Gateway,
        readers: Workers,
        expressions: Workers,
        calls: CallService,
        searches: SearchService,
        background: Background,
    ) -> Labour:
        """`readers`, `expressions`: processes for documents, and for expressions."""
        audit, standing, backlog = AuditLog(database), TenantStanding(database), Backlog(settings.jobs_per_tenant)
        maker = ChunkMaker(database, gateway.embed, readers)
        fetcher = Fetcher(settings.max_document_bytes, guarded=not settings.private_model_addresses)
        agents, passages = AgentService(database, audit, forget_about), Passages(searches)
        conversations = Conversations(calls, gateway.planner)
        running = AgentRunning(agents, conversations, passages)
        engine, actions = Engine(database, backlog, standing), Actions(conversations, running, passages)
        return cls(
            Ingestion(database, maker, Fetching(database, fetcher), standing, audit),
            Rebuilding(database, maker, standing, backlog, audit),
            Steps(database, engine, expressions, actions, Acting(database), standing, background),
            engine,
            agents,
            running,
        )

    def handlers(self, database: Database, backlog: Backlog) -> dict[str, Handler]:
        """What does the jobs, by their names."""
        return {
            INGEST: backlog.handler(database, self.ingestion, MAKING_PATIENCE),
            REINDEX: backlog.handler(database, self.rebuilding, MAKING_PATIENCE),
            STEP: backlog.handler(database, self.steps),
            TEND: self.engine.tend,
        }

    async def reingest(self, tenant_id: UUID, backlog: Backlog) -> None:
        """Asks anew for what is to be made of documents and has no job any more."""
        if lost := await self.ingestion.reconcile(tenant_id, backlog):
            _log.info("documents are processed again", tenant_id=tenant_id, count=lost)
        if lost := await self.rebuilding.reconcile(tenant_id, backlog):
            _log.info("knowledge bases are reindexed on", tenant_id=tenant_id, count=lost)

    async def restep(self, tenant_id: UUID) -> None:
        """The same for tasks of executions; and looks after what nobody looked after."""
        if lost := await self.engine.reconcile(tenant_id):
            _log.info("tasks are done again", tenant_id=tenant_id, count=lost)


@asynccontextmanager
async def supplying(grace: Grace, background: Background, gateway: Gateway, *processes: Workers) -> AsyncIterator[None]:
    """What calls and jobs go through, which ends when they are over: first what they have left to be done behind them,
    within the grace period.
    """
    try:
        yield
    finally:
        grace.begin()
        await background.close(grace.left)
        await gateway.close()
        for some in processes:
            await some.close()


@asynccontextmanager
async def labouring(settings: Settings, database: Database, grace: Grace) -> AsyncIterator[Labour]:
    """With all that it takes, in a process that serves nobody."""
    background, standing = Background(), TenantStanding(database)
    gateway = Gateway(settings, database, AuditLog(database), standing, background)
    readers, questions, expressions = document_workers(half()), question_workers(), expression_workers(half())
    hash_key = settings.master_keys.derived(b"atrium query hash")[0]
    searches = SearchService(database, Sight(database), gateway.embed, questions, standing, hash_key)
    prompts, counts = prompt_workers(half()), Counts(database)
    rendering = PromptRendering(PromptSight(database), PromptWork(Renderer(), prompts), counts)
    calls = CallService(gateway.planner, rendering, gateway.ledger, gateway.books, gateway.caches)
    async with (
        gateway.ledger.keeping(),
        counts.writing(),
        supplying(grace, background, gateway, readers, questions, expressions, prompts),
    ):
        yield Labour.of(settings, database, gateway, readers, expressions, calls, searches, background)


def half(processes: int = 1) -> int:
    """How many processes for work beside that of each of so many servers: half of the cores, and one at least."""
    return max(1, cores() // (2 * processes))
