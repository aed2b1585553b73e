"""Who stands above whom in a tenant: nobody is changed by those who hold less, and one administrator always stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.db.database import Tx
from server.identity.domain import EscalationRefused, Given, LastAdministrator, RoleEntry, User
from server.identity.store import roles as role_store
from server.identity.system_roles import ADMINISTRATOR_ROLE, PLATFORM_ADMINISTRATOR_ROLE
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.permissions import Grant, Permission, allowed, decide, ends
from server.kernel.principal import Principal

_OF_TENANT = {Permission.USERS_MANAGE, Permission.ROLES_MANAGE}
_OF_PLATFORM = {*_OF_TENANT, Permission.TENANTS_MANAGE}


def hold(caller: Principal, entries: Iterable[RoleEntry]) -> None:
    """Raises EscalationRefused where the entries speak of what the caller does not hold: to deny it is power too."""
    _hold(caller.permissions, {implied for entry in entries for implied in entry.permission.implied})


def give(caller: Principal, entries: Iterable[RoleEntry], until: datetime | None = None) -> None:
    """The same of what somebody is given until then (None: for good): nobody gives for longer than they hold."""
    needed = {implied for entry in entries for implied in entry.permission.implied}
    _hold(caller.permissions - _ended(caller, until), needed)


def hold_what_new_users_get(caller: Principal, entries: Iterable[RoleEntry], *, password: bool) -> None:
    """Raises EscalationRefused where default roles of these entries give a new user what the caller does not hold.

    Who chooses the password can become the user with it. Without one the mailbox can, which is for more than a key to
    open: then what the caller's roles give counts, whatever their key is for.
    """
    given = {implied for entry in entries if entry.allow for implied in entry.permission.implied}
    _hold(caller.permissions if password else allowed(caller.decided), given)


async def hold_all_of(tx: Tx, caller: Principal, user_id: UUID) -> None:
    """Raises EscalationRefused where the user holds what the caller does not: who changes another can become them.

    What they hold is what their roles may come to give: a denial can end, and a deleted role be restored. A key is
    another than whose it is.
    """
    if user_id != _self(caller):
        _hold_given(caller, await role_store.given(tx, user_id))


async def hold_all_of_holders(tx: Tx, caller: Principal, role_id: UUID) -> None:
    """The same of everybody who holds the role: a denial that it comes to have takes from them."""
    _hold_given(caller, await role_store.given_to_holders(tx, role_id, _self(caller)))


def hold_role(caller: Principal, role_code: str) -> None:
    """Raises EscalationRefused for the platform's own role where the caller does not hold it: more comes with it than
    its permissions, and that never with a key.
    """
    platform = caller.tenant_id == PLATFORM_TENANT_ID
    if platform and role_code == PLATFORM_ADMINISTRATOR_ROLE and not caller.is_super_admin:
        raise EscalationRefused(permissions=role_code)


def _hold_given(caller: Principal, given: Given) -> None:
    _hold(caller.permissions, given.permissions)
    for role_code in given.roles:
        hold_role(caller, role_code)


async def become(tx: Tx, caller: Principal, user_id: UUID, until: datetime | None) -> None:
    """The same as hold_all_of where the caller can be the other until then (None: for good)."""
    if user_id != _self(caller):
        given = await role_store.given(tx, user_id)
        _hold_given(caller, given)
        _hold(caller.permissions - _ended(caller, until), given.permissions)


def _ended(caller: Principal, until: datetime | None) -> set[Permission]:
    """What the caller will have stopped holding by then."""
    return {permission for permission, end in caller.ends.items() if until is None or end < until}


def _self(caller: Principal) -> UUID | None:
    return None if caller.api_key_id is not None else caller.user_id


def within_scope(caller: Principal, permission: Permission) -> None:
    """Raises PermissionMissing where the caller is a key whose scopes do not give this.

    For what people may do with what is their own: a key may not, only because it is theirs.
    """
    if caller.api_key_id is not None:
        caller.require(permission)


def _hold(held: frozenset[Permission], needed: Iterable[Permission]) -> None:
    missing = set(needed) - held
    if missing:
        raise EscalationRefused(permissions=", ".join(sorted(missing)))


@dataclass(frozen=True, slots=True)
class Administrators:
    """Those who administer a tenant for good: usernames by ids.

    `entering`: of these, who can sign in, for they have a password. `able`: of these, who need not verify their address
    first. Of each there stays one where there was one: who was invited and has no password yet is nobody's successor,
    and still the only one there is at first.
    """

    everybody: Mapping[UUID, str]
    entering: Mapping[UUID, str]
    able: Mapping[UUID, str]

    @property
    def kinds(self) -> tuple[Mapping[UUID, str], ...]:
        return self.everybody, self.entering, self.able


async def administrators(tx: Tx) -> Administrators:
    """Those of the transaction's tenant.

    Whoever asks next waits until the transaction ends, so that of two who would each end the last but one, one is
    refused.
    """
    platform = tx.tenant_id == PLATFORM_TENANT_ID
    code, needed = (PLATFORM_ADMINISTRATOR_ROLE, _OF_PLATFORM) if platform else (ADMINISTRATOR_ROLE, _OF_TENANT)
    found = [who for who, grants in (await role_store.hold_holders(tx, code)).items() if _always_allows(grants, needed)]
    return Administrators(
        {who.user_id: who.username for who in found},
        {who.user_id: who.username for who in found if who.has_password},
        {who.user_id: who.username for who in found if who.has_password and not who.unverified},
    )


async def keep_an_administrator(tx: Tx, user: User) -> None:
    """Raises LastAdministrator where nobody administers the tenant besides this one, who is about to be shut out."""
    if {user.id} in [kind.keys() for kind in (await administrators(tx)).kinds]:
        raise LastAdministrator(user.username)


async def keep_administered(tx: Tx, before: Administrators) -> None:
    """Raises LastAdministrator where a change leaves the tenant without anybody who administers it, can sign in for it,
    or is able to.

    `before`: those who did before the change. Where nobody did, nothing is kept from being mended.
    """
    after = await administrators(tx)
    for were, are in zip(before.kinds, after.kinds, strict=True):
        if were and not are:
            raise LastAdministrator(min(were.values()))


def _always_allows(grants: Sequence[Grant], needed: Set[Permission]) -> bool:
    """Whether the grants allow it now and go on doing so as those that are for a time end, one after the other."""
    return allowed(decide(grants)) - ends(grants).keys() >= needed
