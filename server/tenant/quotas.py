"""Holds tenants to their limits, for the slices whose things are counted."""

from __future__ import annotations

from server.db.database import Tx
from server.kernel.clock import Clock, now
from server.kernel.quota import Limit
from server.tenant import store
from server.tenant.tiers import Resource, limit_now


class TenantQuotas:
    """Says how many of something the transaction's tenant may have, and lets one at a time ask."""

    def __init__(self, clock: Clock = now) -> None:
        self._clock = clock

    async def hold(self, tx: Tx, resource: Resource) -> Limit | None:
        """The limit; None for none. Whoever asks next waits until the transaction ends, so that counting is exact."""
        return limit_now(await store.hold_entitlement(tx), resource, self._clock())
