"""What the model slice needs from others."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...


class TenantSettings(Protocol):
    """What the tenant's settings say of a call to a model."""

    async def model_defaults(self, tenant_id: UUID) -> tuple[str | None, str | None, float, int]:
        """The default chat and embedding model, the default temperature and the ceiling of generated tokens."""
