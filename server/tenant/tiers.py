"""What a tenant pays for decides: how much it may have, and what it may do beyond."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal, get_args

from server.kernel.features import Feature
from server.kernel.quota import Limit
from server.tenant.domain import Entitlement, Tier

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

USUAL_RETENTION_DAYS: Mapping[str, int] = MappingProxyType(
    {"audit_retention_days": 365, "call_log_retention_days": 400}
)
"""How long things may be kept without the feature of a longer retention."""


def tier_now(of: Entitlement, moment: datetime) -> Tier:
    """The tier that holds: the free one once the subscription, or a trial without one, has ended."""
    end = of.subscription_ends_at or of.trial_ends_at
    return of.tier if end is None or moment < end else "free"


def limit_now(of: Entitlement, resource: Resource, moment: datetime) -> Limit | None:
    """The limit that holds: one raised for a time, or the tenant's own, or else its tier's. None: no limit."""
    raised = (of.quota_override or {}).get(resource)
    if raised is not None and moment < datetime.fromisoformat(raised["until"]):
        return Limit(resource, raised["limit"])
    own: int | None = getattr(of, f"max_{resource}")
    if own is not None:
        return Limit(resource, own)
    limits = LIMITS[tier_now(of, moment)]
    return None if limits is None else Limit(resource, limits[resource])
