"""Tenants and their settings: the rules and what can go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from server.kernel.errors import AlreadyExists, FailedPrecondition, NotFound
from server.kernel.quota import CallLimit

TenantStatus = Literal["active", "suspended", "deleted"]
Tier = Literal["free", "pro", "enterprise"]

PLATFORM_SETTINGS = frozenset(
    {
        "requests_per_minute",
        "tokens_per_minute",
        "monthly_token_quota",
        "monthly_cost_quota_usd",
        "max_parallel_calls",
    }
)
"""What only the platform's administrators may change of a tenant's settings."""

PLATFORM_FIELDS = frozenset(
    {
        "tier",
        "trial_ends_at",
        "subscription_ends_at",
        "max_users",
        "max_workflows",
        "max_knowledge_bases",
        "quota_override",
    }
)
"""What a tenant cannot decide about itself: what it pays for, and what it gets for that."""


DEFAULT_RETENTION_DAYS = 30
"""How long a tenant keeps what was deleted, unless it has set another time."""


class TenantNotFound(NotFound):
    """No tenant with this id."""

    resource = "tenant"


class TenantNotActive(FailedPrecondition):
    """The tenant {subject} is not active."""


class PlatformTenantImmutable(FailedPrecondition):
    """The tenant {subject} is the platform itself: it is neither suspended nor deleted."""


class TenantPurgeBegun(FailedPrecondition):
    """The tenant {subject} is being purged: it cannot be restored any more."""


class OwnerUnknown(FailedPrecondition):
    """The {subject} needs ATRIUM_ADMIN_DATABASE_URL to be set on the server."""


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
    trial_ends_at: datetime | None
    subscription_ends_at: datetime | None
    max_users: int | None
    max_workflows: int | None
    max_knowledge_bases: int | None
    quota_override: dict[str, Any] | None
    former_status: TenantStatus | None
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    deleted_by: str | None
    purge_started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a tenant's limits follow from. `quota_override`: by resource, a `limit` and `until` when it holds."""

    tier: Tier
    trial_ends_at: datetime | None
    subscription_ends_at: datetime | None
    max_users: int | None
    max_workflows: int | None
    max_knowledge_bases: int | None
    quota_override: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class TenantUsage:
    """What a tenant uses and may use. `resources`: each with how many there are and the most (None: no limit)."""

    tier: Tier
    resources: Sequence[tuple[str, int, int | None]]
    calls: Sequence[CallLimit]
    features: Sequence[str]


@dataclass(frozen=True, slots=True)
class TenantConfig:
    """The settings that a tenant decides about itself, and its limits on calls to models, which the platform does."""

    default_model: str | None
    default_embedding_model: str | None
    max_tokens_per_request: int
    temperature: Decimal
    soft_delete_retention_days: int
    audit_retention_days: int
    call_log_retention_days: int
    extra_config: dict[str, Any] | None
    require_verified_email: bool
    requests_per_minute: int | None
    tokens_per_minute: int | None
    monthly_token_quota: int | None
    monthly_cost_quota_usd: Decimal | None
    max_parallel_calls: int | None
    store_prompts: bool
    prompt_retention_days: int
    vector_search_top_k: int
    vector_search_threshold: Decimal | None
    store_queries: bool
    query_log_retention_days: int
    max_concurrent_workflows: int
    workflow_timeout_seconds: int
    execution_retention_days: int
    revision: int
    created_at: datetime
    updated_at: datetime
