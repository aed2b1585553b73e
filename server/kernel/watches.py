"""How many streams of a kind a tenant has open in this process: one tenant's are not to take the places of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from server.kernel.errors import ResourceExhausted

_RETRY_SECONDS = 10.0


class Watches:
    """Counts them: `with watches.one_more(tenant_id)` around each."""

    def __init__(self, most: int, refusal: type[ResourceExhausted], subject: str) -> None:
        """`most`: of one tenant. `refusal`: what is raised beyond, and of what."""
        self._most = most
        self._refusal = refusal
        self._subject = subject
        self._open: Counter[UUID] = Counter()

    @contextmanager
    def one_more(self, tenant_id: UUID) -> Iterator[None]:
        """Raises `refusal` where the tenant has as many as it may."""
        if self._open[tenant_id] >= self._most:
            raise self._refusal(self._subject, _RETRY_SECONDS)
        self._open[tenant_id] += 1
        try:
            yield
        finally:
            self._open[tenant_id] -= 1
            if not self._open[tenant_id]:
                del self._open[tenant_id]
