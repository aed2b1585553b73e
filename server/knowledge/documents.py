"""Documents, uploads and chunks, and how they fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from server.kernel.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted

SourceType = Literal["file", "url", "text"]
DocumentStatus = Literal["pending", "processing", "indexed", "failed"]

PART_BYTES = 1_048_576
"""How an original is kept: in parts of so many bytes, and a last one."""


class DocumentNotFound(NotFound):
    """No {resource} with this id."""

    resource = "document"


class DocumentExists(AlreadyExists):
    """The knowledge base has this document already: {document_id}."""


class DocumentBusy(FailedPrecondition):
    """The document {subject} is being processed, or about to be."""


class UploadNotFound(NotFound):
    """No {resource} with this id."""

    resource = "upload"


class TooManyUploads(ResourceExhausted):
    """The tenant has {most} {subject} under way, as many as it may: finish one first."""


class UploadTooLarge(ResourceExhausted):
    """A document may have {most} bytes, and this {subject} more."""


class UploadIncomplete(FailedPrecondition):
    """The upload {subject} has {received} of {size} bytes: go on with it there."""


class UploadDiffers(FailedPrecondition):
    """What came of the upload {subject} has another hash, or more bytes, than was said when it was started."""


class UploadOffsetTaken(Aborted):
    """The upload has {received} bytes, and goes on there: another may be at it too."""


class ChunkNotFound(NotFound):
    """No {resource} with this id."""

    resource = "chunk"


class EmbeddingsDiffer(FailedPrecondition):
    """The model {subject} makes vectors of another length than those that the knowledge base holds."""


@dataclass(frozen=True, slots=True)
class Described:
    """What its people say of a document before it is read. Empty and None: nothing."""

    file_name: str | None = None
    media_type: str = ""
    title: str | None = None
    author: str | None = None
    version: str = "v1.0"
    metadata: Mapping[str, Any] | None = None
    source_type: SourceType = "file"
    source_uri: str | None = None
    charset: str | None = None
    """As its server said, where it was fetched."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a base. `file_size`: bytes; `file_hash`: SHA-256, in hexadecimal, and like `file_mime_type` None
    where it is yet to be fetched. `error_reason`: why it failed.
    """

    id: UUID
    tenant_id: UUID
    knowledge_base_id: UUID
    title: str | None
    author: str | None
    source_type: SourceType
    source_uri: str
    file_name: str | None
    file_size: int
    file_mime_type: str | None
    file_hash: str | None
    version: str
    status: DocumentStatus
    error_reason: str | None
    error_message: str | None
    chunk_count: int
    uploaded_by: str | None
    processed_at: datetime | None
    active_revision: int
    metadata: Mapping[str, Any] | None
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    deleted_by: str | None

    @property
    def name(self) -> str:
        """What to call it where it is spoken of."""
        return self.title or self.file_name or str(self.id)

    def unfetched(self, blob: Upload) -> bool:
        """Whether it is yet to be fetched, or to be fetched anew. `blob`: its original."""
        return self.source_type == "url" and blob.hash is None

    @property
    def over(self) -> bool:
        """Whether nothing is to be done with it now."""
        return self.status in ("indexed", "failed")

    def abroad(self) -> Document:
        """As it is shown in another tenant: without who added it."""
        return replace(self, uploaded_by=None)


@dataclass(frozen=True, slots=True)
class Upload:
    """A document on its way, or the original of one. `size`, `hash`: as was said, or found; `started_by`: who alone
    goes on with it. `document_id`: None as long as it is on its way, and then it expires.
    """

    id: UUID
    knowledge_base_id: UUID
    document_id: UUID | None
    started_by: UUID | None
    started_with: UUID | None
    described: Described
    size: int | None
    hash: str | None
    received: int
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document. `start_offset`, `end_offset`: characters of the document's text."""

    id: UUID
    knowledge_base_id: UUID
    document_id: UUID
    chunk_index: int
    content: str
    token_count: int
    start_offset: int
    end_offset: int
    page: int | None
    heading: str | None
    embedded: bool
    embedding_model: str
    enabled: bool
    metadata: Mapping[str, Any] | None
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A piece that is to be found. `embedding`: None where its model refused it; `words`: as text search keeps it."""

    content: str
    token_count: int
    start_offset: int
    end_offset: int
    page: int | None
    heading: str | None
    embedding: Any
    search_vector: str = field(repr=False)
