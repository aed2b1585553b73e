"""Authorization: may this caller use this method at all? What they may do to which object is the service's question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from server.kernel.errors import (
    DomainError,
    EmailNotVerified,
    PermissionDenied,
    PlatformOnly,
    SuperAdminOnly,
)
from server.kernel.features import Feature
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal
from server.rpc.policy import Rule


class AccessLog(Protocol):
    """Where it is written down who was refused, and who acted inside another tenant. The audit slice is one."""

    async def denied(self, call: Call, error: DomainError) -> None:
        """Records that the call was refused, in a transaction of its own."""

    async def entered(self, call: Call) -> None:
        """Records that the caller acts inside a tenant that is not theirs, in a transaction of its own."""


class Tiers(Protocol):
    """What a tenant's tier gives it. The tenant slice knows."""

    async def require(self, tenant_id: UUID, feature: Feature) -> None:
        """Raises FeatureMissing where the tenant's tier, as it is now, does not give it."""


class Authorize:
    """Holds the caller against the method's rule, and has every refusal audited, a service's later one too."""

    def __init__(self, log: AccessLog, tiers: Tiers) -> None:
        self._log = log
        self._tiers = tiers

    async def __call__(self, rule: Rule, call: Call) -> None:
        principal = call.principal
        if principal is None:
            return
        try:
            permit(rule, principal)
        except PermissionDenied as error:
            await self.refused(call, error)
            raise
        # Before anything about the tenant can be in the way: that somebody tried is told too.
        if principal.home_tenant_id is not None:
            await self._log.entered(call)
        if rule.feature is not None:
            await self._tiers.require(principal.tenant_id, rule.feature)

    async def refused(self, call: Call, error: DomainError) -> None:
        """Has the refusal written down."""
        if call.principal is not None:
            await self._log.denied(call, error)


def permit(rule: Rule, principal: Principal, needed: Iterable[Permission] = ()) -> None:
    """Raises EmailNotVerified, PlatformOnly, SuperAdminOnly or PermissionMissing for whom the rule keeps out, or who
    lacks what else is needed.
    """
    if principal.unverified and not rule.unverified:
        raise EmailNotVerified
    if rule.platform_only and not principal.is_platform:
        raise PlatformOnly
    if rule.super_admin and not principal.is_super_admin:
        raise SuperAdminOnly
    if isinstance(rule.access, Permission):
        principal.require(rule.access)
    for permission in needed:
        principal.require(permission)
