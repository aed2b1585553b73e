"""Watching documents being processed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from server.kernel.errors import ResourceExhausted
from server.kernel.principal import current_call
from server.kernel.watches import Watches
from server.knowledge.documents import Document
from server.knowledge.service.sight import Sight

_LOOK_SECONDS = 0.25
_HEARTBEAT_SECONDS = 10.0
_LIFE_SECONDS = 3_500.0
_MOST_OF_TENANT = 20


class TooManyIngestionWatches(ResourceExhausted):
    """As many {subject} are open as the tenant may have in a process: close one first."""


@dataclass(frozen=True, slots=True)
class News:
    """A document as it is now; None: nothing is new."""

    seq: int
    document: Document | None


class IngestionWatching:
    """Tells of the state of documents."""

    def __init__(
        self,
        sight: Sight,
        look: float = _LOOK_SECONDS,
        heartbeat: float = _HEARTBEAT_SECONDS,
        life: float = _LIFE_SECONDS,
    ) -> None:
        """Seconds: after which it looks again, tells that nothing is new, and ends by itself."""
        self._sight = sight
        self._look = look
        self._heartbeat = heartbeat
        self._life = life
        self._watches = Watches(_MOST_OF_TENANT, TooManyIngestionWatches, "watches of documents at once")

    async def watch(self, document_ids: Sequence[UUID]) -> AsyncGenerator[News, None]:
        """Each document as it is, and whenever it changes, until nothing is to be done with any of them.

        Raises DocumentNotFound, also where one goes meanwhile; TooManyIngestionWatches.
        """
        with self._watches.one_more(current_call().caller.tenant_id):
            told: dict[UUID, Document] = {}
            seq, said_at, begun = 0, monotonic(), monotonic()
            while monotonic() - begun < self._life:
                found = await self._sight.documents(document_ids)
                for document in found:
                    if told.get(document.id) != document:
                        told[document.id] = document
                        seq, said_at = seq + 1, monotonic()
                        yield News(seq, document)
                if all(document.over for document in found):
                    return
                if monotonic() - said_at >= self._heartbeat:
                    seq, said_at = seq + 1, monotonic()
                    yield News(seq, None)
                await asyncio.sleep(self._look)
