"""Tenants and their settings: the rules and what can go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from server.kernel.errors import AlreadyExists, NotFound

TenantStatus = Literal["active", "suspended", "deleted"]
Tier = Literal["free", "pro", "enterprise"]

PLATFORM_FIELDS = frozenset({"tier"})
"""What a tenant cannot decide about itself: what it pays for."""


class TenantNotFound(NotFound):
    """No tenant with this id."""

    resource = "tenant"


class SlugTaken(AlreadyExists):
    """The slug {slug} is taken."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of the platform."""

    id: UUID
    name: str
    slug: str
    status: TenantStatus
    tier: Tier
    contact_email: str | None
    contact_phone: str | None
    contact_person: str | None
    industry: str | None
    company_size: str | None
    country: str | None
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TenantConfig:
    """The settings that a tenant decides about itself."""

    default_model: str | None
    default_embedding_model: str | None
    max_tokens_per_request: int
    temperature: Decimal
    extra_config: dict[str, Any] | None
    require_verified_email: bool
    revision: int
    created_at: datetime
    updated_at: datetime
