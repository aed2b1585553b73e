"""The end of what the model slice keeps for a time."""

from __future__ import annotations

from uuid import UUID

from server.db.database import Database
from server.db.removal import remove_all
from server.model.ledger import Ledger
from server.model.ports import TenantSettings
from server.model.store import caches, contents, generations


class ModelUpkeep:
    """Removes, tenant by tenant, what has expired, and gives up what dead processes held."""

    def __init__(self, database: Database, ledger: Ledger, settings: TenantSettings) -> None:
        self._database = database
        self._ledger = ledger
        self._settings = settings

    async def sweep(self, tenant_id: UUID) -> None:
        """All of it, of one tenant."""
        await self._ledger.sweep(tenant_id)
        for statement in (*caches.EXPIRED, generations.EXPIRED):
            await remove_all(self._database, tenant_id, statement)
        days = (await self._settings.model_settings(tenant_id)).prompt_retention_days
        await remove_all(self._database, tenant_id, contents.EXPIRED, days=days)
