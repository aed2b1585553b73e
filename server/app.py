"""The composition root: the only module that knows every slice, and what one server process is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from prometheus_client import CollectorRegistry, Gauge

from atrium.audit.v1 import audit_service_pb2
from atrium.identity.v1 import identity_service_pb2
from atrium.knowledge.v1 import knowledge_service_pb2
from atrium.model.v1 import model_service_pb2
from atrium.prompt.v1 import prompt_service_pb2
from atrium.tenant.v1 import tenant_service_pb2
from atrium.workflow.v1 import workflow_service_pb2
from server.audit.service.log import AuditLog
from server.audit.service.reading import AuditReader
from server.audit.service.verifying import AuditVerifier
from server.audit.service.watching import AuditWatching
from server.audit.servicer import AuditServicer
from server.db.database import Database
from server.db.memory import Memory
from server.db.upkeep import months_kept
from server.gateway import Gateway
from server.hearing import Hearing
from server.identity.access import AccessCache
from server.identity.domain import Access, Standing
from server.identity.passwords import Passwords, hashes_at_once
from server.identity.service.api_keys import ApiKeyService
from server.identity.service.forgeries import Forgeries
from server.identity.service.founding import Founding
from server.identity.service.recovery import RecoveryService
from server.identity.service.repeats import Repeats
from server.identity.service.roles import RoleService
from server.identity.service.sessions import SessionService
from server.identity.service.signing import SigningKeys
from server.identity.service.users import UserService
from server.identity.servicer import IdentityServicer
from server.identity.signing_keys import KeyRing, KnownKeys
from server.identity.standing import PeopleStanding
from server.identity.store import api_keys, idempotency, sessions, users
from server.identity.tokens import AccessTokens
from server.jobs.backlog import Backlog
from server.jobs.queue import waking
from server.jobs.worker import Worker
from server.kernel.cores import cores
from server.kernel.errors import DomainError
from server.kernel.grace import Grace
from server.kernel.paging import PageTokens
from server.kernel.sealing import MasterKeyUnknown
from server.kernel.tasks import Background
from server.knowledge.service.adding import AddingService
from server.knowledge.service.asking import AskService
from server.knowledge.service.bases import BaseService
from server.knowledge.service.chunks import ChunkService
from server.knowledge.service.documents import DocumentService
from server.knowledge.service.reindexing import ReindexService
from server.knowledge.service.searching import SearchService
from server.knowledge.service.sight import Sight as KnowledgeSight
from server.knowledge.service.watching import IngestionWatching
from server.knowledge.servicer import KnowledgeServicer
from server.knowledge.store import bases
from server.knowledge.work import document_workers as reading
from server.knowledge.work import question_workers
from server.labour import Labour, half, supplying
from server.mail.outgoing import mailer
from server.model.convert.calls import failed
from server.model.service.answers import Answers
from server.model.service.calls import CallService
from server.model.service.credentials import CredentialService
from server.model.service.generations import Generations
from server.model.service.models import ModelService
from server.model.service.routes import RouteService
from server.model.service.tenant_models import TenantModelService
from server.model.service.usage import UsageService
from server.model.servicer import ModelServicer
from server.prompt.rendering import Renderer
from server.prompt.service.changes import PromptChanges
from server.prompt.service.counts import Counts
from server.prompt.service.protection import Protection
from server.prompt.service.rendering import PromptRendering
from server.prompt.service.sight import Sight
from server.prompt.service.templates import TemplateService
from server.prompt.service.versions import VersionService
from server.prompt.service.watching import PromptWatching
from server.prompt.service.work import PromptWork, prompt_workers
from server.prompt.servicer import PromptServicer
from server.rpc.chain import Chain, Steps
from server.rpc.descriptors import descriptor_set
from server.rpc.pages import Pages
from server.rpc.server import RpcServer, Service
from server.rpc.steps.authenticate import Authenticate
from server.rpc.steps.authorize import Authorize
from server.rpc.steps.enter import Enter
from server.rpc.steps.observe import Observe
from server.rpc.steps.repeat import Repeat
from server.rpc.steps.shed import Shed
from server.rpc.steps.trace import Trace
from server.rpc.steps.validate import Validate
from server.settings import Settings, SettingsError
from server.telemetry import serve_metrics
from server.tenant.purge import TenantPurge
from server.tenant.quotas import TenantQuotas
from server.tenant.service import TenantService
from server.tenant.servicer import TenantServicer
from server.tenant.standing import TenantStanding
from server.work import belongings, working
from server.workflow.service.executions import ExecutionService
from server.workflow.service.sight import Sight as WorkflowSight
from server.workflow.service.watching import ExecutionWatching
from server.workflow.service.workflows import WorkflowService
from server.workflow.servicer import WorkflowServicer
from server.workflow.store import workflows
from server.workflow.work import expression_workers

_log = structlog.get_logger("atrium.app")


@dataclass(frozen=True, slots=True)
class App:
    """One server process: everything it is made of, put together once."""

    settings: Settings
    rpc: RpcServer
    founding: Founding
    grace: Grace
    shed: Shed
    generations: Generations
    crew: Worker | None
    """Who does jobs in this process, where anybody does."""

    async def start(self) -> int:
        """Listens and serves; returns the port."""
        return await self.rpc.start()

    async def stop(self) -> None:
        """Takes no more calls and jobs, and lets those under way finish, as long as the grace period gives them."""
        self.grace.begin()
        if self.crew is not None:
            self.crew.stop()
        await self.rpc.stop(self.grace.to_finish)
        # gRPC's server has let go of its calls before our part of them has ended: what they used is recorded by it.
        with suppress(TimeoutError):
            async with asyncio.timeout(self.grace.left):
                await self.shed.empty()
        await self.generations.close(self.grace.to_finish)


@asynccontextmanager
async def open_app(settings: Settings, process: int = 0) -> AsyncIterator[App]:
    """The process's parts, opened in the order in which they need each other and closed in the other.

    `process`: which of the processes that share the port this is. Raises SettingsError, and the
    refusals of `Database.open`.
    """
    registry = CollectorRegistry()
    background, grace = Background(), Grace(settings.grace_seconds)
    passwords = Passwords(parallel=hashes_at_once(cores(), settings.processes))
    async with Database.open(settings) as database:
        audit = AuditLog(database)
        standing = TenantStanding(database)
        signing = SigningKeys(database, audit, settings.master_keys, settings.access_life)
        await _check_master_key(signing)
        rings = Memory[KeyRing]()
        keys = KnownKeys(rings, signing.ring)
        tokens = AccessTokens(settings.token_issuer, settings.token_audience)
        keys_of_programs = ApiKeyService(database, audit)
        accesses, standings = Memory[Access](), Memory[Standing]()
        gateway = Gateway(settings, database, audit, standing, background)
        sight, counts = Sight(database), Counts(database)
        workers = prompt_workers(half(settings.processes))
        work = PromptWork(Renderer(), workers)
        protection, changes = Protection(work), PromptChanges(database)
        rendering = PromptRendering(sight, work, counts)
        watching = PromptWatching(database, sight)
        forgeries = Forgeries(database, standing, audit)
        access = AccessCache(
            tokens,
            keys,
            accesses,
            partial(sessions.access, database),
            partial(api_keys.access, database),
            lambda tenant_id, key_id: _note(background, keys_of_programs, tenant_id, key_id),
            forgeries.see,
        )

        generations = Generations(database, background, _failed)
        founding = Founding(database, passwords, audit)
        shed = Shed(settings.max_in_flight)
        steps = Steps(
            Trace(settings.trusted_proxies),
            shed,
            Authenticate(access, standing),
            Enter(standing, audit),
            Authorize(audit, standing),
            Validate(),
            Repeat(Repeats(database, background), settings.master_keys.derived(b"atrium idempotent request")),
            Observe(registry),
        )
        backlog, forget = Backlog(settings.jobs_per_tenant), idempotency.forget_about
        pages = Pages(PageTokens(settings.master_keys.derived(b"atrium page token")))
        in_flight = Gauge("atrium_rpc_in_flight", "Calls in flight in this process.", registry=registry)
        in_flight.set_function(lambda: shed.in_flight)
        session_service = SessionService(
            database,
            passwords,
            tokens,
            keys,
            standing,
            audit,
            access_life=settings.access_life,
            refresh_life=timedelta(days=settings.refresh_token_days),
            refresh_keys=settings.master_keys.derived(b"atrium refresh token"),
            forged=forgeries.see,
        )
        usage = UsageService(database, gateway.catalogues, gateway.ledger, gateway.books, PeopleStanding(), audit)

        hearing = Hearing(
            background=background,
            accesses=accesses,
            standings=standings,
            catalogues=gateway.catalogues,
            rendering=rendering,
            watching=watching,
            generations=generations,
            usage=usage,
            ledger=gateway.ledger,
            rings=rings,
        )
        hearing.here(database)
        purge = TenantPurge(database, settings.admin_database_url, audit)
        tenants = TenantServicer(
            TenantService(
                database,
                founding,
                PeopleStanding(),
                {"users": users.count, "knowledge_bases": bases.count, "workflows": workflows.count},
                usage,
                purge,
                audit,
            ),
            pages,
        )
        identity = IdentityServicer(
            session_service,
            UserService(database, passwords, TenantQuotas(), audit, standing, belongings()),
            RoleService(database, audit, standings),
            keys_of_programs,
            RecoveryService(
                database,
                passwords,
                standing,
                audit,
                backlog,
                background,
                forgeries.see,
                sends_mail=mailer(settings, console=settings.worker) is not None,
            ),
            pages,
        )
        calls = CallService(gateway.planner, rendering, gateway.ledger, gateway.books, gateway.caches)
        model = ModelServicer(
            ModelService(database, gateway.books, audit),
            TenantModelService(database, audit, private_addresses=settings.private_model_addresses),
            RouteService(database, gateway.catalogues, gateway.breakers, audit),
            calls,
            gateway.embed,
            generations,
            usage,
            CredentialService(database, gateway.vault, audit),
            pages,
        )
        prompts = PromptServicer(
            TemplateService(database, changes, sight, protection, audit, forget),
            VersionService(changes, sight, work, protection, usage, audit),
            rendering,
            watching,
            pages,
        )
        knowledge_sight = KnowledgeSight(database)
        document_workers, questions = reading(half(settings.processes)), question_workers()
        hash_key = settings.master_keys.derived(b"atrium query hash")[0]
        searches = SearchService(database, knowledge_sight, gateway.embed, questions, standing, hash_key)
        knowledge = KnowledgeServicer(
            BaseService(database, knowledge_sight, gateway.embed, TenantQuotas(), audit, forget),
            ReindexService(database, gateway.embed, backlog, audit),
            AddingService(
                database,
                gateway.embed,
                backlog,
                audit,
                settings.max_document_bytes,
                private_addresses=settings.private_model_addresses,
            ),
            DocumentService(database, knowledge_sight, gateway.embed, backlog, audit, forget),
            ChunkService(database, knowledge_sight, gateway.embed, document_workers, audit),
            IngestionWatching(knowledge_sight),
            searches,
            AskService(searches, Answers(calls)),
            pages,
        )
        expressions, workflow_sight = expression_workers(half(settings.processes)), WorkflowSight(database)
        labour = Labour.of(settings, database, gateway, document_workers, expressions, calls, searches, background)
        workflow = WorkflowServicer(
            WorkflowService(database, workflow_sight, expressions, TenantQuotas(), audit, forget),
            ExecutionService(database, workflow_sight, labour.engine, audit),
            ExecutionWatching(database),
            labour.agents,
            labour.running,
            pages,
        )
        services = [
            Service(tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"], tenants),
            Service(identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"], identity),
            Service(model_service_pb2.DESCRIPTOR.services_by_name["ModelService"], model),
            Service(prompt_service_pb2.DESCRIPTOR.services_by_name["PromptService"], prompts),
            Service(knowledge_service_pb2.DESCRIPTOR.services_by_name["KnowledgeService"], knowledge),
            Service(workflow_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"], workflow),
            Service(
                audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
                AuditServicer(
                    AuditReader(database, audit),
                    AuditWatching(database, audit),
                    AuditVerifier(database, signing, audit),
                    pages,
                ),
            ),
        ]
        chain = Chain(steps, settings.ceiling_seconds, mutual_tls=settings.tls_client_ca_file is not None)
        rpc = RpcServer(settings, chain, services)
        serve_metrics(registry, settings, process)
        async with (
            hearing.everywhere(settings),
            months_kept(settings) if process == 0 else nullcontext(),
            waking(settings, database),
            gateway.ledger.keeping(ahead=True),
            counts.writing(),
            forgeries.telling(),
            supplying(grace, background, gateway, document_workers, questions, expressions, workers),
            working(settings, database, grace, registry, mailer(settings, console=True), labour)
            if process == 0 and settings.worker
            else nullcontext() as crew,
        ):
            streams = asyncio.create_task(chain.watch(), name="streams")
            try:
                yield App(settings, rpc, founding, grace, shed, generations, crew)
            finally:
                grace.begin()
                streams.cancel()
                await asyncio.wait([streams])
                passwords.close()


def described() -> FileDescriptorSet:
    """What clients without our protos are given."""
    modules = (
        tenant_service_pb2,
        identity_service_pb2,
        model_service_pb2,
        prompt_service_pb2,
        knowledge_service_pb2,
        workflow_service_pb2,
        audit_service_pb2,
    )
    return descriptor_set(module.DESCRIPTOR for module in modules)


async def _check_master_key(signing: SigningKeys) -> None:
    """That it opens the signing keys, of which the first is made here."""
    try:
        await signing.load()
    except MasterKeyUnknown:
        raise SettingsError(
            "ATRIUM_MASTER_KEY: is not the one that the keys in this database are kept under: give it the same key "
            "as before"
        ) from None


def _failed(seq: int, error: DomainError) -> bytes:
    """The last event of a stream that its server could not end."""
    return failed(seq, error).SerializeToString()


def _note(background: Background, api_keys: ApiKeyService, tenant_id: UUID, key_id: UUID) -> None:
    background.start(api_keys.used(tenant_id, key_id), "last use of a key")
