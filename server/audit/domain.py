"""What the audit log holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from server.kernel.addresses import Address
from server.kernel.errors import NotFound


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, as it lies."""

    id: UUID
    created_at: datetime
    actor_kind: Literal["user", "api_key", "system"]
    user_id: UUID | None
    acting_for: UUID | None
    action: str
    resource_type: str
    resource_id: str | None
    old_value: Mapping[str, Any] | None
    new_value: Mapping[str, Any] | None
    details: Mapping[str, Any] | None
    ip_address: Address | None
    user_agent: str | None
    request_id: str | None
    session_id: str | None
    trace_id: str | None
    status: Literal["success", "failure"]
    error_message: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are meant. `columns`: what they must be equal to; `ip_network`: where their address must lie in;
    `since`, `until`: from when, and before when, they were written.
    """

    columns: Mapping[str, Any]
    ip_network: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditLogNotFound(NotFound):
    """No entry of the audit log with this id."""

    resource = "audit log"
