"""Documents to be processed, and fakes of what processes them, at which runs can be held."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.jobs.backlog import Backlog, TenantRun
from server.jobs.runs import Run
from server.knowledge import worker
from server.knowledge.chunking import Piece
from server.knowledge.errors import DocumentTooHeavy
from server.knowledge.generations import Generation
from server.knowledge.service.fetching import Fetching
from server.knowledge.service.ingestion import Ingestion
from server.knowledge.service.making import PATIENCE, ChunkMaker
from server.knowledge.service.rebuilding import Rebuilding
from server.knowledge.store import bases, generations
from server.llm.port import ModelRateLimited
from server.net.fetching import HEAD_BYTES, Fetched, Head, Wanted
from tests.jobs.working import NOT_FOR_EVER

DIMENSIONS = 4
USER, KEY = UUID(int=7), UUID(int=8)

_BASE = """
INSERT INTO knowledge_bases (tenant_id, name, default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap,
                             document_count, total_size)
VALUES ($1, gen_random_uuid(), 'a-model', $2, 512, 64, 1, $3) RETURNING id
"""
_DOCUMENT = """
INSERT INTO knowledge_documents (tenant_id, knowledge_base_id, source_type, source_uri, file_size, file_mime_type,
                                 file_hash)
VALUES ($1, $2, 'text', 'blob:', $3, 'text/plain', $4) RETURNING id
"""
_ORIGINAL = """
WITH blob AS (
    INSERT INTO document_blobs (tenant_id, knowledge_base_id, document_id, started_by, started_with, described, size,
                                received)
    VALUES ($1, $2, $3, $4, $5, '{}', length($6::bytea), length($6::bytea)) RETURNING tenant_id, id
)
INSERT INTO document_blob_parts (tenant_id, blob_id, part, bytes) SELECT tenant_id, id, 0, $6 FROM blob
"""


async def add_document(admin: Any, tenant_id: UUID, text: str) -> UUID:
    """A document in a base of its own, which waits to be processed. Each line of it is a piece."""
    data = text.encode()
    base_id = await admin.fetchval(_BASE, tenant_id, DIMENSIONS, len(data))
    file_hash = hashlib.sha256(data).hexdigest()
    document_id: UUID = await admin.fetchval(_DOCUMENT, tenant_id, base_id, len(data), file_hash)
    await admin.execute(_ORIGINAL, tenant_id, base_id, document_id, USER, KEY, data)
    return document_id


class Step:
    """A place that runs come by: each tells, and waits where it is shut."""

    def __init__(self, *, shut: bool = False) -> None:
        self._shut = shut
        self._arrived: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def pass_by(self) -> None:
        if self._shut:
            go_on = asyncio.Event()
            self._arrived.put_nowait(go_on)
            await go_on.wait()

    async def arrival(self) -> asyncio.Event:
        """What lets the next run that has come here go on."""
        async with asyncio.timeout(NOT_FOR_EVER):
            return await self._arrived.get()


class FakeOffload:
    """Each line is a piece. `too_heavy`: what ends the process that reads it."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.too_heavy: set[bytes] = set()

    async def run(self, tenant_id: UUID, work: Callable[..., Any], *arguments: Any) -> Any:
        await self._step.pass_by()
        if arguments[0] in self.too_heavy:
            raise DocumentTooHeavy
        text = arguments[0].decode()
        pieces, start = [], 0
        for line in text.splitlines():
            piece = Piece(line, start, start + len(line), None, (), 1)
            pieces.append(worker.Indexed(piece, ""))
            start += len(line) + 1
        return worker.Metadata(None, None, None, len(text)), pieces


@dataclass(frozen=True)
class _Embedded:
    vectors: Sequence[Any]


class FakeEmbeddings:
    """A vector for each text, or what `answer` says of it. `asked`: the texts of each call. `most`: at once."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.asked: list[Sequence[str]] = []
        self.most = 1_000
        self.answer: Callable[[str], Any] = lambda text: [1.0] * DIMENSIONS

    async def model(self, name: str) -> Any:
        raise NotImplementedError

    async def check_key(self, name: str) -> None:
        raise NotImplementedError

    async def embed(self, name: str, inputs: Sequence[str], cache_ttl: int | None) -> _Embedded:
        self.asked.append(inputs)
        await self._step.pass_by()
        if len(inputs) > self.most:
            raise ModelRateLimited(name, helps=False)
        return _Embedded([self.answer(text) for text in inputs])


class FakeWeb:
    """What lies at addresses. `failure`: what fetching from any of them fails with."""

    guarded = True

    def __init__(self, step: Step) -> None:
        self._step = step
        self.pages: dict[str, bytes] = {}
        self.failure: Exception | None = None

    async def __call__(self, url: str, wanted: Wanted) -> Fetched:
        await self._step.pass_by()
        if self.failure is not None:
            raise self.failure
        head = Head("text/plain", None, self.pages[url][:HEAD_BYTES])
        wanted(head)
        return Fetched(head, self.pages[url])


class FakeTenants:
    """All of them are active, unless there is something `wrong` with them."""

    def __init__(self) -> None:
        self.wrong: Exception | None = None

    async def enter(self, tenant_id: UUID) -> None:
        if self.wrong is not None:
            raise self.wrong

    async def model_settings(self, tenant_id: UUID) -> Any:
        return SimpleNamespace(vector_search_top_k=10, vector_search_threshold=None, store_queries=True)


class Ingesting:
    """What processes documents of the database. `fetching`, `parsing`, `embedding`: where its runs may be held."""

    def __init__(self, database: Database, *, shut: str = "") -> None:
        places = ("fetching", "parsing", "embedding")
        self.fetching, self.parsing, self.embedding = (Step(shut=shut == name) for name in places)
        self.embeddings = FakeEmbeddings(self.embedding)
        self.tenants = FakeTenants()
        self.web = FakeWeb(self.fetching)
        self.offload = FakeOffload(self.parsing)
        maker = ChunkMaker(database, self.embeddings, self.offload)
        audit = AuditLog(database)
        self.ingestion = Ingestion(database, maker, Fetching(database, self.web), self.tenants, audit)
        self.rebuilding = Rebuilding(database, maker, self.tenants, Backlog(1), audit)

    def run(self, tenant_id: UUID, document_id: UUID, *, last: bool = False) -> asyncio.Task[None]:
        """A run for the document. `last`: the job is put aside where it fails."""
        return asyncio.create_task(self.ingestion(_run(tenant_id, last, document_id=str(document_id))))

    def rebuild(self, tenant_id: UUID, base_id: UUID, *, last: bool = False) -> asyncio.Task[None]:
        """A run for the base's second generation."""
        run = _run(tenant_id, last, knowledge_base_id=str(base_id), generation=2)
        return asyncio.create_task(self.rebuilding(run))


def _run(tenant_id: UUID, last: bool, **about: Any) -> TenantRun:
    payload = {**about, "request_id": "request-7", "trace_id": "ab" * 16}
    failed_runs = PATIENCE.most_failures - 1 if last else 0
    job = {"payload": payload, "status": "admitted", "failed_runs": failed_runs}
    return TenantRun(Run(1, b"", 1, uuid4()), Backlog(1), tenant_id, uuid4(), job)


async def ask_anew(database: Database, tenant_id: UUID, base_id: UUID) -> None:
    """Has the base be asked for its second generation, with vectors of another length."""
    made = Generation(0, "another-model", DIMENSIONS + 1, 256, 32)
    async with database.tenant_tx(tenant_id) as tx:
        await generations.start(tx, await bases.lock_any(tx, base_id), made, USER, KEY)
