"""How a base comes to another generation: its documents are built into it one after the other, by jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import structlog

from server.db.database import Database, Tx
from server.jobs.backlog import Backlog, TenantRun, asked
from server.jobs.runs import Overtaken
from server.kernel.audit import Change
from server.kernel.principal import Call, within
from server.knowledge.documents import Document, DocumentNotFound, Upload
from server.knowledge.domain import KnowledgeBase, KnowledgeBaseNotFound
from server.knowledge.generations import Reindex
from server.knowledge.ports import AuditLog, Tenants
from server.knowledge.service.making import ChunkMaker, attempt, call_of
from server.knowledge.service.values import base_values
from server.knowledge.store import bases, blobs, chunks, documents, generations, statistics

REINDEX = "reindex/1"
"""The job that builds some of a base's documents into a generation, and asks for the next such job."""

MOST_REINDEXES = 2
"""At once in one worker: beside documents that are waited for."""

_DOCUMENTS_OF_A_JOB = 20
"""A job that fails builds on what those before it have built, and others' jobs come between."""

_log = structlog.get_logger("atrium.knowledge")


def asked_for(base_id: UUID, reindex: Reindex, call: Call) -> tuple[str, Mapping[str, Any]]:
    """The job that is to be added for the generation, which the call asks for."""
    about = {"knowledge_base_id": str(base_id), "generation": reindex.generation.number}
    return REINDEX, {**about, "request_id": call.request_id, "trace_id": call.trace_id}


@dataclass(slots=True)
class _Begun:
    """What a run has to do. `token`: by which the generation is its own. `at`: the document that it is at, if any."""

    tenant_id: UUID
    base_id: UUID
    reindex: Reindex
    token: UUID
    at: str = ""

    @property
    def number(self) -> int:
        return self.reindex.generation.number

    async def hold(self, tx: Tx) -> None:
        """No other begins until the transaction ends. Raises Overtaken."""
        if not await generations.held(tx, self.base_id, self.number, self.token):
            raise Overtaken


class Rebuilding:
    """Does REINDEX.

    What a generation has of documents lies beside what is searched. Documents come, change and go meanwhile: it is
    built until nothing is missing, and searched from the transaction on that has seen so, and holds the base.
    """

    def __init__(
        self, database: Database, maker: ChunkMaker, tenants: Tenants, backlog: Backlog, audit: AuditLog
    ) -> None:
        self._database = database
        self._maker = maker
        self._tenants = tenants
        self._backlog = backlog
        self._audit = audit

    async def __call__(self, run: TenantRun) -> None:
        """Builds some documents. Raises what may be gone later, while the job is tried again."""
        base_id, number = UUID(run.payload["knowledge_base_id"]), int(run.payload["generation"])
        begun = await self._begin(run.tenant_id, base_id, number)
        if begun is not None:
            who = begun.reindex.started_by, begun.reindex.started_with
            try:
                with within(call_of(run, REINDEX, *who)):
                    go_on = await attempt(run, self._tenants, partial(self._build, begun), partial(self._fail, begun))
                if go_on:
                    await self._hand_on(run, begun)
                    return
            except Overtaken:  # whoever has the generation now goes on with it, or removes it
                return
        await sweep(self._database, run.tenant_id, base_id)

    async def reconcile(self, tenant_id: UUID, backlog: Backlog) -> int:
        """Asks anew for what is to be built and has no job any more: how much that was."""
        async with self._database.tenant_tx(tenant_id) as tx:
            known = {(job["knowledge_base_id"], job["generation"]) for job, _ in await asked(tx, REINDEX)}
            lost = [one for one in await generations.waiting(tx) if (str(one[0]), one[1]) not in known]
            for base_id, number in lost:
                about = {"knowledge_base_id": str(base_id), "generation": number}
                await backlog.add(tx, REINDEX, {**about, "request_id": str(base_id), "trace_id": base_id.hex})
        return len(lost)

    async def _begin(self, tenant_id: UUID, base_id: UUID, number: int) -> _Begun | None:
        """The generation, which is this run's from now on; None where it is not built any more."""
        token = uuid4()
        async with self._database.tenant_tx(tenant_id) as tx:
            reindex = await generations.begin(tx, base_id, number, token)
        return None if reindex is None else _Begun(tenant_id, base_id, reindex, token)

    async def _build(self, begun: _Begun) -> bool:
        """Whether there is more to do for another job. Raises what is wrong with a document or with the call of the
        model; and Overtaken.
        """
        async with self._database.tenant_tx(begun.tenant_id, read_only=True) as tx:
            halves = await generations.halves(tx, begun.base_id, begun.number)
        for document_id in halves:  # left by a run that came to no end
            await self._drop(begun, document_id)
        async with self._database.tenant_tx(begun.tenant_id, read_only=True) as tx:
            missing = await generations.missing(tx, begun.base_id, begun.number, _DOCUMENTS_OF_A_JOB)
        for document_id in missing:
            await self._add(begun, document_id)
        return not await self._switch(begun)

    async def _add(self, begun: _Begun, document_id: UUID) -> None:
        """Builds the document into the generation, unless it is another by the time that is done."""
        made = begun.reindex.generation
        await self._drop(begun, document_id)
        async with self._database.tenant_tx(begun.tenant_id) as tx:
            await begun.hold(tx)
            found = await self._same(tx, begun, document_id, None)
            if found is None:
                return
            document, blob = found
            await generations.start_build(tx, begun.base_id, begun.number, document)
        begun.at = document.name
        try:
            _, pieces = await self._maker.pieces(document, blob, made)
        except DocumentNotFound:  # it is purged, or was fetched anew: what is missing is looked for again
            await self._drop(begun, document_id)
            return
        async for first, batch in self._maker.embedded(pieces, made):
            async with self._database.tenant_tx(begun.tenant_id) as tx:
                await begun.hold(tx)
                there = await self._same(tx, begun, document_id, document.active_revision)
                if there is not None:
                    await chunks.add(tx, begun.base_id, made, document_id, document.active_revision, first, batch)
            if there is None:
                await self._drop(begun, document_id)
                return
        begun.at = ""
        async with self._database.tenant_tx(begun.tenant_id) as tx:
            await begun.hold(tx)
            there = await self._same(tx, begun, document_id, document.active_revision)
            if there is not None:
                await generations.end_build(tx, begun.base_id, begun.number, document_id, len(pieces))
                await statistics.add_built(tx, document, begun.number)
        if there is None:
            await self._drop(begun, document_id)

    async def _same(
        self, tx: Tx, begun: _Begun, document_id: UUID, revision: int | None
    ) -> tuple[Document, Upload] | None:
        """The document with its original, held; None where it is not live, or of another revision. `revision`: None:
        whichever.
        """
        document = await documents.held_live(tx, document_id)
        if document is None or revision not in (None, document.active_revision):
            return None
        return document, await blobs.of_document(tx, begun.base_id, document_id)

    async def _drop(self, begun: _Begun, document_id: UUID) -> None:
        """Removes what the generation has of a document that it has not all of."""
        more = True
        while more:
            async with self._database.tenant_tx(begun.tenant_id) as tx:
                await begun.hold(tx)
                more = await chunks.drop_of(tx, begun.base_id, document_id, begun.number)
                if not more:
                    await generations.drop_build(tx, begun.base_id, begun.number, document_id)

    async def _switch(self, begun: _Begun) -> bool:
        """Has searches look at the generation, unless something is missing in it; whether they do."""
        async with self._database.tenant_tx(begun.tenant_id) as tx:
            base = await bases.lock_any(tx, begun.base_id)
            await begun.hold(tx)
            if await generations.missing(tx, base.id, begun.number, 1):
                return False
            await turn(tx, base, begun.reindex, self._audit)
        return True

    async def _fail(self, begun: _Begun, reason: str, message: str) -> None:
        _log.info("reindex failed", tenant_id=begun.tenant_id, knowledge_base_id=begun.base_id, reason=reason)
        async with self._database.tenant_tx(begun.tenant_id) as tx:
            await begun.hold(tx)
            await generations.stop(tx, begun.base_id, reason, f"{begun.at}: {message}" if begun.at else message)
            action = "knowledge_bases.rollback" if begun.reindex.rollback else "knowledge_bases.reindex"
            change = Change(action, "knowledge_base", begun.base_id, status="failure", error_message=reason)
            await self._audit.record(tx, change)

    async def _hand_on(self, run: TenantRun, begun: _Begun) -> None:
        """Ends the job and asks for the next one, which has failed never yet. Raises Overtaken."""
        async with self._database.tenant_tx(begun.tenant_id) as tx:
            await begun.hold(tx)
            await run.finish(tx)
            await self._backlog.add(tx, REINDEX, run.payload)


async def turn(tx: Tx, base: KnowledgeBase, to: Reindex, audit: AuditLog) -> KnowledgeBase:
    """Has searches look at the generation, of a base that is held, and nothing of which is missing in it."""
    await generations.switch(tx, base, to)
    new = await bases.lock_any(tx, base.id)
    change = Change("knowledge_bases.switch", "knowledge_base", base.id, old=base_values(base), new=base_values(new))
    await audit.record(tx, change)
    return new


async def sweep(database: Database, tenant_id: UUID, base_id: UUID | None = None) -> None:
    """Removes what was discarded of the tenant, or of a base of it, in batches. Others may be at it too."""
    async with database.tenant_tx(tenant_id, read_only=True) as tx:
        gone = await generations.discarded(tx, base_id)
    for of_base, number in gone:
        while some := await _some(database, tenant_id, of_base, number):
            for document_id in some:
                more = True
                while more:
                    async with database.tenant_tx(tenant_id) as tx:
                        more = await chunks.drop_of(tx, of_base, document_id, number)
                        if not more:
                            await generations.drop_build(tx, of_base, number, document_id)
        async with database.tenant_tx(tenant_id) as tx:
            try:
                await bases.lock_any(tx, of_base)
            except KnowledgeBaseNotFound:  # purged meanwhile
                continue
            await generations.forget(tx, of_base, number)


async def _some(database: Database, tenant_id: UUID, base_id: UUID, number: int) -> list[UUID]:
    async with database.tenant_tx(tenant_id, read_only=True) as tx:
        return await generations.some(tx, base_id, number)
