"""The end of what has expired, and of what was deleted long ago."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from server.db.database import Database
from server.db.removal import purge_all, remove_all
from server.identity.ports import AuditLog, Belongings
from server.identity.service.roles import purge_roles
from server.identity.service.users import purge_users
from server.identity.store import expiry as store
from server.identity.store import roles as role_store
from server.identity.store import users as user_store


class Expiry:
    """Removes, tenant by tenant and in batches, what nobody can use or restore any more."""

    def __init__(self, database: Database, audit: AuditLog, belongings: Sequence[Belongings]) -> None:
        self._database = database
        self._audit = audit
        self._belongings = belongings

    async def sweep(self, tenant_id: UUID, retention_days: int) -> dict[str, int]:
        """Removes what has expired, and what was deleted longer ago than that; how many rows, by table."""
        removed = {
            table: await remove_all(self._database, tenant_id, statement) for table, statement in store.EXPIRED.items()
        }
        removed["users"] = await purge_all(
            self._database,
            tenant_id,
            partial(store.users_deleted_before, days=retention_days),
            user_store.lock_any,
            partial(purge_users, audit=self._audit, belongings=self._belongings),
        )
        removed["roles"] = await purge_all(
            self._database,
            tenant_id,
            partial(store.roles_deleted_before, days=retention_days),
            role_store.lock_any,
            partial(purge_roles, audit=self._audit),
        )
        return {table: count for table, count in removed.items() if count}
