"""The people of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from server.db.database import Database
from server.identity.domain import User
from server.identity.password_policy import check_password
from server.identity.passwords import Passwords
from server.identity.ports import AuditLog, Tenants
from server.identity.service.values import user_values
from server.identity.store import roles as role_store
from server.identity.store import sessions as session_store
from server.identity.store import users as user_store
from server.kernel.audit import Change
from server.kernel.errors import check_etag
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call


class UserService:
    """Creates, finds and changes users of the caller's tenant."""

    def __init__(self, database: Database, passwords: Passwords, audit: AuditLog, tenants: Tenants) -> None:
        self._database = database
        self._passwords = passwords
        self._audit = audit
        self._tenants = tenants

    async def create(self, values: Mapping[str, Any], password: str | None) -> User:
        """A new user with the tenant's default roles; without a password they cannot sign in with one.

        Raises UsernameTaken, EmailTaken, PasswordGuessable, LoginBusy.
        """
        caller = current_call().caller
        password_hash = None
        if password is not None:
            slug = await self._tenants.slug(caller.tenant_id)
            check_password("password", password, (values["username"], values["email"], slug))
            password_hash = await self._passwords.hash(password)
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            row = {**values, "tenant_id": caller.tenant_id, "id": uuid7(), "password_hash": password_hash}
            user = await user_store.create(tx, row)
            for role_id in await role_store.defaults(tx):
                await role_store.assign(tx, caller.tenant_id, user.id, role_id, caller.user_id, None)
            await self._audit.record(tx, Change("users.create", "user", user.id, new=user_values(user)))
        return user

    async def get(self, user_id: UUID) -> User:
        """Raises UserNotFound."""
        return await user_store.get(self._database, current_call().caller.tenant_id, user_id)

    async def page(self, request: PageRequest, filters: Mapping[str, Any]) -> Page[User]:
        """Users, newest first. `filters`: status, email_verified, last_login_time_from, last_login_time_until."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return await user_store.page(tx, request, filters)

    async def update(self, user_id: UUID, values: Mapping[str, Any], etag: str) -> User:
        """Changes the given fields. Raises UserNotFound, EtagMismatch, UsernameTaken, EmailTaken."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await user_store.lock(tx, user_id)
            check_etag(etag, old.revision, "user")
            if values.get("email", old.email) != old.email:  # what was verified was the old address
                values = {**values, "email_verified": False}
            new = await user_store.change(tx, user_id, values) if values else old
            # Before the reply: whoever is made inactive is signed out everywhere, and a new address has to be verified.
            if new.status != old.status or new.email_verified != old.email_verified:
                await session_store.tell_changed(tx, caller.tenant_id, user_id)
            change = Change("users.update", "user", user_id, old=user_values(old), new=user_values(new))
            await self._audit.record(tx, change)
        return new
