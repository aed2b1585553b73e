"""How a document becomes chunks that can be found: read, cut, embedded and indexed, by a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import structlog

from server.db.database import Database
from server.jobs.backlog import Backlog, TenantRun, asked
from server.jobs.runs import Overtaken
from server.kernel.audit import Change
from server.kernel.principal import Call, within
from server.knowledge.documents import Document, Upload
from server.knowledge.domain import KnowledgeBase
from server.knowledge.ports import AuditLog, Tenants
from server.knowledge.service.fetching import Fetching
from server.knowledge.service.making import ChunkMaker, attempt, call_of
from server.knowledge.store import bases, blobs, chunks, documents, generations, statistics

INGEST = "ingest/1"
"""The job that processes a document."""

MOST_INGESTIONS = 4
"""At once in one worker: each waits for a model or a parser most of the time, and holds an original in memory."""

_log = structlog.get_logger("atrium.knowledge")


def asked_for(document: Document, call: Call) -> tuple[str, Mapping[str, Any]]:
    """The job that is to be added for the document, which the call asks for."""
    return INGEST, {"document_id": str(document.id), "request_id": call.request_id, "trace_id": call.trace_id}


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a run has to do. `token`: by which the document is its own."""

    base: KnowledgeBase
    document: Document
    blob: Upload
    token: UUID


class Ingestion:
    """Does INGEST.

    What it makes lies beside what is searched, as another revision of the document, until it is whole.
    """

    def __init__(
        self, database: Database, maker: ChunkMaker, fetching: Fetching, tenants: Tenants, audit: AuditLog
    ) -> None:
        self._database = database
        self._maker = maker
        self._fetching = fetching
        self._tenants = tenants
        self._audit = audit

    async def __call__(self, run: TenantRun) -> None:
        """Processes the document. Raises what may be gone later, while the job is tried again."""
        document_id = UUID(run.payload["document_id"])
        begun = await self._begin(run.tenant_id, document_id)
        if begun is not None:
            try:
                with within(call_of(run, INGEST, begun.blob.started_by, begun.blob.started_with)):
                    await attempt(run, self._tenants, partial(self._process, begun), partial(self._fail, begun))
            except Overtaken:  # whoever has the document now leaves it tidy; it may be another job's run
                return
        await self._clean(run.tenant_id, document_id)

    async def reconcile(self, tenant_id: UUID, backlog: Backlog) -> int:
        """Asks anew for what is to be processed and has no job any more: how many those were."""
        async with self._database.tenant_tx(tenant_id) as tx:
            waiting = await documents.waiting(tx)
            known = {job["document_id"] for job, _ in await asked(tx, INGEST)}
            lost = [one for one in waiting if str(one) not in known]
            for document_id in lost:
                ids = {"request_id": str(document_id), "trace_id": document_id.hex}
                await backlog.add(tx, INGEST, {"document_id": str(document_id), **ids})
        return len(lost)

    async def _begin(self, tenant_id: UUID, document_id: UUID) -> _Begun | None:
        """The document, which is this run's from now on; None where there is nothing to do with it."""
        token = uuid4()
        async with self._database.tenant_tx(tenant_id) as tx:
            document = await documents.begin(tx, document_id, token)
            if document is None:
                return None
            base = await bases.get(tx, document.knowledge_base_id, "include")
            assert base is not None, "a document goes with its base"
            return _Begun(base, document, await blobs.of_document(tx, base.id, document_id), token)

    async def _process(self, begun: _Begun) -> bool:
        """Raises what is wrong with the document, or with the call of the model; and Overtaken."""
        if begun.document.unfetched(begun.blob):
            document, blob = await self._fetching(begun.document, begun.blob, begun.token)
            begun = replace(begun, document=document, blob=blob)
        base: KnowledgeBase | None = begun.base
        while base is not None:  # another generation is searched meanwhile
            base = await self._index(begun, base)
        return True

    async def _index(self, begun: _Begun, base: KnowledgeBase) -> KnowledgeBase | None:
        """Has the document found, made as the base's generation is. The base as it is, where that is another by now."""
        document, tenant_id = begun.document, begun.document.tenant_id
        found, pieces = await self._maker.pieces(document, begun.blob, base.generation)
        revision = document.active_revision + 1
        await self._clean(tenant_id, document.id, begun.token)
        async for first, made in self._maker.embedded(pieces, base.generation):
            async with self._database.tenant_tx(tenant_id) as tx:
                if await documents.held(tx, document.id, begun.token) is None:
                    raise Overtaken
                await chunks.add(tx, base.id, base.generation, document.id, revision, first, made)
        said = {"active_revision": revision, "chunk_count": len(pieces), "title": found.title, "author": found.author}
        async with self._database.tenant_tx(tenant_id) as tx:
            held = await bases.lock_any(tx, base.id)
            if held.active_generation != base.active_generation:
                return held
            before = await documents.held(tx, document.id, begun.token)
            done = await documents.indexed(tx, document.id, begun.token, **said)
            if before is None or done is None:
                raise Overtaken
            if done.deleted_at is None:
                await statistics.remove(tx, held, before)
            await generations.drop_builds(tx, before)
            if done.deleted_at is None:
                await statistics.add(tx, held, done)
                await bases.add_counts(tx, base.id, chunks=len(pieces) - before.chunk_count)
        return None

    async def _fail(self, begun: _Begun, reason: str, message: str) -> None:
        document = begun.document
        _log.info("document failed", tenant_id=document.tenant_id, document_id=document.id, reason=reason)
        async with self._database.tenant_tx(document.tenant_id) as tx:
            if await documents.failed(tx, document.id, begun.token, reason, message) is None:
                raise Overtaken
            change = Change("documents.process", "document", document.id, status="failure", error_message=reason)
            await self._audit.record(tx, change)

    async def _clean(self, tenant_id: UUID, document_id: UUID, token: UUID | None = None) -> None:
        """Removes the pieces of every revision but the one that is searched, as long as the document is that run's, or
        nobody's: another that has begun meanwhile is making another revision.
        """
        more = True
        while more:
            async with self._database.tenant_tx(tenant_id) as tx:
                document = await documents.held(tx, document_id, token)
                if document is None:
                    return
                more = await chunks.drop_others(tx, document.knowledge_base_id, document_id, document.active_revision)
