"""Searches: what is asked, what is found, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

SearchMode = Literal["vector", "text", "hybrid"]
Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for, and where. `top_k`, `threshold`: None: as the base says, or the tenant. `document_ids`:
    empty: of any document. `metadata`: None or empty: likewise.
    """

    base_ids: Sequence[UUID]
    text: str
    mode: SearchMode = "hybrid"
    top_k: int | None = None
    threshold: Decimal | None = None
    document_ids: Sequence[UUID] = ()
    metadata: Mapping[str, Any] | None = None
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A chunk that was found. `score`: 0 to 1; `vector_score`: a cosine; `text_score`: BM25's; None: not found so."""

    chunk_id: UUID
    document_id: UUID
    knowledge_base_id: UUID
    document_title: str
    content: str
    token_count: int
    page: int | None
    heading: str | None
    chunk_index: int
    metadata: Mapping[str, Any] | None
    score: float
    vector_score: float | None
    text_score: float | None


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search came to, the best first. `log_id`: its record."""

    results: Sequence[SearchResult]
    log_id: UUID


@dataclass(frozen=True, slots=True)
class QueryLog:
    """The record of a search."""

    id: UUID
    user_id: UUID | None
    api_key_id: UUID | None
    knowledge_base_ids: Sequence[UUID]
    query_text: str
    mode: SearchMode
    top_k: int
    score_threshold: Decimal | None
    retrieved_count: int
    average_score: Decimal | None
    latency_ms: int | None
    request_id: str | None
    trace_id: str | None
    session_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of bases, and of whom. What is None or empty is left open."""

    query: SearchQuery
    model: str = ""
    instructions: str = ""
    history: Sequence[tuple[Role, str]] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    max_source_tokens: int = 2_000
