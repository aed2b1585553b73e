"""Authorization: may this caller use this method at all? What they may do to which object is the service's question."""

from __future__ import annotations

from typing import Protocol

from server.kernel.errors import EmailNotVerified, PermissionDenied, PermissionMissing, PlatformOnly
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal
from server.rpc.policy import Rule


class DenialLog(Protocol):
    """Where a refusal is written down. The audit slice is one."""

    async def denied(self, call: Call, error: PermissionDenied) -> None:
        """Records that the call was refused, in a transaction of its own."""


class Authorize:
    """Holds the caller against the method's rule, and has every refusal audited."""

    def __init__(self, denials: DenialLog) -> None:
        self._denials = denials

    async def __call__(self, rule: Rule, call: Call) -> None:
        principal = call.principal
        if principal is None:
            return
        error = _refusal(rule, principal)
        if error is not None:
            await self._denials.denied(call, error)
            raise error


def _refusal(rule: Rule, principal: Principal) -> PermissionDenied | None:
    if principal.unverified and not rule.unverified:
        return EmailNotVerified()
    if rule.platform_only and not principal.is_platform:
        return PlatformOnly()
    if isinstance(rule.access, Permission) and rule.access not in principal.permissions:
        return PermissionMissing(permission=rule.access)
    return None
