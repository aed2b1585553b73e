"""Bases of documents, and how they fail."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from server.kernel.errors import AlreadyExists, FailedPrecondition, NotFound
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.permissions import Permission
from server.kernel.principal import Principal
from server.knowledge.generations import Generation, Reindex

Visibility = Literal["personal", "tenant", "public"]
Status = Literal["active", "archived", "deleted"]

CHUNK_SIZE = 512
CHUNK_OVERLAP = 64
"""Of a base that does not say, in tokens: a paragraph or two, and a sentence or two."""


class KnowledgeBaseNotFound(NotFound):
    """No {resource} with this id."""

    resource = "knowledge base"


class KnowledgeBaseNameTaken(AlreadyExists):
    """Another knowledge base is called {name}."""


class KnowledgeBaseDeleted(FailedPrecondition):
    """The knowledge base {subject} was deleted."""


class KnowledgeBasePurgeBegun(FailedPrecondition):
    """The knowledge base {subject} is being purged: it cannot be restored any more."""


class KnowledgeBaseArchived(FailedPrecondition):
    """The knowledge base {subject} is archived: activate it first."""


class KnowledgeBaseActive(FailedPrecondition):
    """The knowledge base {subject} is not archived."""


class KnowledgeBaseNotPersonal(FailedPrecondition):
    """Only a member of the tenant can have a personal knowledge base, and only its owner can make {subject} one."""


class KnowledgeBaseNotPublic(FailedPrecondition):
    """Only the platform can have a public knowledge base, which {subject} would be."""


class EmbeddingModelUnsuitable(FailedPrecondition):
    """The model {subject} does not say how many dimensions its vectors have: a knowledge base needs to know."""


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """A collection of documents that are searched together. `chunk_size`, `chunk_overlap`: in tokens; `total_size`: in
    bytes; `search_top_k`, `search_threshold`: None: the tenant's setting.
    """

    id: UUID
    tenant_id: UUID
    owner_user_id: UUID | None
    name: str
    description: str | None
    visibility: Visibility
    embedding_model: str
    embedding_dimensions: int
    chunk_size: int
    chunk_overlap: int
    search_top_k: int | None
    search_threshold: Decimal | None
    active_generation: int
    status: Status
    former_status: Status | None
    document_count: int
    chunk_count: int
    total_size: int
    created_by: str | None
    updated_by: str | None
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    deleted_by: str | None
    reindex: Reindex | None = None
    """The last that was asked for; and below what can be gone back to. Only where it is told to people."""
    former: Reindex | None = None

    @property
    def generation(self) -> Generation:
        """The one that is searched, and how documents are processed."""
        return Generation(
            self.active_generation,
            self.embedding_model,
            self.embedding_dimensions,
            self.chunk_size,
            self.chunk_overlap,
        )

    @property
    def purge_begun(self) -> bool:
        """Whether some of it may be gone: nothing says any more what it would be again."""
        return self.status == "deleted" and self.former_status is None

    def seen_by(self, caller: Principal) -> bool:
        """Whether it is there for the caller."""
        if self.tenant_id != caller.tenant_id:
            return self.visibility == "public" and self.tenant_id == PLATFORM_TENANT_ID
        return self.visibility != "personal" or self.owner_user_id == caller.member_id or manages(caller)

    def abroad(self) -> KnowledgeBase:
        """As it is shown in another tenant: nothing of whose it is."""
        return replace(self, owner_user_id=None, created_by=None, updated_by=None)

    def check_live(self) -> None:
        """Raises KnowledgeBaseDeleted."""
        if self.deleted_at is not None:
            raise KnowledgeBaseDeleted(self.name)

    def check_active(self) -> None:
        """Raises KnowledgeBaseDeleted, KnowledgeBaseArchived where nothing can be done with what is in it."""
        self.check_live()
        if self.status == "archived":
            raise KnowledgeBaseArchived(self.name)


def manages(caller: Principal) -> bool:
    """Whether they see personal bases of others: who may manage knowledge bases."""
    return Permission.KNOWLEDGE_BASES_MANAGE in caller.permissions
