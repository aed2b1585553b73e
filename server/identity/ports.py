"""What the identity slice needs from others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change
from server.kernel.quota import Limit


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...


class Mailer(Protocol):
    """Carries mail to people."""

    async def send(self, to: str, subject: str, text: str) -> None:
        """Hands the mail over to be delivered. Raises MailRefused, or whatever else keeps it from that for now."""


class Quotas(Protocol):
    """How much of something the transaction's tenant may have."""

    async def hold(self, tx: Tx, resource: Literal["users"]) -> Limit | None:
        """The limit; None for none. Whoever asks next waits until the transaction ends."""


class Tenants(Protocol):
    """What signing in and choosing a password must know of tenants."""

    async def find(self, slug: str) -> tuple[UUID | None, bool]:
        """The id of the tenant of that slug, a deleted one too, and whether it is active."""

    async def find_active(self, slug: str) -> UUID | None:
        """The id of the active tenant of that slug."""

    async def is_active(self, tx: Tx) -> bool:
        """Whether the transaction's tenant is active."""

    async def exists(self, tenant_id: UUID) -> bool:
        """Whether there is such a tenant, active or not."""

    async def slug(self, tenant_id: UUID) -> str:
        """The slug of a tenant that is there."""


class Belongings(Protocol):
    """What another slice keeps that belongs to people."""

    async def remove(self, tx: Tx, user_id: UUID) -> Mapping[str, Any]:
        """The person is about to be removed for good. What became of it, for the audit log to say."""
