"""What the other slices must know of a tenant: whether it may be used, and what it has set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.clock import now
from server.kernel.features import Feature, FeatureMissing
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.paging import PageRequest
from server.tenant import store
from server.tenant.domain import Tenant, TenantConfig, TenantNotActive, TenantNotFound
from server.tenant.tiers import FEATURES, USUAL_RETENTION_DAYS, kept_days, tier_now

_PAGE = 500


class TenantStanding:
    """Read-only answers about tenants, for the slices beside this one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, slug: str) -> tuple[UUID | None, bool]:
        """The id of the tenant of that slug, a deleted one too, and whether it is active."""
        async with self._database.global_tx() as tx:
            return await store.find(tx, slug)

    async def find_active(self, slug: str) -> UUID | None:
        """The id of the active tenant of that slug."""
        tenant_id, is_active = await self.find(slug)
        return tenant_id if is_active else None

    async def everyone(self) -> AsyncIterator[tuple[Tenant, int]]:
        """Every tenant, deleted ones too, with the days that it keeps what was deleted; read page by page."""
        cursor: UUID | None = None
        while True:
            async with self._database.tenant_tx(PLATFORM_TENANT_ID) as tx:
                page = await store.page(tx, PageRequest(_PAGE, cursor), "include", None, None, None)
            for tenant in page.items:
                # It may be half purged by now, or gone: that must not end what is done for all the others.
                days = await store.read_retention(self._database, tenant.id)
                yield tenant, kept_days(tenant, "soft_delete_retention_days", days, now())
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    async def enter(self, tenant_id: UUID) -> None:
        """Raises TenantNotFound or TenantNotActive for a tenant that the platform's administrators cannot act in."""
        status = await store.read_status(self._database, tenant_id)
        if status is None:
            raise TenantNotFound(tenant_id)
        if status != "active":
            raise TenantNotActive(str(tenant_id))

    async def require(self, tenant_id: UUID, feature: Feature) -> None:
        """Raises FeatureMissing where the tenant's tier does not give it."""
        entitlement = await store.read_entitlement(self._database, tenant_id)
        if feature not in FEATURES[tier_now(entitlement, now())]:
            raise FeatureMissing(feature)

    async def is_active(self, tx: Tx) -> bool:
        """Whether the transaction's tenant is active."""
        return await store.is_active(tx)

    async def exists(self, tenant_id: UUID) -> bool:
        """Whether there is such a tenant, active or not."""
        return await store.read_status(self._database, tenant_id) is not None

    async def slug(self, tenant_id: UUID) -> str:
        """The slug of a tenant that is there, in one round trip. Raises TenantNotFound."""
        return await store.read_slug(self._database, tenant_id)

    async def model_settings(self, tenant_id: UUID) -> TenantConfig:
        """What calls to models that leave things open are given, the most that they may use, and how long what is kept
        of them is kept now.
        """
        found = await store.read_config(self._database, tenant_id)
        entitlement, moment = await store.read_entitlement(self._database, tenant_id), now()
        kept: dict[str, Any] = {
            name: kept_days(entitlement, name, getattr(found, name), moment) for name in USUAL_RETENTION_DAYS
        }
        return replace(found, **kept)

    async def features(self, tenant_id: UUID) -> tuple[frozenset[Feature], datetime | None]:
        """What the tenant's tier gives it beyond limits, and when that ends unless it is paid for; None: never."""
        entitlement, moment = await store.read_entitlement(self._database, tenant_id), now()
        end = entitlement.subscription_ends_at or entitlement.trial_ends_at
        return FEATURES[tier_now(entitlement, moment)], None if end is None or end <= moment else end
