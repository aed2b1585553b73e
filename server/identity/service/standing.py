"""Who stands above whom in a tenant: nobody is changed by those who hold less, and one administrator always stays."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from server.db.database import Tx
from server.identity.domain import (
    ADMINISTRATOR_ROLE,
    PLATFORM_ADMINISTRATOR_ROLE,
    EscalationRefused,
    LastAdministrator,
    RoleEntry,
    User,
)
from server.identity.store import roles as role_store
from server.kernel.permissions import Permission, allowed, decide
from server.kernel.principal import Principal

ADMINISTRATOR_ROLES = (ADMINISTRATOR_ROLE, PLATFORM_ADMINISTRATOR_ROLE)


def hold(caller: Principal, entries: Iterable[RoleEntry]) -> None:
    """Raises EscalationRefused where the entries allow what the caller does not hold."""
    _hold(caller, {implied for entry in entries if entry.allow for implied in entry.permission.implied})


async def hold_all_of(tx: Tx, caller: Principal, user_id: UUID) -> None:
    """Raises EscalationRefused where the user holds what the caller does not: who changes another can become them."""
    if user_id != caller.user_id:
        _hold(caller, allowed(decide(await role_store.grants(tx, user_id))))


def _hold(caller: Principal, needed: Iterable[Permission]) -> None:
    missing = set(needed) - caller.permissions
    if missing:
        raise EscalationRefused(permissions=", ".join(sorted(missing)))


async def keep_an_administrator(tx: Tx, user: User) -> None:
    """Raises LastAdministrator where the tenant has no administrator for good besides this one."""
    if await role_store.other_administrators(tx, user.id, ADMINISTRATOR_ROLES) is False:
        raise LastAdministrator(user.username)
