"""What the model slice needs from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change
from server.kernel.features import Feature


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...


class Subjects(Protocol):
    """Those whom limits are set for."""

    async def there(self, tx: Tx, user_ids: Sequence[UUID], api_key_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these users and keys there are. A deleted user's keys are hidden with them."""

    async def hold(self, tx: Tx, user_id: UUID | None, api_key_id: UUID | None) -> bool:
        """Whether the tenant has that user or key; they are not deleted until the transaction ends. One of the two is
        given. Refuses a deleted user and their keys.
        """


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
    @property
    def call_log_retention_days(self) -> int: ...


class PromptSettings(Protocol):
    """How a model is called with a prompt, where the call leaves that open; what is None or empty is open here too."""

    @property
    def model(self) -> str: ...
    @property
    def temperature(self) -> float | None: ...
    @property
    def max_tokens(self) -> int | None: ...
    @property
    def stop(self) -> Sequence[str]: ...
    @property
    def seed(self) -> int | None: ...


class PromptVersion(Protocol):
    """A state of a prompt."""

    @property
    def id(self) -> UUID: ...
    @property
    def settings(self) -> PromptSettings: ...


class PromptTurn(Protocol):
    """One turn of a prompt that is a conversation."""

    @property
    def role(self) -> Literal["system", "user", "assistant"]: ...
    @property
    def content(self) -> str: ...


class RenderedPrompt(Protocol):
    """A prompt rendered. `text`: of one that is a text; None: it is `turns`."""

    @property
    def text(self) -> str | None: ...
    @property
    def turns(self) -> Sequence[PromptTurn]: ...


class FoundPrompt(Protocol):
    """A version of a prompt that the caller may use."""

    @property
    def version(self) -> PromptVersion: ...

    async def render(self, values: Mapping[str, Any], said: bytes) -> RenderedPrompt:
        """It, with the values. `said`: these as they came. Raises what is wrong with them, or with the prompt."""


class Prompts(Protocol):
    """Prompts in place of raw text."""

    async def find(self, template_id: UUID, version: str, label: str, user_key: str) -> FoundPrompt:
        """The version of that name, or behind that label (both empty: the newest), as the caller sees it. `user_key`:
        whom it is for, where a label is split. Raises what is wrong with any of it.
        """


class TenantSettings(Protocol):
    """What the tenant's settings say of a call to a model."""

    async def model_settings(self, tenant_id: UUID) -> CallSettings:
        """As they are now."""

    async def features(self, tenant_id: UUID) -> tuple[frozenset[Feature], datetime | None]:
        """What the tenant's tier gives it beyond limits, and when that ends; None: not that anybody knows of."""
