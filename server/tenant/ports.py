"""What the tenant slice needs from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change
from server.kernel.quota import CallLimit


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...

    async def last_checkpoint(self, tx: Tx) -> Mapping[str, Any] | None:
        """What the newest seal over the log of the transaction's tenant says; None: there is none."""


class People(Protocol):
    """What a change of settings must know of the transaction's tenant's people."""

    async def is_verified(self, tx: Tx, user_id: UUID) -> bool:
        """Whether the user's e-mail address is verified."""

    def administered(self, tx: Tx) -> AbstractAsyncContextManager[None]:
        """Around a change that may shut people out. Raises LastAdministrator where it leaves the tenant to nobody."""


class Counter(Protocol):
    """Counts how many of something the transaction's tenant has."""

    async def __call__(self, tx: Tx) -> int: ...


class CallLimits(Protocol):
    """Knows a tenant's limits on its calls to models, and what is used of them."""

    async def of_tenant(self, tenant_id: UUID) -> Sequence[CallLimit]:
        """Those that there are, now."""

    async def caught_up(self, tenant_id: UUID) -> None:
        """Returns when all calls that are over are among the tenant's records and sums."""


class Founding(Protocol):
    """Gives a new tenant its roles and its first administrator."""

    async def prepare(self, slug: str, username: str, email: str, password: str) -> str:
        """The hash of the administrator's password, made before the transaction. Refuses one that is easily guessed."""

    async def found(self, tx: Tx, tenant_id: UUID, username: str, email: str, password_hash: str) -> UUID:
        """Makes them in the tenant's own transaction; the administrator's id."""
