"""What the model slice needs from others."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...


class CallSettings(Protocol):
    """A tenant's settings for calls that leave things open, and the most that they may use; None: no limit."""

    @property
    def default_model(self) -> str | None: ...
    @property
    def default_embedding_model(self) -> str | None: ...
    @property
    def temperature(self) -> Decimal: ...
    @property
    def max_tokens_per_request(self) -> int: ...
    @property
    def requests_per_minute(self) -> int | None: ...
    @property
    def tokens_per_minute(self) -> int | None: ...
    @property
    def monthly_token_quota(self) -> int | None: ...
    @property
    def monthly_cost_quota_usd(self) -> Decimal | None: ...
    @property
    def max_parallel_calls(self) -> int | None: ...
    @property
    def store_prompts(self) -> bool: ...
    @property
    def prompt_retention_days(self) -> int: ...


class TenantSettings(Protocol):
    """What the tenant's settings say of a call to a model."""

    async def model_settings(self, tenant_id: UUID) -> CallSettings:
        """As they are now."""
