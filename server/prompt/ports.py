"""What the prompt slice needs from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...


class ForgetAnswers(Protocol):
    """Has nothing be answered any more that names what is purged, to a call that is sent again."""

    async def __call__(self, tx: Tx, purged: Sequence[UUID]) -> None: ...


class Usage(Protocol):
    """Sums over calls of models. `latency_ms`: of all of them."""

    @property
    def calls(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def cost(self) -> Decimal: ...
    @property
    def latency_ms(self) -> int: ...


class PromptUsage(Protocol):
    """What was used of models."""

    async def by_prompt_version(self, version_ids: Sequence[UUID], since: date, until: date) -> Mapping[UUID, Usage]:
        """By the caller's tenant, from `since` and before `until`, with each of these versions that was used."""
