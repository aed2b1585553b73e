"""Founding tenants, what they and the platform may change about them, and their end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change, plain
from server.kernel.clock import now
from server.kernel.deletion import Deleted, check_deleted
from server.kernel.errors import EmailNotVerified, PlatformOnly, check_etag
from server.kernel.features import Feature, FeatureMissing
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.parts import Beat, Ended, Lines, Place
from server.kernel.permissions import Permission
from server.kernel.principal import Principal, current_call
from server.tenant import store
from server.tenant.domain import (
    PLATFORM_FIELDS,
    PLATFORM_SETTINGS,
    PlatformTenantImmutable,
    Tenant,
    TenantConfig,
    TenantNotFound,
    TenantPurgeBegun,
    TenantUsage,
)
from server.tenant.export import export
from server.tenant.ports import AuditLog, CallLimits, Counter, Founding, People
from server.tenant.purge import TenantPurge
from server.tenant.tiers import (
    FEATURES,
    RESOURCES,
    USUAL_RETENTION_DAYS,
    Resource,
    limit_now,
    tier_now,
)


class TenantService:
    """Tenants and their settings. A tenant's people reach their own; the platform's administrators, every one."""

    def __init__(
        self,
        database: Database,
        founding: Founding,
        people: People,
        counters: Mapping[Resource, Counter],
        call_limits: CallLimits,
        purge: TenantPurge,
        audit: AuditLog,
    ) -> None:
        """`counters`: of what the limits are about, each."""
        self._database = database
        self._founding = founding
        self._counters = counters
        self._call_limits = call_limits
        self._purge = purge
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

    async def get(self, tenant_id: UUID, deleted: Deleted) -> Tenant:
        """Raises TenantNotFound, PermissionMissing."""
        check_deleted(current_call().caller, deleted)
        async with self._database.tenant_tx(_reachable(tenant_id), read_only=True) as tx:
            return await store.get(tx, tenant_id, deleted)

    async def page(
        self,
        request: PageRequest,
        deleted: Deleted,
        status: str | None,
        since: datetime | None,
        until: datetime | None,
    ) -> Page[Tenant]:
        """Tenants made from `since` and before `until`, newest first, for the platform's administrators.

        Raises PermissionMissing.
        """
        check_deleted(current_call().caller, deleted)
        async with self._database.tenant_tx(PLATFORM_TENANT_ID, read_only=True) as tx:
            return await store.page(tx, request, deleted, status, since, until)

    async def update(self, tenant_id: UUID, values: Mapping[str, Any], etag: str) -> Tenant:
        """Changes the given fields. Raises TenantNotFound, PlatformOnly, EtagMismatch."""
        caller = current_call().caller
        async with self._database.tenant_tx(_reachable(tenant_id)) as tx:
            old = await store.lock(tx, tenant_id)
            if PLATFORM_FIELDS.intersection(values) and not caller.is_platform:
                raise PlatformOnly
            check_etag(etag, old.revision, "tenant")
            new = await store.change(tx, tenant_id, values) if values else old
            if PLATFORM_FIELDS.intersection(values):  # what it may call follows from its tier
                await store.tell_changed(tx, tenant_id)
            await self._record(tx, "tenants.update", tenant_id, old, new)
        return new

    async def suspend(self, tenant_id: UUID) -> Tenant:
        """Refuses the tenant's sign-ins, tokens and keys. Raises TenantNotFound, PlatformTenantImmutable."""
        return await self._set_status(tenant_id, "tenants.suspend", "suspended")

    async def activate(self, tenant_id: UUID) -> Tenant:
        """Takes a suspension back. Raises TenantNotFound."""
        return await self._set_status(tenant_id, "tenants.activate", "active")

    async def _set_status(self, tenant_id: UUID, action: str, status: str) -> Tenant:
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock(tx, tenant_id)
            if status != "active":
                _not_the_platform(old)
            new = await store.change(tx, tenant_id, {"status": status})
            await store.tell_changed(tx, tenant_id)
            await self._record(tx, action, tenant_id, old, new)
        return new

    async def delete(self, tenant_id: UUID, etag: str) -> None:
        """Hides the tenant, and refuses it as if suspended.

        Raises TenantNotFound, EtagMismatch, PlatformTenantImmutable.
        """
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock(tx, tenant_id)
            check_etag(etag, old.revision, "tenant")
            _not_the_platform(old)
            new = await store.mark_deleted(tx, tenant_id, current_call().caller.user_id)
            await store.tell_changed(tx, tenant_id)
            await self._record(tx, "tenants.delete", tenant_id, old, new)

    async def restore(self, tenant_id: UUID) -> Tenant:
        """Brings the tenant back as it was, active or suspended.

        Raises TenantNotFound, NotDeleted, TenantPurgeBegun.
        """
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock_deleted(tx, tenant_id)
            if old.purge_started_at is not None:
                raise TenantPurgeBegun(old.slug)
            new = await store.restore(tx, tenant_id)
            await store.tell_changed(tx, tenant_id)
            await self._record(tx, "tenants.restore", tenant_id, old, new)
        return new

    async def purge(self, tenant_id: UUID) -> None:
        """Removes a deleted tenant with everything that is its own. Raises TenantNotFound, NotDeleted, OwnerUnknown."""
        await self._purge(tenant_id)

    async def usage(self, tenant_id: UUID) -> TenantUsage:
        """What the tenant uses and may use. Raises TenantNotFound."""
        moment = now()
        entitlement = await store.read_entitlement(self._database, _reachable(tenant_id))
        tier = tier_now(entitlement, moment)
        used = []
        async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
            await store.get(tx, tenant_id)
            for resource in RESOURCES:
                count = await self._counters[resource](tx)
                limit = limit_now(entitlement, resource, moment)
                used.append((resource, count, None if limit is None else limit.most))
        return TenantUsage(tier, used, await self._call_limits.of_tenant(tenant_id), sorted(FEATURES[tier]))

    async def export(self, tenant_id: UUID, after: Place | None) -> AsyncGenerator[Lines | Beat | Ended, None]:
        """All that the tenant has, as NDJSON in parts; what is behind a place, where one is given.

        Raises TenantNotFound, PermissionMissing, InvalidRequest.
        """
        _hold_audit_log(current_call().caller)
        async with self._database.tenant_tx(_reachable(tenant_id)) as tx:
            await store.get(tx, tenant_id)
            details = {"after": after.table} if after else None
            await self._audit.record(tx, Change("tenants.export", "tenant", tenant_id, details=details))
        await self._call_limits.caught_up(tenant_id)
        async with aclosing(export(self._database, tenant_id, after)) as parts:
            async for part in parts:
                _hold_audit_log(current_call().caller)  # it takes a while, in which they may lose it
                yield part

    async def get_config(self, tenant_id: UUID) -> TenantConfig:
        """Raises TenantNotFound."""
        async with self._database.tenant_tx(_reachable(tenant_id), read_only=True) as tx:
            await store.get(tx, tenant_id)
            return await store.get_config(tx, tenant_id)

    async def update_config(self, tenant_id: UUID, values: Mapping[str, Any], etag: str) -> TenantConfig:
        """Changes the given settings. Raises TenantNotFound, PlatformOnly, EtagMismatch, FeatureMissing,
        EmailNotVerified, LastAdministrator.
        """
        async with self._database.tenant_tx(_reachable(tenant_id)) as tx:
            await store.get(tx, tenant_id)
            old = await store.get_config(tx, tenant_id, lock=True)
            if PLATFORM_SETTINGS.intersection(values) and not current_call().caller.is_platform:
                raise PlatformOnly
            check_etag(etag, old.revision, "tenant config")
            if any(values.get(name, 0) > usual for name, usual in USUAL_RETENTION_DAYS.items()):
                tier = tier_now(await store.hold_entitlement(tx), now())
                if Feature.LONGER_RETENTION not in FEATURES[tier]:
                    raise FeatureMissing(Feature.LONGER_RETENTION)
            requires = values.get("require_verified_email", False) and not old.require_verified_email
            async with self._let_in(tx) if requires else nullcontext():
                new = await store.change_config(tx, tenant_id, values) if values else old
            await store.tell_changed(tx, tenant_id)  # it holds for the sessions there are, and the next call
            await self._record(tx, "tenants.update_config", tenant_id, old, new)
        return new

    @asynccontextmanager
    async def _let_in(self, tx: Tx) -> AsyncIterator[None]:
        """Around the setting that shuts the unverified out: nobody of the tenant locks themselves out with it, nor all
        who administer it. Where mail cannot reach them it would be for good, but for the platform's people, who may.

        Raises EmailNotVerified, LastAdministrator.
        """
        caller = current_call().caller
        if caller.home != tx.tenant_id:
            yield
            return
        if not await self._people.is_verified(tx, caller.user_id):
            raise EmailNotVerified
        async with self._people.administered(tx):
            yield

    async def _record(
        self, tx: Tx, action: str, tenant_id: UUID, old: Tenant | TenantConfig, new: Tenant | TenantConfig
    ) -> None:
        change = Change(action, "tenant", tenant_id, old=plain(asdict(old)), new=plain(asdict(new)))
        await self._audit.record(tx, change)


def _not_the_platform(tenant: Tenant) -> None:
    if tenant.id == PLATFORM_TENANT_ID:
        raise PlatformTenantImmutable(tenant.slug)


def _hold_audit_log(caller: Principal) -> None:
    """Raises PermissionMissing where the caller may not read the audit log, which an export has in it."""
    caller.require(Permission.AUDIT_LOGS_READ)


def _reachable(tenant_id: UUID) -> UUID:
    """The tenant, where the caller may look at it at all; to all others it is not there. Raises TenantNotFound."""
    caller = current_call().caller
    if tenant_id != caller.tenant_id and not caller.is_platform:
        raise TenantNotFound(tenant_id)
    return tenant_id
