"""Tells that what callers may do has changed, for the slices beside this one."""

from __future__ import annotations

from uuid import UUID

from server.db.database import Tx
from server.identity.store import sessions


class AccessChanges:
    """Has every process forget what it remembers of a tenant's callers."""

    async def tenant_changed(self, tx: Tx, tenant_id: UUID) -> None:
        """Told as the transaction commits."""
        await sessions.tell_changed(tx, tenant_id, None)
