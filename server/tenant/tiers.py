"""What a tenant pays for decides: how much it may have, and what it may do beyond."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal, get_args

from server.kernel.features import Feature
from server.kernel.quota import Limit
from server.tenant.domain import DEFAULT_RETENTION_DAYS, Entitlement, Tenant, Tier

Resource = Literal["users", "workflows", "knowledge_bases"]
RESOURCES: tuple[Resource, ...] = get_args(Resource)

LIMITS: Mapping[Tier, Mapping[Resource, int] | None] = MappingProxyType(
    {
        "free": {"users": 5, "workflows": 10, "knowledge_bases": 3},
        "pro": {"users": 100, "workflows": 200, "knowledge_bases": 50},
        "enterprise": None,
    }
)
"""The most of each by tier; None: no limit."""

FEATURES: Mapping[Tier, frozenset[Feature]] = MappingProxyType(
    {
        "free": frozenset(),
        "pro": frozenset({Feature.CUSTOM_MODELS, Feature.OWN_CREDENTIALS}),
        "enterprise": frozenset(Feature),
    }
)
"""What a tier gives beyond limits."""

Retention = Literal[
    "soft_delete_retention_days",
    "audit_retention_days",
    "call_log_retention_days",
    "prompt_retention_days",
    "query_log_retention_days",
    "execution_retention_days",
]
USUAL_RETENTION_DAYS: Mapping[Retention, int] = MappingProxyType(
    {
        "soft_delete_retention_days": DEFAULT_RETENTION_DAYS,
        "audit_retention_days": 365,
        "call_log_retention_days": 400,
        "prompt_retention_days": 30,
        "query_log_retention_days": 90,
        "execution_retention_days": 400,
    }
)
"""How long things may be kept without the feature of a longer retention; every time that a tenant can set is here."""

_RETENTION_GRACE = timedelta(days=30)
"""What was paid to be kept goes so long after it was paid for last: an invoice that is late must not cost the past."""


def tier_now(of: Entitlement | Tenant, moment: datetime) -> Tier:
    """The tier that holds: the free one once the subscription, or a trial without one, has ended."""
    end = of.subscription_ends_at or of.trial_ends_at
    return of.tier if end is None or moment < end else "free"


def limit_now(of: Entitlement, resource: Resource, moment: datetime) -> Limit | None:
    """The limit that holds: the tenant's own, or else its tier's, raised where it is for a time. None: no limit.

    The tenant's own is what the platform agreed on with it by itself, and holds whatever becomes of its tier.
    """
    most: int | None = getattr(of, f"max_{resource}")
    if most is None:
        limits = LIMITS[tier_now(of, moment)]
        if limits is None:
            return None
        most = limits[resource]
    raised = (of.quota_override or {}).get(resource)
    if raised is not None and moment < datetime.fromisoformat(raised["until"]):
        most = max(most, raised["limit"])  # a raise takes nothing away
    return Limit(resource, most)


def kept_days(of: Entitlement | Tenant, retention: Retention, days: int, moment: datetime) -> int:
    """How long things are kept where the tenant has set this: as long as usual at most, unless its tier gives more."""
    tier = tier_now(of, moment - _RETENTION_GRACE)
    return days if Feature.LONGER_RETENTION in FEATURES[tier] else min(days, USUAL_RETENTION_DAYS[retention])
