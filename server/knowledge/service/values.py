"""What the audit log keeps of the slice's objects: their fields as JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from server.kernel.audit import plain
from server.knowledge.documents import Chunk, Document, Upload
from server.knowledge.domain import KnowledgeBase
from server.knowledge.generations import Generation

_UNTOLD = frozenset({"id", "tenant_id", "revision", "created_at", "updated_at", "reindex", "former"})
_COLUMNS = {"visibility": "visibility_scope", "embedding_model": "default_embedding_model"}


def base_values(base: KnowledgeBase | None) -> dict[str, Any] | None:
    if base is None:
        return None
    return plain({_COLUMNS.get(name, name): value for name, value in asdict(base).items() if name not in _UNTOLD})


def generation_values(made: Generation) -> dict[str, Any]:
    return {"generation": made.number, **{name: value for name, value in asdict(made).items() if name != "number"}}


def document_values(document: Document | None) -> dict[str, Any] | None:
    if document is None:
        return None
    return plain({name: value for name, value in asdict(document).items() if name not in _UNTOLD})


def upload_values(upload: Upload) -> dict[str, Any]:
    return plain({name: value for name, value in asdict(upload).items() if name not in _UNTOLD})


def chunk_values(chunk: Chunk) -> dict[str, Any]:
    """Not its text: that is the tenant's people's, and no record of who did what."""
    return {"document_id": str(chunk.document_id), "chunk_index": chunk.chunk_index, "enabled": chunk.enabled}
