"""How much of something a tenant may have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from server.kernel.errors import ResourceExhausted


class QuotaExceeded(ResourceExhausted):
    """The tenant may have {limit} {subject}, and has {used}."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of something, such as "users", that a tenant may have now."""

    resource: str
    most: int

    def admit(self, used: int) -> None:
        """Raises QuotaExceeded where one more than `used` would be too many."""
        if used >= self.most:
            raise QuotaExceeded(self.resource, limit=self.most, used=used)


@dataclass(frozen=True, slots=True)
class CallLimit:
    """A tenant's limit on its calls to models, by its name among the tenant's settings, beside what is used of it.

    `reserved`: what calls under way may still use. `resets_at`: when it begins anew; None: as calls end.
    """

    name: str
    limit: Decimal
    used: Decimal
    reserved: Decimal
    resets_at: datetime | None
