"""Founding tenants, and what they and the platform may change about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change, plain
from server.kernel.errors import EmailNotVerified, PlatformOnly, check_etag
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.tenant import store
from server.tenant.domain import PLATFORM_FIELDS, Tenant, TenantConfig, TenantNotFound
from server.tenant.ports import AuditLog, Founding, People


class TenantService:
    """Tenants and their settings. A tenant's people reach their own; the platform's administrators, every one."""

    def __init__(self, database: Database, founding: Founding, audit: AuditLog, people: People) -> None:
        self._database = database
        self._founding = founding
        self._audit = audit
        self._people = people

    async def create(self, values: Mapping[str, Any], username: str, email: str, password: str) -> tuple[Tenant, UUID]:
        """A tenant with its roles, settings and first administrator, whose id is returned: all of it or nothing.

        Raises SlugTaken, LoginBusy, and what the founding has against the password.
        """
        password_hash = await self._founding.prepare(values["slug"], username, email, password)
        tenant_id = uuid7()
        async with self._database.tenant_tx(tenant_id) as tx:
            tenant = await store.create(tx, {**values, "id": tenant_id})
            administrator_id = await self._founding.found(tx, tenant_id, username, email, password_hash)
            await self._audit.record(tx, Change("tenants.create", "tenant", tenant_id, new=plain(asdict(tenant))))
        return tenant, administrator_id

    async def get(self, tenant_id: UUID) -> Tenant:
        """Raises TenantNotFound."""
        async with self._database.tenant_tx(_reachable(tenant_id)) as tx:
            return await store.get(tx, tenant_id)

    async def page(
        self, request: PageRequest, status: str | None, since: datetime | None, until: datetime | None
    ) -> Page[Tenant]:
        """Tenants made from `since` and before `until`, newest first, for the platform's administrators."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return await store.page(tx, request, status, since, until)

    async def update(self, tenant_id: UUID, values: Mapping[str, Any], etag: str) -> Tenant:
        """Changes the given fields. Raises TenantNotFound, PlatformOnly, EtagMismatch."""
        caller = current_call().caller
        async with self._database.tenant_tx(_reachable(tenant_id)) as tx:
            old = await store.lock(tx, tenant_id)
            if PLATFORM_FIELDS.intersection(values) and not caller.is_platform:
                raise PlatformOnly
            check_etag(etag, old.revision, "tenant")
            new = await store.change(tx, tenant_id, values) if values else old
            await self._record(tx, "tenants.update", tenant_id, old, new)
        return new

    async def get_config(self, tenant_id: UUID) -> TenantConfig:
        """Raises TenantNotFound."""
        async with self._database.tenant_tx(_reachable(tenant_id)) as tx:
            await store.get(tx, tenant_id)
            return await store.get_config(tx, tenant_id)

    async def update_config(self, tenant_id: UUID, values: Mapping[str, Any], etag: str) -> TenantConfig:
        """Changes the given settings. Raises TenantNotFound, EtagMismatch, EmailNotVerified."""
        async with self._database.tenant_tx(_reachable(tenant_id)) as tx:
            await store.get(tx, tenant_id)
            old = await store.get_config(tx, tenant_id, lock=True)
            check_etag(etag, old.revision, "tenant config")
            new = await store.change_config(tx, tenant_id, values) if values else old
            if new.require_verified_email != old.require_verified_email:
                if new.require_verified_email and not await self._may_require(tx):
                    raise EmailNotVerified
                await self._people.tell_all_changed(tx)  # it holds for the sessions there are
            await self._record(tx, "tenants.update_config", tenant_id, old, new)
        return new

    async def _may_require(self, tx: Tx) -> bool:
        """Nobody locks themselves out: where mail cannot reach them, and all others are shut out too, it would be for
        good.
        """
        caller = current_call().caller
        return caller.tenant_id != tx.tenant_id or await self._people.is_verified(tx, caller.user_id)

    async def _record(
        self, tx: Tx, action: str, tenant_id: UUID, old: Tenant | TenantConfig, new: Tenant | TenantConfig
    ) -> None:
        change = Change(action, "tenant", tenant_id, old=plain(asdict(old)), new=plain(asdict(new)))
        await self._audit.record(tx, change)


def _reachable(tenant_id: UUID) -> UUID:
    """The tenant, where the caller may look at it at all; to all others it is not there. Raises TenantNotFound."""
    caller = current_call().caller
    if tenant_id != caller.tenant_id and not caller.is_platform:
        raise TenantNotFound(tenant_id)
    return tenant_id
