"""Roles, who holds them, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.db.memory import Memory
from server.identity.domain import (
    Decision,
    Role,
    RoleEntry,
    RoleGrant,
    RoleNotAssignable,
    Standing,
    SystemRoleImmutable,
    UserNotFound,
    UserStatus,
)
from server.identity.ports import AuditLog
from server.identity.service.standing import (
    administrators,
    give,
    hold,
    hold_all_of,
    hold_all_of_holders,
    hold_role,
    keep_administered,
)
from server.identity.service.values import entry_values, grant_values, role_values
from server.identity.store import idempotency
from server.identity.store import roles as role_store
from server.identity.store import sessions as session_store
from server.identity.store import users as user_store
from server.identity.system_roles import PLATFORM_ADMINISTRATOR_ROLE
from server.kernel.audit import Change
from server.kernel.deletion import Deleted, NotDeleted, check_deleted
from server.kernel.errors import check_etag
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import Decided, Permission
from server.kernel.principal import current_call

RoleWithEntries = tuple[Role, Sequence[RoleEntry]]


class RoleService:
    """Creates, finds, changes and gives roles of the caller's tenant. Nobody gives more than they hold."""

    def __init__(self, database: Database, audit: AuditLog, standings: Memory[Standing]) -> None:
        self._database = database
        self._audit = audit
        self._standings = standings

    async def create(self, values: Mapping[str, Any]) -> RoleWithEntries:
        """A new role that allows nothing yet. Raises RoleCodeTaken."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            role = await role_store.create(tx, {**values, "tenant_id": caller.tenant_id, "id": uuid7()})
            await self._audit.record(tx, Change("roles.create", "role", role.id, new=role_values(role)))
        return role, ()

    async def get(self, role_id: UUID, deleted: Deleted) -> RoleWithEntries:
        """Raises RoleNotFound, PermissionMissing."""
        caller = current_call().caller
        check_deleted(caller, deleted)
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            return await self._with_entries(tx, await role_store.get(tx, role_id, deleted))

    async def page(self, request: PageRequest, deleted: Deleted, user_id: UUID | None) -> Page[RoleWithEntries]:
        """Roles, newest first; of one user, where one is named. Raises UserNotFound, PermissionMissing."""
        caller = current_call().caller
        check_deleted(caller, deleted)
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            if user_id is not None:
                await user_store.require(tx, user_id)
            page = await role_store.page(tx, request, deleted, user_id)
            entries = await role_store.entries(tx, [role.id for role in page.items])
        return Page([(role, entries[role.id]) for role in page.items], page.next_cursor)

    async def update(self, role_id: UUID, values: Mapping[str, Any], etag: str) -> RoleWithEntries:
        """Changes the given fields. Raises RoleNotFound, SystemRoleImmutable, EtagMismatch, EscalationRefused,
        LastAdministrator.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await role_store.lock(tx, role_id)
            _mutable(old)
            check_etag(etag, old.revision, "role")
            # A higher priority can turn another role's denial into an allowance, so it counts as giving.
            # So does to give it to everybody who comes.
            priority = values.get("priority", old.priority)
            if priority != old.priority or (values.get("is_default") and not old.is_default):
                entries = (await role_store.entries(tx, [role_id]))[role_id]
                give(caller, entries)
                if priority > old.priority and _denials(entries):
                    await hold_all_of_holders(tx, caller, role_id)
            before = await administrators(tx)
            new = await role_store.change(tx, role_id, values) if values else old
            await keep_administered(tx, before)
            await session_store.tell_changed(tx, caller.tenant_id, None)
            await self._record(tx, "roles.update", old, new)
            return await self._with_entries(tx, new)

    async def permissions(self) -> list[tuple[Permission, str]]:
        """Every permission with its description."""
        async with self._database.global_tx() as tx:
            return await role_store.all_permissions(tx)

    async def set_permissions(self, role_id: UUID, entries: Sequence[RoleEntry], etag: str) -> RoleWithEntries:
        """The role says this and nothing else.

        Raises RoleNotFound, SystemRoleImmutable, EtagMismatch, EscalationRefused, LastAdministrator.
        """
        caller = current_call().caller
        give(caller, entries)
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            role = await role_store.lock(tx, role_id)
            _mutable(role)
            check_etag(etag, role.revision, "role")
            old = (await role_store.entries(tx, [role_id]))[role_id]
            # Taking a denial away gives too.
            give(caller, _denials(old))
            if set(_denials(entries)) - set(old):
                await hold_all_of_holders(tx, caller, role_id)
            before = await administrators(tx)
            await role_store.set_entries(tx, caller.tenant_id, role_id, entries)
            role = await role_store.revise(tx, role_id)
            await keep_administered(tx, before)
            await session_store.tell_changed(tx, caller.tenant_id, None)
            change = Change("roles.set_permissions", "role", role_id, old=entry_values(old), new=entry_values(entries))
            await self._audit.record(tx, change)
            return await self._with_entries(tx, role)

    async def assign(self, user_id: UUID, role_id: UUID, expires_at: datetime | None) -> None:
        """Gives the role to the user.

        Raises UserNotFound, RoleNotFound, UserDeleted, RoleDeleted, RoleNotAssignable, EscalationRefused,
        LastAdministrator.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            user = await user_store.lock_referred(tx, user_id)
            role = await role_store.lock_referred(tx, role_id)
            if role.code == PLATFORM_ADMINISTRATOR_ROLE and (not caller.is_platform or user.kind == "service"):
                raise RoleNotAssignable(role.code)
            hold_role(caller, role.code)
            entries = (await role_store.entries(tx, [role_id]))[role_id]
            give(caller, entries, expires_at)
            if _denials(entries):  # which takes from the user, as a change of theirs does
                await hold_all_of(tx, caller, user_id)
            before = await administrators(tx)
            old, new = await role_store.lock_grant(tx, user_id, role_id), RoleGrant(caller.member_id, expires_at)
            await role_store.assign(tx, caller.tenant_id, user_id, role_id, new.granted_by, new.expires_at)
            await keep_administered(tx, before)
            await session_store.tell_changed(tx, caller.tenant_id, user_id)
            values = grant_values(role, old), grant_values(role, new)
            await self._audit.record(tx, Change("users.assign_role", "user", user_id, *values))

    async def unassign(self, user_id: UUID, role_id: UUID) -> None:
        """Takes the role from the user, where they have it.

        Raises UserNotFound, RoleNotFound, EscalationRefused, LastAdministrator.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            await user_store.lock(tx, user_id)
            role = await role_store.get(tx, role_id)
            hold_role(caller, role.code)
            entries = (await role_store.entries(tx, [role_id]))[role_id]
            hold(caller, entries)
            give(caller, _denials(entries))
            before = await administrators(tx)
            old = await role_store.unassign(tx, user_id, role_id)
            if old is not None:
                await keep_administered(tx, before)
                await session_store.tell_changed(tx, caller.tenant_id, user_id)
                change = Change("users.unassign_role", "user", user_id, old=grant_values(role, old))
                await self._audit.record(tx, change)

    async def delete(self, role_id: UUID, etag: str) -> None:
        """Hides the role; it grants nothing from then on. Raises RoleNotFound, SystemRoleImmutable, EtagMismatch,
        EscalationRefused, LastAdministrator.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await role_store.lock(tx, role_id)
            _mutable(old)
            check_etag(etag, old.revision, "role")
            entries = (await role_store.entries(tx, [role_id]))[role_id]
            # A denial goes with it.
            give(caller, _denials(entries))
            before = await administrators(tx)
            new = await role_store.mark_deleted(tx, role_id, caller.member_id)
            await keep_administered(tx, before)
            await session_store.tell_changed(tx, caller.tenant_id, None)
            await self._record(tx, "roles.delete", old, new)

    async def restore(self, role_id: UUID) -> RoleWithEntries:
        """Brings the role back; whoever held it holds it again.

        Raises RoleNotFound, NotDeleted, RoleCodeTaken, EscalationRefused, LastAdministrator.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await self._require_deleted(tx, role_id)
            entries = (await role_store.entries(tx, [role_id]))[role_id]
            give(caller, entries)
            if _denials(entries):
                await hold_all_of_holders(tx, caller, role_id)
            before = await administrators(tx)
            new = await role_store.restore(tx, role_id)
            await keep_administered(tx, before)
            await session_store.tell_changed(tx, caller.tenant_id, None)
            await self._record(tx, "roles.restore", old, new)
            return await self._with_entries(tx, new)

    async def purge(self, role_id: UUID) -> None:
        """Removes a deleted role for good. Raises RoleNotFound, NotDeleted."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            role = await self._require_deleted(tx, role_id)
            await purge_roles(tx, [role], self._audit)

    async def _require_deleted(self, tx: Tx, role_id: UUID) -> Role:
        role = await role_store.lock_any(tx, role_id)
        if role.deleted_at is None:
            raise NotDeleted(f"role {role.code}")
        return role

    async def check(
        self, user_id: UUID | None, wanted: Iterable[Permission]
    ) -> tuple[UserStatus, bool, list[Decision]]:
        """The user's status (None: the caller), whether they must verify their e-mail address before anything else, and
        whether they have each permission, and through which role.

        Raises UserNotFound, PermissionMissing.
        """
        caller = current_call().caller
        user_id = user_id or caller.user_id
        if user_id == caller.user_id:
            own = [_decision(permission, caller.decided, caller.permissions) for permission in wanted]
            return "active", caller.unverified, own
        caller.require(Permission.ROLES_READ)
        name = (caller.tenant_id, user_id)
        standing = self._standings.recall(name) or await self._standings.read(
            name, partial(role_store.standing, self._database, *name)
        )
        if standing is None:
            raise UserNotFound(user_id)
        decisions = [_decision(permission, standing.decided) for permission in wanted]
        return standing.status, standing.unverified, decisions

    async def _record(self, tx: Tx, action: str, old: Role, new: Role) -> None:
        await self._audit.record(tx, Change(action, "role", new.id, old=role_values(old), new=role_values(new)))

    async def _with_entries(self, tx: Tx, role: Role) -> RoleWithEntries:
        return role, (await role_store.entries(tx, [role.id]))[role.id]


async def purge_roles(tx: Tx, roles: Sequence[Role], audit: AuditLog) -> None:
    """Removes roles with what they say of permissions, and tells what all of that was."""
    entries = await role_store.entries(tx, [role.id for role in roles])
    for role in roles:
        await role_store.purge(tx, role.id)
        old = {**role_values(role), "permissions": entry_values(entries[role.id])}
        await audit.record(tx, Change("roles.purge", "role", role.id, old=old))
    await idempotency.forget_about(tx, [role.id for role in roles])


def _decision(permission: Permission, decided: Decided, held: frozenset[Permission] | None = None) -> Decision:
    """`held`: what remains of it where a key takes some away."""
    grant = decided.get(permission)
    if grant is None or (grant.allow and held is not None and permission not in held):
        return Decision(permission, allowed=False, role_code=None)
    return Decision(permission, grant.allow, grant.role_code)


def _denials(entries: Sequence[RoleEntry]) -> list[RoleEntry]:
    return [entry for entry in entries if not entry.allow]


def _mutable(role: Role) -> None:
    if role.is_system:
        raise SystemRoleImmutable(role.code)
