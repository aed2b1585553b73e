"""Passages as other slices ask for them: a text in, parts of documents out."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from server.knowledge.searches import SearchQuery, SearchResult
from server.knowledge.service.asking import fitting, listed
from server.knowledge.service.searching import SearchService


class Passages:
    """Finds for the caller, as Search does."""

    def __init__(self, searches: SearchService) -> None:
        self._searches = searches

    async def find(
        self, base_ids: Sequence[UUID], text: str, top_k: int | None, most_tokens: int | None = None
    ) -> Sequence[SearchResult]:
        """The best first, as many as have so many tokens together, and one in any case. Raises what
        `SearchService.search` does.
        """
        found = (await self._searches.search(SearchQuery(base_ids, text, top_k=top_k))).results
        return found if most_tokens is None else fitting(found, most_tokens)

    def told(self, found: Sequence[SearchResult]) -> str:
        """As a model is told of them, by their numbers from 1."""
        return listed(found)
