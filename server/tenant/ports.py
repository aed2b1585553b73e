"""What the tenant slice needs from others."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...


class AccessChanges(Protocol):
    """Whoever remembers what callers may do is told when a tenant's callers may do something else."""

    async def tenant_changed(self, tx: Tx, tenant_id: UUID) -> None:
        """Has every process forget it, as the transaction commits."""


class Counter(Protocol):
    """Counts how many of something the transaction's tenant has."""

    async def __call__(self, tx: Tx) -> int: ...


class Founding(Protocol):
    """Gives a new tenant its roles and its first administrator."""

    async def prepare(self, password: str) -> str:
        """The hash of the administrator's password, made before the transaction opens."""

    async def found(self, tx: Tx, tenant_id: UUID, username: str, email: str, password_hash: str) -> UUID:
        """Makes them in the tenant's own transaction; the administrator's id."""
