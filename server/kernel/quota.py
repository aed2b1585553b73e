"""How much of something a tenant may have."""

from __future__ import annotations

from dataclasses import dataclass

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
