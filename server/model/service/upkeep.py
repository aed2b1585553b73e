"""The end of what the model slice keeps for a time."""

from __future__ import annotations

from uuid import UUID

from server.db.database import Database, Tx
from server.db.removal import remove_all
from server.model.ledger import Ledger
from server.model.ports import TenantSettings
from server.model.store import caches, contents, generations


class ModelUpkeep:
    """Removes, tenant by tenant, what has expired, counts what dead processes noted, and gives up what they held."""

    def __init__(self, database: Database, ledger: Ledger, settings: TenantSettings) -> None:
        self._database = database
        self._ledger = ledger
        self._settings = settings

    async def sweep(self, tenant_id: UUID) -> None:
        """All of it, of one tenant."""
        await self._ledger.sweep(tenant_id)
        for statement in (*caches.EXPIRED, generations.EXPIRED):
            await remove_all(self._database, tenant_id, statement)
        settings = await self._settings.model_settings(tenant_id)
        days = min(
            settings.prompt_retention_days, settings.call_log_retention_days
        )  # nobody finds it without its record
        await remove_all(self._database, tenant_id, contents.EXPIRED, days=days)


class ModelBelongings:
    """What of the slice belongs to people, beside the records of their calls, which are the tenant's."""

    async def remove(self, tx: Tx, user_id: UUID) -> dict[str, int]:
        """The person is removed for good: what they asked and were answered goes with them. Says how much that was."""
        found = {
            "streams_removed": await generations.remove_all(tx, user_id),
            "kept_calls_removed": await contents.remove_all(tx, user_id),
        }
        return {name: count for name, count in found.items() if count}
