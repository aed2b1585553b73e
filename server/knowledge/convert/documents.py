"""Documents, uploads and chunks, as the API has them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from google.protobuf.struct_pb2 import Struct

from atrium.knowledge.v1 import chunk_pb2, document_pb2
from server.kernel.errors import InvalidRequest, etag_of
from server.knowledge.documents import Chunk, Described, Document, SourceType, Upload
from server.knowledge.service.documents import Part
from server.knowledge.service.watching import News
from server.rpc.wire import EnumMap, changes, json_struct, present, reason, struct, timestamp

_MOST_METADATA_BYTES = 8_192

_SOURCE = EnumMap(
    {
        "file": document_pb2.Document.SOURCE_FILE,
        "url": document_pb2.Document.SOURCE_URL,
        "text": document_pb2.Document.SOURCE_TEXT,
    }
)
_STATE = EnumMap(
    {
        "pending": document_pb2.Document.STATE_PENDING,
        "processing": document_pb2.Document.STATE_PROCESSING,
        "indexed": document_pb2.Document.STATE_INDEXED,
        "failed": document_pb2.Document.STATE_FAILED,
    }
)


def described(info: document_pb2.DocumentInfo, source: SourceType) -> Described:
    """What is said of a document. Raises InvalidRequest."""
    return Described(
        file_name=info.file_name or None,
        media_type=info.media_type,
        version=info.version or "v1.0",
        metadata=_metadata(info.metadata, "info.metadata") if info.HasField("metadata") else None,
        source_type=source,
        **present(info, "title", "author"),
    )


def started(request: document_pb2.StartUploadRequest) -> tuple[UUID, Described, int | None, str | None]:
    """What `AddingService.start` is asked."""
    said = described(request.info, "file")
    return UUID(request.knowledge_base_id), said, request.size or None, request.sha256 or None


def document_changes(request: document_pb2.UpdateDocumentRequest) -> dict[str, Any]:
    values = changes(request, "title", "author", "version", "metadata")
    if values.get("metadata") is not None:
        values["metadata"] = _metadata(values["metadata"], "metadata")
    return values


def filters(request: document_pb2.ListDocumentsRequest) -> dict[str, Any]:
    given = {"status": _STATE.word.get(request.state), "file_hash": request.sha256 or None}
    return {name: value for name, value in given.items() if value is not None}


def document(value: Document) -> document_pb2.Document:
    return document_pb2.Document(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        knowledge_base_id=str(value.knowledge_base_id),
        title=value.title,
        author=value.author,
        source=_SOURCE.number[value.source_type],
        source_uri=value.source_uri,
        file_name=value.file_name,
        size=value.file_size,
        media_type=value.file_mime_type or "",
        sha256=value.file_hash or "",
        version=value.version,
        state=_STATE.number[value.status],
        error_reason=reason(value.error_reason),
        error_message=value.error_message,
        chunk_count=value.chunk_count,
        uploaded_by=value.uploaded_by,
        process_time=timestamp(value.processed_at),
        metadata=struct(value.metadata),
        delete_time=timestamp(value.deleted_at),
    )


def upload(value: Upload) -> document_pb2.Upload:
    return document_pb2.Upload(
        id=str(value.id),
        knowledge_base_id=str(value.knowledge_base_id),
        received=value.received,
        size=value.size or 0,
        document_id=str(value.document_id or ""),
        create_time=timestamp(value.created_at),
        expire_time=timestamp(value.expires_at),
    )


def part(value: Part) -> document_pb2.DownloadDocumentResponse:
    if value.data is None:
        return document_pb2.DownloadDocumentResponse(seq=value.seq, ended={})
    return document_pb2.DownloadDocumentResponse(seq=value.seq, data=value.data)


def news(value: News) -> document_pb2.WatchIngestionResponse:
    if value.document is None:
        return document_pb2.WatchIngestionResponse(seq=value.seq, heartbeat={})
    return document_pb2.WatchIngestionResponse(seq=value.seq, document=document(value.document))


def chunk(value: Chunk) -> chunk_pb2.Chunk:
    return chunk_pb2.Chunk(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        knowledge_base_id=str(value.knowledge_base_id),
        document_id=str(value.document_id),
        index=value.chunk_index,
        content=value.content,
        token_count=value.token_count,
        start_offset=value.start_offset,
        end_offset=value.end_offset,
        page=value.page,
        heading=value.heading,
        enabled=value.enabled,
        embedded=value.embedded,
        embedding_model=value.embedding_model,
    )


def chunk_changes(request: chunk_pb2.UpdateChunkRequest) -> dict[str, Any]:
    return changes(request, "content", "enabled")


def _metadata(value: Struct, field: str) -> dict[str, Any]:
    made = json_struct(value, field)
    if len(orjson.dumps(made)) > _MOST_METADATA_BYTES:
        raise InvalidRequest([(field, f"must have at most {_MOST_METADATA_BYTES} bytes as JSON")])
    return made
