"""Searches: what is found in knowledge bases, and the record of what was asked."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from time import perf_counter
from typing import Any
from uuid import UUID

from pgvector import HalfVector

from server.db.database import Database
from server.kernel.errors import DomainError
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.knowledge import worker
from server.knowledge.documents import EmbeddingsDiffer
from server.knowledge.domain import KnowledgeBase
from server.knowledge.ports import Embeddings, Offload, SearchSettings, Tenants
from server.knowledge.ranking import Candidate, Hit, ranked
from server.knowledge.searches import QueryLog, Searched, SearchQuery, SearchResult
from server.knowledge.service.sight import Sight
from server.knowledge.store import bases as store
from server.knowledge.store import queries, search
from server.knowledge.vectors import unit
from server.knowledge.words import is_cut_by_dictionary, words

_CACHE_SECONDS = 3_600
"""For so long the same question is not embedded again."""


class SearchService:
    """Finds what answers a question."""

    def __init__(
        self,
        database: Database,
        sight: Sight,
        embeddings: Embeddings,
        offload: Offload,
        tenants: Tenants,
        hash_key: bytes,
    ) -> None:
        """`hash_key`: what queries are hashed with, of tenants that keep none."""
        self._database = database
        self._sight = sight
        self._embeddings = embeddings
        self._offload = offload
        self._tenants = tenants
        self._hash_key = hash_key

    async def search(self, query: SearchQuery) -> Searched:
        """The chunks that answer it best.

        Raises KnowledgeBaseNotFound, KnowledgeBaseArchived, EmbeddingsDiffer, and what is wrong with the call of the
        model.
        """
        began = perf_counter()
        tenant_id = current_call().caller.tenant_id
        bases = await self._bases(query)
        settings = await self._tenants.model_settings(tenant_id)
        top_k, threshold = _bounds(query, bases, settings)
        while (found := await self._attempt(bases, query, top_k)) is None:
            bases = await self._bases(query)
        least = 0.0 if threshold is None else float(threshold)
        results = [one for one in found if one.score >= least]
        values = _record(query, top_k, threshold, results, int((perf_counter() - began) * 1000))
        kept = query.text if settings.store_queries else self._hashed(tenant_id, query.text)
        async with self._database.tenant_tx(tenant_id, durable=False) as tx:
            log_id = await queries.add(tx, {**values, "query_text": kept})
        return Searched(results, log_id)

    async def logs(
        self, request: PageRequest, filters: Mapping[str, Any], since: datetime | None, until: datetime | None
    ) -> Page[QueryLog]:
        """The records of searches of the caller's tenant, newest first. `filters`: user_id, trace_id."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return await queries.page(tx, request, filters, since, until)

    async def _bases(self, query: SearchQuery) -> list[KnowledgeBase]:
        bases = await self._sight.bases(query.base_ids)
        for base in bases:
            base.check_active()
        return bases

    async def _attempt(
        self, bases: Sequence[KnowledgeBase], query: SearchQuery, top_k: int
    ) -> list[SearchResult] | None:
        """None where a base has come to another generation meanwhile, and so perhaps to another model."""
        # Models refuse a text without a word in it, which nothing is like.
        asks = query.mode != "text" and not query.text.isspace()
        vectors = await self._vectors(bases, query.text) if asks else {}
        return await self._found(bases, query, vectors, top_k)

    async def _vectors(self, bases: Sequence[KnowledgeBase], text: str) -> Mapping[str, HalfVector | None]:
        """The question's, by the bases' models: each is asked once."""
        found: dict[str, Any] = {}
        for base in bases:
            if base.embedding_model not in found:
                (vector,) = (await self._embeddings.embed(base.embedding_model, [text], _CACHE_SECONDS)).vectors
                if isinstance(vector, DomainError):
                    raise vector
                found[base.embedding_model] = vector
            if len(found[base.embedding_model]) != base.embedding_dimensions:
                raise EmbeddingsDiffer(base.embedding_model)
        return {model: unit(vector) for model, vector in found.items()}

    async def _words(self, text: str) -> list[str]:
        if is_cut_by_dictionary(text):
            return await self._offload.run(current_call().caller.tenant_id, worker.asked, text)
        return words(text)

    async def _found(
        self, bases: Sequence[KnowledgeBase], query: SearchQuery, vectors: Mapping[str, HalfVector | None], top_k: int
    ) -> list[SearchResult] | None:
        """The best of all, each found under the row security of its tenant: the caller's own, and the platform's. None
        where another generation of one is searched than was when it was read.
        """
        candidates: list[Candidate] = []
        said = (await self._words(query.text) if query.mode != "vector" else None) or None
        for base in _apart(bases):
            alike, vector = [one.id for one in bases if _kind(one) == _kind(base)], vectors.get(base.embedding_model)
            if vector is None and said is None:  # it is asked for nothing
                continue
            async with self._sight.reading(base) as tx:
                candidates += await search.candidates(
                    tx,
                    alike,
                    vector,
                    said,
                    top_k,
                    search.Filters(list(query.document_ids) or None, dict(query.metadata or {}) or None),
                )
        hits = ranked(candidates, query.mode, top_k)
        held: dict[UUID, search.Content] = {}
        for base in {one.tenant_id: one for one in bases}.values():
            theirs = {one.id: one.active_generation for one in bases if one.tenant_id == base.tenant_id}
            async with self._sight.reading(base) as tx:
                at_last = {one.id: one.active_generation for one in await store.many(tx, list(theirs))}
                if any(at_last.get(one, of) != of for one, of in theirs.items()):
                    return None
                held |= await search.contents(tx, [hit for hit in hits if hit.base_id in theirs])
        return [_result(hit, held[hit.chunk_id]) for hit in hits if hit.chunk_id in held]

    def _hashed(self, tenant_id: UUID, text: str) -> str:
        """By tenant, so that nobody can tell from two tenants' records that they asked the same."""
        return "hmac-sha256:" + hmac.new(self._hash_key, tenant_id.bytes + text.encode(), hashlib.sha256).hexdigest()


def _kind(base: KnowledgeBase) -> tuple[UUID, str]:
    """Bases of one kind are searched together: one tenant's, of one model."""
    return base.tenant_id, base.embedding_model


def _apart(bases: Sequence[KnowledgeBase]) -> list[KnowledgeBase]:
    """One base of each kind."""
    return list({_kind(base): base for base in bases}.values())


def _result(hit: Hit, content: search.Content) -> SearchResult:
    return SearchResult(
        hit.chunk_id,
        hit.document_id,
        hit.base_id,
        content.document_title or content.file_name or "",
        content.content,
        content.token_count,
        content.page,
        content.heading,
        content.chunk_index,
        content.metadata,
        hit.score,
        hit.similarity,
        hit.bm25,
    )


def _bounds(query: SearchQuery, bases: Sequence[KnowledgeBase], settings: SearchSettings) -> tuple[int, Decimal | None]:
    """How many, and the least score: as the request says, or the base where it is one, or the tenant."""
    top_k, threshold = query.top_k, query.threshold
    if len(bases) == 1:
        top_k = top_k or bases[0].search_top_k
        threshold = bases[0].search_threshold if threshold is None else threshold
    threshold = settings.vector_search_threshold if threshold is None else threshold
    return top_k or settings.vector_search_top_k, threshold


def _record(
    query: SearchQuery, top_k: int, threshold: Decimal | None, results: Sequence[SearchResult], latency_ms: int
) -> dict[str, Any]:
    call = current_call()
    mean = sum(one.score for one in results) / len(results) if results else None
    return {
        "user_id": call.caller.user_id,
        "api_key_id": call.caller.api_key_id,
        "knowledge_base_ids": query.base_ids,
        "mode": query.mode,
        "top_k": top_k,
        "score_threshold": None if threshold is None else Decimal(f"{threshold:.2f}"),
        "retrieved_count": len(results),
        "average_score": None if mean is None else Decimal(f"{mean:.5f}"),
        "latency_ms": latency_ms,
        "request_id": call.request_id,
        "trace_id": call.trace_id,
        "session_id": query.session_id or None,
    }
