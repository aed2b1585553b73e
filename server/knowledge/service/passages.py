"""Passages as other slices ask for them: a text in, parts of documents out."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from server.knowledge.searches import SearchQuery, SearchResult
from server.knowledge.service.searching import SearchService


class Passages:
    """Finds for the caller, as Search does."""

    def __init__(self, searches: SearchService) -> None:
        self._searches = searches

    async def find(self, base_ids: Sequence[UUID], text: str, top_k: int | None) -> Sequence[SearchResult]:
        """The best first. Raises what `SearchService.search` does."""
        return (await self._searches.search(SearchQuery(base_ids, text, top_k=top_k))).results
