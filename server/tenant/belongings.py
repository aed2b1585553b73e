"""What of tenants names a person of the platform, and is not their own tenant's."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from server.db.database import Tx
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.paging import PageRequest
from server.tenant import store

_PAGE = 500


class TenantBelongings:
    """Tenants that people of the platform have deleted."""

    async def remove(self, tx: Tx, user_id: UUID) -> dict[str, Any]:
        """The person is removed for good: what they have deleted nobody did."""
        cursor: UUID | None = None
        while tx.tenant_id == PLATFORM_TENANT_ID:
            page = await store.page(tx, PageRequest(_PAGE, cursor), "only", None, None, None)
            for tenant in page.items:
                if tenant.deleted_by == str(user_id):
                    await tx.enter(tenant.id)
                    await store.forget_deleter(tx)
                    await tx.enter(PLATFORM_TENANT_ID)
            cursor = page.next_cursor
            if cursor is None:
                break
        return {}
