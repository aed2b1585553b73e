"""The people of a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.identity.domain import User
from server.identity.password_policy import check_password
from server.identity.passwords import Passwords
from server.identity.ports import AuditLog, Belongings, Quotas, Tenants
from server.identity.service.standing import (
    administrators,
    become,
    hold_all_of,
    hold_what_new_users_get,
    keep_administered,
    keep_an_administrator,
)
from server.identity.service.values import user_values
from server.identity.store import idempotency, one_time_tokens, throttle
from server.identity.store import roles as role_store
from server.identity.store import sessions as session_store
from server.identity.store import users as user_store
from server.kernel.audit import Change
from server.kernel.deletion import Deleted, NotDeleted, check_deleted
from server.kernel.errors import check_etag
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call


class UserService:
    """Creates, finds, changes and deletes users of the caller's tenant. Nobody changes who holds more than they."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        quotas: Quotas,
        audit: AuditLog,
        tenants: Tenants,
        belongings: Sequence[Belongings],
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._quotas = quotas
        self._audit = audit
        self._tenants = tenants
        self._belongings = belongings

    async def create(self, values: Mapping[str, Any], password: str | None) -> User:
        """A new user with the tenant's default roles; without a password they cannot sign in with one.

        Raises UsernameTaken, EmailTaken, PasswordGuessable, QuotaExceeded, EscalationRefused, LoginBusy.
        """
        caller = current_call().caller
        password_hash = None
        if password is not None:
            slug = await self._tenants.slug(caller.tenant_id)
            check_password("password", password, (values["username"], values["email"], slug))
            password_hash = await self._passwords.hash(password)
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            row = {**values, "tenant_id": caller.tenant_id, "id": uuid7(), "password_hash": password_hash}
            await self._make_room(tx)
            user = await user_store.create(tx, row)
            defaults = await role_store.defaults(tx)
            given = chain.from_iterable((await role_store.entries(tx, [role.id for role in defaults])).values())
            hold_what_new_users_get(caller, given, password=password is not None)
            for role in defaults:
                await role_store.assign(tx, caller.tenant_id, user.id, role.id, caller.member_id, None)
            new = {**user_values(user), "roles": sorted(role.code for role in defaults)}
            await self._audit.record(tx, Change("users.create", "user", user.id, new=new))
        return user

    async def get(self, user_id: UUID, deleted: Deleted) -> User:
        """Raises UserNotFound, PermissionMissing."""
        caller = current_call().caller
        check_deleted(caller, deleted)
        return await user_store.get(self._database, caller.tenant_id, user_id, deleted)

    async def page(self, request: PageRequest, deleted: Deleted, filters: Mapping[str, Any]) -> Page[User]:
        """Users, newest first. `filters`: status, email_verified, last_login_time_from, last_login_time_until.

        Raises PermissionMissing.
        """
        caller = current_call().caller
        check_deleted(caller, deleted)
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            return await user_store.page(tx, request, deleted, filters)

    async def update(self, user_id: UUID, values: Mapping[str, Any], etag: str) -> User:
        """Changes the given fields.

        Raises UserNotFound, EtagMismatch, UsernameTaken, EmailTaken, EscalationRefused, LastAdministrator.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await user_store.lock(tx, user_id)
            check_etag(etag, old.revision, "user")
            moves = values.get("email", old.email) != old.email
            if moves:  # the code that sets a new password comes to the new address
                await become(tx, caller, user_id, None)
            else:
                await hold_all_of(tx, caller, user_id)
            if values.get("status", "active") != "active":
                await keep_an_administrator(tx, old)
            if moves:
                new = await self._move(tx, user_id, values)
            else:
                new = await user_store.change(tx, user_id, values) if values else old
            if new.status == "inactive":
                await session_store.revoke_all(tx, user_id, "made inactive")
            # Before the reply: whoever is made inactive is signed out everywhere, and a new address has to be verified.
            if new.status != old.status or new.email_verified != old.email_verified:
                await session_store.tell_changed(tx, caller.tenant_id, user_id)
            await self._record(tx, "users.update", old, new)
        return new

    async def lock(self, user_id: UUID) -> User:
        """Refuses the user's sign-ins, tokens and keys. Raises UserNotFound, EscalationRefused, LastAdministrator."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await user_store.lock(tx, user_id)
            await hold_all_of(tx, caller, user_id)
            await keep_an_administrator(tx, old)
            new = await user_store.lock_out(tx, user_id)
            await session_store.tell_changed(tx, caller.tenant_id, user_id)
            await self._record(tx, "users.lock", old, new)
        return new

    async def unlock(self, user_id: UUID) -> User:
        """Takes a lock and the wait after failed sign-ins away. Raises UserNotFound, EscalationRefused."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await user_store.lock(tx, user_id)
            await hold_all_of(tx, caller, user_id)
            waited = await throttle.waits(tx, user_id)
            new = await user_store.unlock(tx, user_id)
            await throttle.forget_all(tx, user_id)
            await session_store.tell_changed(tx, caller.tenant_id, user_id)
            # That they had to wait, and not for how long or after how many failures.
            was = {**user_values(old), "sign_ins_wait": waited}
            now = {**user_values(new), "sign_ins_wait": False}
            await self._audit.record(tx, Change("users.unlock", "user", user_id, old=was, new=now))
        return new

    async def delete(self, user_id: UUID, etag: str) -> None:
        """Hides the user, and refuses their sign-ins, tokens and keys.

        Raises UserNotFound, EtagMismatch, EscalationRefused, LastAdministrator.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await user_store.lock(tx, user_id)
            check_etag(etag, old.revision, "user")
            await hold_all_of(tx, caller, user_id)
            await keep_an_administrator(tx, old)
            new = await user_store.mark_deleted(tx, user_id, caller.member_id)
            await session_store.tell_changed(tx, caller.tenant_id, user_id)
            await self._record(tx, "users.delete", old, new)

    async def restore(self, user_id: UUID) -> User:
        """Brings the user back as they were.

        Raises UserNotFound, NotDeleted, UsernameTaken, EmailTaken, QuotaExceeded, EscalationRefused.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await self._require_deleted(tx, user_id)
            await hold_all_of(tx, caller, user_id)
            await self._make_room(tx)
            new = await user_store.restore(tx, user_id)
            await session_store.tell_changed(tx, caller.tenant_id, user_id)
            await self._record(tx, "users.restore", old, new)
        return new

    async def purge(self, user_id: UUID) -> None:
        """Removes a deleted user for good. Raises UserNotFound, NotDeleted."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            user = await self._require_deleted(tx, user_id)
            await purge_users(tx, [user], self._audit, self._belongings)

    async def _move(self, tx: Tx, user_id: UUID, values: Mapping[str, Any]) -> User:
        """Changes the user, whose e-mail address is among the values. Raises UsernameTaken, EmailTaken,
        LastAdministrator.
        """
        before = await administrators(tx)
        # What was verified was the old address.
        new = await user_store.change(tx, user_id, {**values, "email_verified": False})
        await keep_administered(tx, before)
        # What was sent to the old one does not come to life with it again.
        await one_time_tokens.void(tx, user_id)
        return new

    async def _require_deleted(self, tx: Tx, user_id: UUID) -> User:
        user = await user_store.lock_any(tx, user_id)
        if user.deleted_at is None:
            raise NotDeleted(f"user {user.username}")
        return user

    async def _make_room(self, tx: Tx) -> None:
        """Raises QuotaExceeded where the tenant has as many users as it may."""
        limit = await self._quotas.hold(tx, "users")
        if limit is not None:
            limit.admit(await user_store.count(tx))

    async def _record(self, tx: Tx, action: str, old: User, new: User) -> None:
        await self._audit.record(tx, Change(action, "user", new.id, old=user_values(old), new=user_values(new)))


async def purge_users(tx: Tx, users: Sequence[User], audit: AuditLog, belongings: Sequence[Belongings]) -> None:
    """Removes users with what is theirs, in every slice, and tells what that was."""
    for user in users:
        old = {**user_values(user), "roles": await role_store.held(tx, user.id)}
        removed: dict[str, Any] = {}
        for of_slice in belongings:
            removed |= await of_slice.remove(tx, user.id)
        await throttle.forget_all(tx, user.id)
        await idempotency.forget_caller(tx, user.id)
        await user_store.purge(tx, user.id)
        await audit.record(tx, Change("users.purge", "user", user.id, old=old, details=removed or None))
    purged = [user.id for user in users]
    await user_store.forget_deleters(tx, purged)
    await idempotency.forget_about(tx, purged)
