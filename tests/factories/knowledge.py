"""What tests of knowledge do with bases and documents."""

from __future__ import annotations

import asyncio
from typing import Any

from atrium.knowledge.v1 import chunk_pb2
from atrium.knowledge.v1 import document_pb2 as documents
from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from tests.factories.world import Person, World

PERSONAL, TENANT, PUBLIC = (
    bases.KnowledgeBase.VISIBILITY_PERSONAL,
    bases.KnowledgeBase.VISIBILITY_TENANT,
    bases.KnowledgeBase.VISIBILITY_PUBLIC,
)
MODEL = "local-embedding"
NOT_FOR_EVER = 60.0

WORDS_ASTRAY = """
WITH counted AS (
    SELECT chunk.generation, word.lexeme AS word, count(*)::int AS there
    FROM knowledge_chunks AS chunk
        JOIN knowledge_documents AS document ON document.id = chunk.document_id
            AND document.active_revision = chunk.document_revision AND document.deleted_at IS NULL
        JOIN knowledge_bases AS base ON base.id = chunk.knowledge_base_id
        CROSS JOIN LATERAL unnest(chunk.search_vector) AS word
    WHERE base.id = $1 AND chunk.enabled AND (
        chunk.generation = base.active_generation OR EXISTS (
            SELECT FROM knowledge_builds AS build
            WHERE build.generation = chunk.generation AND build.document_id = document.id
                AND build.document_revision = document.active_revision AND build.chunk_count IS NOT NULL
        )
    )
    GROUP BY 1, 2
), kept AS (
    SELECT generation, word, chunk_count FROM knowledge_words
    WHERE knowledge_base_id = $1 AND chunk_count > 0
)
SELECT * FROM counted FULL JOIN kept USING (generation, word)
WHERE counted.there IS DISTINCT FROM kept.chunk_count AND NOT EXISTS (
    SELECT FROM knowledge_generations AS made
    WHERE made.knowledge_base_id = $1 AND made.generation = coalesce(counted.generation, kept.generation)
        AND made.status = 'discarded'
)
"""
"""Words of a base of whose rarity, in a generation, something else is kept than its chunks come to; not in one that is
discarded, which a job removes part by part.
"""


async def make_base(world: World, person: Person, name: str = "papers", **fields: Any) -> str:
    request = bases.CreateKnowledgeBaseRequest(name=name, **{"embedding_model": MODEL, **fields})
    return str((await world.knowledge.CreateKnowledgeBase(request, metadata=person.metadata)).knowledge_base.id)


async def get_base(world: World, person: Person, base_id: str, **fields: Any) -> Any:
    request = bases.GetKnowledgeBaseRequest(id=base_id, **fields)
    return (await world.knowledge.GetKnowledgeBase(request, metadata=person.metadata)).knowledge_base


async def update_base(world: World, person: Person, base_id: str, **fields: Any) -> Any:
    request = bases.UpdateKnowledgeBaseRequest(id=base_id, **fields)
    return (await world.knowledge.UpdateKnowledgeBase(request, metadata=person.metadata)).knowledge_base


async def reindex(world: World, person: Person, base_id: str, **fields: Any) -> Any:
    """The base, which is asked to come to another generation."""
    request = bases.ReindexKnowledgeBaseRequest(id=base_id, **fields)
    return (await world.knowledge.ReindexKnowledgeBase(request, metadata=person.metadata)).knowledge_base


async def roll_back(world: World, person: Person, base_id: str, **fields: Any) -> Any:
    """The base, which is asked to go back to its former generation."""
    request = bases.RollbackReindexRequest(id=base_id, **fields)
    return (await world.knowledge.RollbackReindex(request, metadata=person.metadata)).knowledge_base


async def reindexed(world: World, person: Person, base_id: str) -> Any:
    """The base, once it is on the way to no other generation."""
    async with asyncio.timeout(NOT_FOR_EVER):
        while True:
            base = await get_base(world, person, base_id)
            if base.reindex.state != bases.KnowledgeBase.Reindex.STATE_RUNNING:
                if base.reindex.state == bases.KnowledgeBase.Reindex.STATE_COMPLETED:
                    assert base.generation == base.reindex.generation.number, "the two are told as of one moment"
                return base
            await asyncio.sleep(0.02)


def step_base(world: World, verb: str, base_id: str, metadata: Any, **fields: Any) -> Any:
    """The call that archives, activates, deletes, restores or purges the base. `verb`: as the method begins."""
    request = getattr(bases, f"{verb}KnowledgeBaseRequest")(id=base_id, **fields)
    return getattr(world.knowledge, f"{verb}KnowledgeBase")(request, metadata=metadata)


async def platform_inside(world: World, person: Person) -> tuple[tuple[str, str], ...]:
    """What the platform's administrator sends who acts in that person's tenant."""
    return (*(await world.platform()).metadata, ("x-tenant-id", person.tenant_id))


async def listed(world: World, person: Person, **fields: Any) -> list[str]:
    request = bases.ListKnowledgeBasesRequest(**fields)
    found = await world.knowledge.ListKnowledgeBases(request, metadata=person.metadata)
    return [base.name for base in found.knowledge_bases]


async def ingest(world: World, person: Person, base_id: str, text: str, **info: Any) -> Any:
    """The new document, which is yet to be processed."""
    request = documents.IngestTextRequest(knowledge_base_id=base_id, text=text, info=info)
    return (await world.knowledge.IngestText(request, metadata=person.metadata)).document


async def ingest_url(world: World, person: Person, base_id: str, url: str, **info: Any) -> Any:
    """The new document, which is yet to be fetched."""
    request = documents.IngestUrlRequest(knowledge_base_id=base_id, url=url, info=info)
    return (await world.knowledge.IngestUrl(request, metadata=person.metadata)).document


async def original(world: World, person: Person, document_id: str) -> bytes:
    request = documents.DownloadDocumentRequest(id=document_id)
    parts = [part async for part in world.knowledge.DownloadDocument(request, metadata=person.metadata)]
    return b"".join(part.data for part in parts)


async def upload(world: World, person: Person, base_id: str, data: bytes, **fields: Any) -> Any:
    """The new document of a file, sent in pieces that are no parts of what is kept."""
    return await send(world, person, (await start(world, person, base_id, **fields)).id, data)


async def start(world: World, person: Person, base_id: str, **fields: Any) -> Any:
    """An upload of which nothing is there yet."""
    request = documents.StartUploadRequest(knowledge_base_id=base_id, **fields)
    return (await world.knowledge.StartUpload(request, metadata=person.metadata)).upload


async def get_upload(world: World, person: Person, upload_id: str) -> Any:
    request = documents.GetUploadRequest(id=upload_id)
    return (await world.knowledge.GetUpload(request, metadata=person.metadata)).upload


async def send(world: World, person: Person, upload_id: str, data: bytes, offset: int = 0, piece: int = 300_000) -> Any:
    """The document that the upload comes to. `data`: from `offset` on."""
    place = documents.UploadDocumentRequest(place={"upload_id": upload_id, "offset": offset})
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    requests = [place, *(documents.UploadDocumentRequest(data=each) for each in pieces)]
    return (await world.knowledge.UploadDocument(iter(requests), metadata=person.metadata)).document


async def get_document(world: World, person: Person, document_id: str, **fields: Any) -> Any:
    request = documents.GetDocumentRequest(id=document_id, **fields)
    return (await world.knowledge.GetDocument(request, metadata=person.metadata)).document


def step(world: World, verb: str, document_id: str, metadata: Any, **fields: Any) -> Any:
    """The call that retries, deletes, restores or purges the document. `verb`: as the method begins."""
    request = getattr(documents, f"{verb}DocumentRequest")(id=document_id, **fields)
    return getattr(world.knowledge, f"{verb}Document")(request, metadata=metadata)


async def counts(world: World, person: Person, base_id: str) -> tuple[int, int, int]:
    """What the base counts: documents, chunks, bytes."""
    base = await get_base(world, person, base_id)
    return base.document_count, base.chunk_count, base.total_size


async def processed(world: World, person: Person, *document_ids: str) -> list[Any]:
    """The documents, once nothing is to be done with them."""
    request = documents.WatchIngestionRequest(document_ids=document_ids)
    found: dict[str, Any] = {}
    async with asyncio.timeout(NOT_FOR_EVER):
        async for event in world.knowledge.WatchIngestion(request, metadata=person.metadata):
            if event.HasField("document"):
                found[event.document.id] = event.document
    return [found[one] for one in document_ids]


async def chunks_of(world: World, person: Person, document_id: str) -> list[Any]:
    request = chunk_pb2.ListChunksRequest(document_id=document_id, page_size=1000)
    return list((await world.knowledge.ListChunks(request, metadata=person.metadata)).chunks)
