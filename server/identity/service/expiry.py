"""The end of what has expired, and of what was deleted long ago."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from server.db.database import Database
from server.db.removal import BATCH, remove_all
from server.identity.domain import RoleNotFound, UserNotFound
from server.identity.ports import AuditLog, Belongings
from server.identity.service.roles import purge_role
from server.identity.service.users import purge_user
from server.identity.store import expiry as store
from server.identity.store import roles as role_store
from server.identity.store import users as user_store


class Expiry:
    """Removes, tenant by tenant and in batches, what nobody can use or restore any more."""

    def __init__(self, database: Database, audit: AuditLog, belongings: Belongings) -> None:
        self._database = database
        self._audit = audit
        self._belongings = belongings

    async def sweep(self, tenant_id: UUID, retention_days: int) -> dict[str, int]:
        """Removes what has expired, and what was deleted longer ago than that; how many rows, by table."""
        removed = {
            table: await remove_all(self._database, tenant_id, statement) for table, statement in store.EXPIRED.items()
        }
        removed["users"] = await self._users(tenant_id, retention_days)
        removed["roles"] = await self._roles(tenant_id, retention_days)
        return {table: count for table, count in removed.items() if count}

    async def _users(self, tenant_id: UUID, days: int) -> int:
        total = 0
        while True:
            async with self._database.tenant_tx(tenant_id) as tx:
                found = await store.users_deleted_before(tx, days)
                for user_id in found:
                    # Others are at it too: it may have been purged a moment ago, or restored.
                    with suppress(UserNotFound):
                        user = await user_store.lock_any(tx, user_id)
                        if user.deleted_at is not None:
                            await purge_user(tx, self._audit, self._belongings, user)
            total += len(found)
            if len(found) < BATCH:
                return total

    async def _roles(self, tenant_id: UUID, days: int) -> int:
        total = 0
        while True:
            async with self._database.tenant_tx(tenant_id) as tx:
                found = await store.roles_deleted_before(tx, days)
                for role_id in found:
                    with suppress(RoleNotFound):
                        role = await role_store.lock_any(tx, role_id)
                        if role.deleted_at is not None:
                            await purge_role(tx, self._audit, role)
            total += len(found)
            if len(found) < BATCH:
                return total
