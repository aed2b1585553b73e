"""Changes to knowledge bases and what is in them."""

from __future__ import annotations

from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of, numbers
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import KNOWLEDGE

_KIND = "knowledge_base"
_WORDS = ("knowledge_words", "knowledge_word_totals")
_ORIGINAL = ("document_blobs", "document_blob_parts")


@change_of(KNOWLEDGE + "CreateKnowledgeBase")
async def _(stage: Stage) -> Attempt:
    fields = {
        "name": f"made {next(numbers)}",
        "description": "Made",
        "visibility": 1,
        "embedding_model": "local-embedding",
        "chunk_size": 256,
        "chunk_overlap": 16,
        "search_top_k": 5,
        "search_threshold": 0.25,
    }
    return stage.attempt(
        KNOWLEDGE + "CreateKnowledgeBase",
        *("knowledge_bases.create", _KIND),
        fields,
        {**fields, "embedding_model": "none"},
        tables=("knowledge_bases",),
    )


@change_of(KNOWLEDGE + "UpdateKnowledgeBase")
async def _(stage: Stage) -> Attempt:
    base_id = await stage.knowledge_base()
    fields = {
        "id": base_id,
        "name": f"other {next(numbers)}",
        "description": "Other",
        "visibility": 1,
        "chunk_size": 256,
        "chunk_overlap": 16,
        "search_top_k": 5,
        "search_threshold": 0.5,
    }
    return stage.attempt(
        KNOWLEDGE + "UpdateKnowledgeBase",
        *("knowledge_bases.update", _KIND),
        fields,
        {**fields, "etag": "stale"},
        target=base_id,
        tables=("knowledge_bases",),
    )


@change_of(KNOWLEDGE + "ArchiveKnowledgeBase")
async def _(stage: Stage) -> Attempt:
    return by_id(
        stage, KNOWLEDGE + "ArchiveKnowledgeBase", "knowledge_bases.archive", _KIND, await stage.knowledge_base()
    )


@change_of(KNOWLEDGE + "ActivateKnowledgeBase")
async def _(stage: Stage) -> Attempt:
    base_id = await stage.knowledge_base()
    await stage.call(KNOWLEDGE + "ArchiveKnowledgeBase", id=base_id)
    return by_id(stage, KNOWLEDGE + "ActivateKnowledgeBase", "knowledge_bases.activate", _KIND, base_id)


@change_of(KNOWLEDGE + "DeleteKnowledgeBase")
async def _(stage: Stage) -> Attempt:
    return by_id(
        stage, KNOWLEDGE + "DeleteKnowledgeBase", "knowledge_bases.delete", _KIND, await stage.knowledge_base()
    )


@change_of(KNOWLEDGE + "RestoreKnowledgeBase")
async def _(stage: Stage) -> Attempt:
    base_id = await stage.knowledge_base()
    await stage.call(KNOWLEDGE + "DeleteKnowledgeBase", id=base_id)
    return by_id(stage, KNOWLEDGE + "RestoreKnowledgeBase", "knowledge_bases.restore", _KIND, base_id)


@change_of(KNOWLEDGE + "PurgeKnowledgeBase")
async def _(stage: Stage) -> Attempt:
    base_id = await stage.knowledge_base(stage.platform)
    await stage.call(KNOWLEDGE + "DeleteKnowledgeBase", stage.platform, id=base_id)
    return by_id(
        stage,
        KNOWLEDGE + "PurgeKnowledgeBase",
        *("knowledge_bases.purge", _KIND, base_id),
        by=stage.platform,
    )


@change_of(KNOWLEDGE + "ReindexKnowledgeBase")
async def _(stage: Stage) -> Attempt:
    base_id = await stage.knowledge_base()
    await stage.hold(stage.owner.tenant_id)
    return by_id(
        stage,
        KNOWLEDGE + "ReindexKnowledgeBase",
        *("knowledge_bases.reindex", _KIND, base_id),
        tables=(),
        beside=("knowledge_generations",),
    )


@change_of(KNOWLEDGE + "RollbackReindex")
async def _(stage: Stage) -> Attempt:
    base_id = await stage.knowledge_base()
    await stage.hold(stage.owner.tenant_id)
    await stage.call(KNOWLEDGE + "ReindexKnowledgeBase", id=base_id)
    return by_id(
        stage,
        KNOWLEDGE + "RollbackReindex",
        *("knowledge_bases.cancel_reindex", _KIND, base_id),
        tables=(),
        beside=("knowledge_generations",),
    )


@change_of(KNOWLEDGE + "IngestText")
async def _(stage: Stage) -> Attempt:
    info = {"file_name": "a.md", "title": "A", "author": "Ada", "version": "v2", "metadata": {"year": 2030.0}}
    fields = {"knowledge_base_id": await stage.knowledge_base(), "text": "# Tides", "info": info}
    await stage.hold(stage.owner.tenant_id)
    return stage.attempt(
        KNOWLEDGE + "IngestText",
        *("documents.create", "document"),
        fields,
        {**fields, "knowledge_base_id": SOME_ID},
        tables=("knowledge_documents",),
        beside=(*_ORIGINAL, "knowledge_bases"),
    )


@change_of(KNOWLEDGE + "IngestUrl")
async def _(stage: Stage) -> Attempt:
    info = {"file_name": "a.md", "title": "A", "author": "Ada", "version": "v2", "metadata": {"year": 2030.0}}
    fields = {"knowledge_base_id": await stage.knowledge_base(), "url": "https://example.com/a", "info": info}
    await stage.hold(stage.owner.tenant_id)
    return stage.attempt(
        KNOWLEDGE + "IngestUrl",
        *("documents.create", "document"),
        fields,
        {**fields, "knowledge_base_id": SOME_ID},
        tables=("knowledge_documents",),
        beside=("document_blobs", "knowledge_bases"),
    )


@change_of(KNOWLEDGE + "StartUpload")
async def _(stage: Stage) -> Attempt:
    base_id = await stage.knowledge_base()
    fields = {"knowledge_base_id": base_id, "size": 7, "info": {"file_name": "a.md"}}
    return stage.attempt(
        KNOWLEDGE + "StartUpload",
        *("uploads.start", "upload"),
        fields,
        {**fields, "knowledge_base_id": SOME_ID},
        tables=("document_blobs",),
    )


@change_of(KNOWLEDGE + "RetryDocument")
async def _(stage: Stage) -> Attempt:
    document = await stage.document()
    await stage.hold(stage.owner.tenant_id)
    return by_id(
        stage,
        KNOWLEDGE + "RetryDocument",
        *("documents.retry", "document", document.id),
        beside=("document_blobs",),
    )


@change_of(KNOWLEDGE + "UpdateDocument")
async def _(stage: Stage) -> Attempt:
    document = await stage.document()
    fields = {"id": document.id, "title": "T", "author": "A", "version": "v3", "metadata": {"a": 1.0}}
    return stage.attempt(
        KNOWLEDGE + "UpdateDocument",
        *("documents.update", "document"),
        fields,
        {**fields, "etag": "stale"},
        target=document.id,
        tables=("knowledge_documents",),
    )


@change_of(KNOWLEDGE + "DeleteDocument")
async def _(stage: Stage) -> Attempt:
    document = await stage.document()
    return by_id(
        stage,
        KNOWLEDGE + "DeleteDocument",
        *("documents.delete", "document", document.id),
        beside=("knowledge_bases", *_WORDS),
    )


@change_of(KNOWLEDGE + "RestoreDocument")
async def _(stage: Stage) -> Attempt:
    document = await stage.document()
    await stage.call(KNOWLEDGE + "DeleteDocument", id=document.id)
    return by_id(
        stage,
        KNOWLEDGE + "RestoreDocument",
        *("documents.restore", "document", document.id),
        beside=("knowledge_bases", *_WORDS),
    )


@change_of(KNOWLEDGE + "PurgeDocument")
async def _(stage: Stage) -> Attempt:
    document = await stage.document(stage.platform)
    await stage.call(KNOWLEDGE + "DeleteDocument", stage.platform, id=document.id)
    return by_id(
        stage,
        KNOWLEDGE + "PurgeDocument",
        *("documents.purge", "document", document.id),
        by=stage.platform,
        beside=(*_ORIGINAL, "knowledge_chunks"),
    )


@change_of(KNOWLEDGE + "UpdateChunk")
async def _(stage: Stage) -> Attempt:
    document = await stage.document()
    (chunk,) = (await stage.call(KNOWLEDGE + "ListChunks", document_id=document.id)).chunks
    fields = {"document_id": document.id, "id": chunk.id, "enabled": False}
    return stage.attempt(
        KNOWLEDGE + "UpdateChunk",
        *("chunks.update", "chunk"),
        fields,
        {**fields, "etag": "stale"},
        target=chunk.id,
        beside=("knowledge_chunks", *_WORDS),
        old={"document_id": document.id, "chunk_index": 0, "enabled": True},
        new={"document_id": document.id, "chunk_index": 0, "enabled": False},
    )
