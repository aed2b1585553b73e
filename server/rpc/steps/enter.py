"""The tenant that a call acts in, where that is not the caller's own: `x-tenant-id` opens it to the platform's
administrators alone.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from server.kernel.errors import (
    DomainError,
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    PermissionDenied,
)
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal
from server.rpc.steps.trace import TENANT_KEY


class TenantDoor(Protocol):
    """Says which tenants can be acted in. The tenant slice does."""

    async def enter(self, tenant_id: UUID) -> None:
        """Raises where there is no such tenant, or none that can be acted in."""


class EntryLog(Protocol):
    """Where it is written down who was not let in. The audit slice is one."""

    async def kept_out(self, call: Call, tenant_id: UUID, error: DomainError) -> None:
        """Records that the caller was not let into that tenant, in a transaction of its own."""


class Enter:
    """Has a platform administrator's call act inside the tenant that it names, and every refusal audited."""

    def __init__(self, door: TenantDoor, log: EntryLog) -> None:
        self._door = door
        self._log = log

    async def __call__(self, call: Call, named: str) -> None:
        """Raises InvalidRequest, PermissionMissing, and what the door has against that tenant."""
        principal = call.principal
        # Of anybody else it is not even looked at: the tenant comes from the credential.
        if principal is None or not principal.is_platform:
            return
        try:
            tenant_id = UUID(named)
        except ValueError:
            raise InvalidRequest([(TENANT_KEY, "must be the id of a tenant")]) from None
        if tenant_id == principal.tenant_id:
            return
        try:
            call.principal = await inside(self._door, principal, tenant_id)
        except (PermissionDenied, NotFound, FailedPrecondition) as error:
            await self._log.kept_out(call, tenant_id, error)
            raise


async def inside(door: TenantDoor, principal: Principal, tenant_id: UUID) -> Principal:
    """The same caller acting inside that tenant. To be of the platform is not enough: in a tenant they can do whatever
    they can at home, so at home they must have been given tenants to manage.

    Raises PermissionMissing, and what the door has against that tenant.
    """
    principal.require(Permission.TENANTS_MANAGE)
    await door.enter(tenant_id)
    return principal.inside(tenant_id)
