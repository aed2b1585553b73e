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
from server.identity.store import users as user_store
from server.kernel.errors import PermissionMissing
from server.kernel.permissions import Permission, allowed, decide
from server.kernel.principal import Principal

ADMINISTRATOR_ROLES = (ADMINISTRATOR_ROLE, PLATFORM_ADMINISTRATOR_ROLE)
_ADMINISTERS = {Permission.USERS_MANAGE, Permission.ROLES_MANAGE}


def hold(caller: Principal, entries: Iterable[RoleEntry]) -> None:
    """Raises EscalationRefused where the entries speak of what the caller does not hold: to deny it is power too."""
    _hold(caller.permissions, {implied for entry in entries for implied in entry.permission.implied})


def hold_what_new_users_get(caller: Principal, entries: Iterable[RoleEntry], *, password: bool) -> None:
    """Raises EscalationRefused where default roles of these entries give a new user what the caller does not hold.

    Who chooses the password can become the user with it. Without one the mailbox can, which is for more than a key to
    open: then what the caller's roles give counts, whatever their key is for.
    """
    given = {implied for entry in entries if entry.allow for implied in entry.permission.implied}
    _hold(caller.permissions if password else allowed(caller.decided), given)


async def hold_all_of(tx: Tx, caller: Principal, user_id: UUID) -> None:
    """Raises EscalationRefused where the user holds what the caller does not: who changes another can become them."""
    if user_id != caller.user_id:
        _hold(caller.permissions, allowed(decide(await role_store.grants(tx, user_id))))


def within_scope(caller: Principal, permission: Permission) -> None:
    """Raises PermissionMissing where the caller is a key whose scopes do not give this.

    For what people may do with what is their own: a key may not, only because it is theirs.
    """
    if caller.api_key_id is not None and permission not in caller.permissions:
        raise PermissionMissing(permission=permission)


def _hold(held: frozenset[Permission], needed: Iterable[Permission]) -> None:
    missing = set(needed) - held
    if missing:
        raise EscalationRefused(permissions=", ".join(sorted(missing)))


async def keep_an_administrator(tx: Tx, user: User) -> None:
    """Raises LastAdministrator where the tenant has no administrator for good besides this one."""
    is_one = False
    for holder in await role_store.holders(tx, ADMINISTRATOR_ROLES):
        if await _administers(tx, holder):
            if holder != user.id:
                return
            is_one = True
    if is_one:
        raise LastAdministrator(user.username)


async def keep_administered(tx: Tx) -> None:
    """Raises LastAdministrator where a denial that was just made leaves the tenant without one who administers it."""
    holders = await role_store.holders(tx, ADMINISTRATOR_ROLES)
    for holder in holders:
        if await _administers(tx, holder):
            return
    for holder in holders[:1]:
        raise LastAdministrator((await user_store.lock(tx, holder)).username)


async def _administers(tx: Tx, user_id: UUID) -> bool:
    """Whether the user can manage people and roles: another role of theirs may deny it."""
    return allowed(decide(await role_store.grants(tx, user_id))) >= _ADMINISTERS
