"""Generations: all chunks of a base that are made alike, of which one is searched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from server.kernel.errors import FailedPrecondition

GenerationStatus = Literal["building", "active", "kept", "discarded"]

KEPT_DAYS = 7
"""How long the generation that was searched before can be gone back to."""


class KnowledgeBaseReindexing(FailedPrecondition):
    """The knowledge base {subject} is being reindexed, or rolled back: wait for its end."""


class ReindexNotReversible(FailedPrecondition):
    """The knowledge base {subject} has no former generation, or it is not kept any more."""


@dataclass(frozen=True, slots=True)
class Generation:
    """How the chunks of a generation are made. `chunk_size`, `chunk_overlap`: in tokens."""

    number: int
    embedding_model: str
    embedding_dimensions: int
    chunk_size: int
    chunk_overlap: int


@dataclass(frozen=True, slots=True)
class Reindex:
    """A generation, and how it came to be, or is coming. `rollback`: it was searched before, and is gone back to.
    `started_at`: None: nobody asked for it, as for a base's first; `kept_until`: None: it is not kept.
    """

    generation: Generation
    status: GenerationStatus
    rollback: bool
    started_by: UUID | None
    started_with: UUID | None
    document_done: int
    document_total: int
    error_reason: str | None
    error_message: str | None
    started_at: datetime | None
    ended_at: datetime | None
    kept_until: datetime | None
