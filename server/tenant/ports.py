"""What the tenant slice needs from others."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...


class People(Protocol):
    """What a change of settings must know of the transaction's tenant's people, and tell them."""

    async def is_verified(self, tx: Tx, user_id: UUID) -> bool:
        """Whether the user's e-mail address is verified."""

    async def tell_all_changed(self, tx: Tx) -> None:
        """Has every process forget, on commit, what it remembers of the access of the tenant's people."""


class Founding(Protocol):
    """Gives a new tenant its roles and its first administrator."""

    async def prepare(self, slug: str, username: str, email: str, password: str) -> str:
        """The hash of the administrator's password, made before the transaction. Refuses one that is easily guessed."""

    async def found(self, tx: Tx, tenant_id: UUID, username: str, email: str, password_hash: str) -> UUID:
        """Makes them in the tenant's own transaction; the administrator's id."""
