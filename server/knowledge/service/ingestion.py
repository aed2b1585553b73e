"""How a document becomes chunks that can be found: read, cut, embedded and indexed, by a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import structlog
from pgvector import HalfVector

from server.db.database import Database
from server.jobs.backlog import Backlog, TenantRun, asked
from server.jobs.runs import Overtaken
from server.jobs.worker import Patience
from server.kernel.audit import Change
from server.kernel.errors import DomainError, InvalidArgument, ResourceExhausted, Unavailable
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal, within
from server.knowledge import worker
from server.knowledge.documents import PART_BYTES, Document, DocumentNotFound, EmbeddingsDiffer, NewChunk, Upload
from server.knowledge.domain import KnowledgeBase
from server.knowledge.ports import AuditLog, Embeddings, Offload, Tenants
from server.knowledge.store import bases, blobs, chunks, documents, statistics
from server.knowledge.vectors import unit

INGEST = "ingest/1"
"""The job that processes a document."""

INGEST_PATIENCE = Patience(most_failures=10)
"""An hour: a provider may be away, or the tenant's limits be reached for a while."""

MOST_INGESTIONS = 4
"""At once in one worker: each waits for a model or a parser most of the time, and holds an original in memory."""

_NOBODY = UUID(int=0)
_PIECES_AT_ONCE = 256
_CACHE_SECONDS = 86_400
"""For so long a document whose job is run again pays for no text twice."""

_UNFORESEEN = ("INTERNAL", "Something went wrong on the server.")

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
        self,
        database: Database,
        embeddings: Embeddings,
        offload: Offload,
        tenants: Tenants,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._embeddings = embeddings
        self._offload = offload
        self._tenants = tenants
        self._audit = audit

    async def __call__(self, run: TenantRun) -> None:
        """Processes the document. Raises what may be gone later, while the job is tried again."""
        document_id = UUID(run.payload["document_id"])
        begun = await self._begin(run.tenant_id, document_id)
        if begun is not None:
            try:
                with within(_call(run, begun.blob)):
                    await self._attempt(run, begun)
            except Overtaken:  # whoever has the document now leaves it tidy; it may be another job's run
                return
        await self._clean(run.tenant_id, document_id)

    async def _attempt(self, run: TenantRun, begun: _Begun) -> None:
        """Processes the document, or has it fail for good. Raises what may be gone later, and Overtaken."""
        waits = True  # for its tenant
        try:
            await self._tenants.enter(run.tenant_id)  # who is suspended spends nothing
            waits = False
            await self._process(run, begun)
        except DomainError as error:
            passing = waits or isinstance(error, Unavailable | ResourceExhausted)
            if passing and not run.is_last(INGEST_PATIENCE):
                raise
            await self._fail(run, begun, error.reason, error.message)
        except Overtaken:
            raise
        except Exception:
            if run.is_last(INGEST_PATIENCE):  # the job is put aside, and nobody would go on with the document
                await self._fail(run, begun, *_UNFORESEEN)
            raise

    async def reconcile(self, tenant_id: UUID, backlog: Backlog) -> int:
        """Asks anew for what is to be processed and has no job any more: how many those were."""
        async with self._database.tenant_tx(tenant_id) as tx:
            waiting = await documents.waiting(tx)
            known = {job["document_id"] for job in await asked(tx, INGEST)}
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

    async def _process(self, run: TenantRun, begun: _Begun) -> None:
        """Raises what is wrong with the document, or with the call of the model."""
        base, document = begun.base, begun.document
        found, pieces = await self._offload.run(
            run.tenant_id,
            worker.split,
            await self._original(run.tenant_id, begun),
            document.file_mime_type,
            base.chunk_size,
            base.chunk_overlap,
        )
        revision = document.active_revision + 1
        await self._clean(run.tenant_id, document.id, begun.token)
        for first, batch in _batches(pieces):
            texts = [one.piece.content for one in batch]
            vectors = await self._vectors(base, texts)
            made = [_new_chunk(base, one, vector) for one, vector in zip(batch, vectors, strict=True)]
            async with self._database.tenant_tx(run.tenant_id) as tx:
                if await documents.held(tx, document.id, begun.token) is None:
                    raise Overtaken
                await chunks.add(tx, base, document.id, revision, first, made)
        said = {"active_revision": revision, "chunk_count": len(pieces), "title": found.title, "author": found.author}
        async with self._database.tenant_tx(run.tenant_id) as tx:
            held = await bases.lock(tx, base.id)
            done = await documents.indexed(tx, document.id, begun.token, **said)
            if done is None:
                raise Overtaken
            if done.deleted_at is None:
                await statistics.remove(tx, held, document)
                await statistics.add(tx, held, done)
                await bases.add_counts(tx, base.id, chunks=len(pieces) - document.chunk_count)

    async def _vectors(self, base: KnowledgeBase, texts: Sequence[str]) -> Sequence[Any]:
        """A vector for each text, or why there is none. In parts, where so many never fit into the tenant's limits."""
        try:
            return (await self._embeddings.embed(base.embedding_model, texts, _CACHE_SECONDS)).vectors
        except ResourceExhausted as error:
            if error.retry_after is not None or len(texts) == 1:
                raise
        middle = len(texts) // 2
        return [*await self._vectors(base, texts[:middle]), *await self._vectors(base, texts[middle:])]

    async def _original(self, tenant_id: UUID, begun: _Begun) -> bytes:
        """A part at a time, so that no transaction lasts as long as the whole takes."""
        document, read = begun.document, bytearray()
        while len(read) < document.file_size:
            async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
                part = await blobs.part(tx, begun.blob.id, len(read) // PART_BYTES)
            if part is None:  # purged meanwhile
                raise DocumentNotFound(document.id)
            read += part
        return bytes(read)

    async def _fail(self, run: TenantRun, begun: _Begun, reason: str, message: str) -> None:
        document = begun.document
        _log.info("document failed", tenant_id=run.tenant_id, document_id=document.id, reason=reason)
        async with self._database.tenant_tx(run.tenant_id) as tx:
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


def _call(run: TenantRun, blob: Upload) -> Call:
    """The call that asked for the job, as far as what is done for it goes on: models are called for its caller, or for
    nobody where they are gone for good.
    """
    caller = Principal(
        tenant_id=run.tenant_id,
        user_id=blob.started_by or _NOBODY,
        session_id=None,
        permissions=frozenset({Permission.MODELS_EXECUTE}),
        api_key_id=blob.started_with,
    )
    return Call(
        method=INGEST,
        request_id=run.payload["request_id"],
        trace_id=run.payload["trace_id"],
        span_id=uuid4().hex[:16],
        principal=caller,
    )


def vector_of(base: KnowledgeBase, vector: Any) -> HalfVector | None:
    """As the base keeps it; None: it points nowhere. Raises EmbeddingsDiffer where its others have another length."""
    if len(vector) != base.embedding_dimensions:
        raise EmbeddingsDiffer(base.embedding_model)
    return unit(vector)


def _batches(pieces: Sequence[worker.Indexed]) -> Iterator[tuple[int, Sequence[worker.Indexed]]]:
    for first in range(0, len(pieces), _PIECES_AT_ONCE):
        yield first, pieces[first : first + _PIECES_AT_ONCE]


def _new_chunk(base: KnowledgeBase, one: worker.Indexed, vector: Any) -> NewChunk:
    """Raises EmbeddingsDiffer, and why there is no vector where that is not the text: it may be had later, or none can
    be had.
    """
    if isinstance(vector, DomainError) and not isinstance(vector, InvalidArgument):
        raise vector
    piece = one.piece
    return NewChunk(
        piece.content,
        piece.token_count,
        piece.start_offset,
        piece.end_offset,
        piece.page,
        " > ".join(piece.heading) or None,
        None if isinstance(vector, DomainError) else vector_of(base, vector),
        one.search_vector,
    )
