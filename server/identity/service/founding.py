"""The first people: of a new tenant, and of the platform itself."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.identity.domain import RoleEntry, User, UsernameTaken
from server.identity.password_policy import check_password
from server.identity.passwords import Passwords
from server.identity.ports import AuditLog
from server.identity.service.values import user_values
from server.identity.store import roles as role_store
from server.identity.store import users as user_store
from server.identity.system_roles import ADMINISTRATOR_ROLE, PLATFORM_ADMINISTRATOR_ROLE, SYSTEM_ROLES
from server.kernel.audit import Change
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7


class Founding:
    """Gives a tenant its roles and its first administrator."""

    def __init__(self, database: Database, passwords: Passwords, audit: AuditLog) -> None:
        self._database = database
        self._passwords = passwords
        self._audit = audit

    async def prepare(self, slug: str, username: str, email: str, password: str) -> str:
        """The hash of the administrator's password, made before the transaction opens.

        Raises PasswordGuessable, LoginBusy.
        """
        check_password("administrator.password", password, (username, email, slug))
        return await self._passwords.hash(password)

    async def found(self, tx: Tx, tenant_id: UUID, username: str, email: str, password_hash: str) -> UUID:
        """The tenant's system roles and first administrator, whose id is returned, in the tenant's own transaction."""
        for code, template in SYSTEM_ROLES.items():
            values = {
                "tenant_id": tenant_id,
                "id": uuid7(),
                "name": template.name,
                "code": code,
                "is_system": True,
                "is_default": template.is_default,
                "priority": template.priority,
            }
            role = await role_store.create(tx, values)
            entries = [RoleEntry(permission, allow=True) for permission in sorted(template.permissions)]
            await role_store.set_entries(tx, tenant_id, role.id, entries)
        user = await self._administrator(tx, tenant_id, ADMINISTRATOR_ROLE, username, email, password_hash)
        return user.id

    async def first_platform_administrator(self) -> tuple[str, str] | None:
        """The username and generated password of the platform's first administrator; None where there is one already.

        Of two servers that start together, the one that comes second finds the name taken.
        """
        username, password = "admin", secrets.token_urlsafe(15)
        password_hash = await self._passwords.hash(password)
        try:
            async with self._database.tenant_tx(PLATFORM_TENANT_ID) as tx:
                if await user_store.anyone(tx):
                    return None
                email = "admin@platform.invalid"
                role = PLATFORM_ADMINISTRATOR_ROLE
                await self._administrator(tx, PLATFORM_TENANT_ID, role, username, email, password_hash)
        except UsernameTaken:
            return None
        return username, password

    async def _administrator(
        self, tx: Tx, tenant_id: UUID, role_code: str, username: str, email: str, password_hash: str
    ) -> User:
        values: Mapping[str, Any] = {
            "tenant_id": tenant_id,
            "id": uuid7(),
            "username": username,
            "email": email,
            "password_hash": password_hash,
        }
        user = await user_store.create(tx, values)
        role = await role_store.by_code(tx, role_code)
        await role_store.assign(tx, tenant_id, user.id, role.id, None, None)
        new = {**user_values(user), "roles": [role.code]}
        await self._audit.record(tx, Change("users.create", "user", user.id, new=new))
        return user
