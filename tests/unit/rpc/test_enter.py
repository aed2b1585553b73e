"""The step that lets the platform's administrators into a tenant."""

from __future__ import annotations

from uuid import UUID

import pytest

from server.kernel.errors import DomainError, FailedPrecondition, InvalidRequest, PermissionMissing, Unavailable
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal
from server.rpc.steps.enter import Enter


class Closed(FailedPrecondition):
    """The tenant is closed."""


class Door:
    """Notes who enters; one tenant may be closed, for some reason."""

    def __init__(self, closed: UUID | None = None, why: DomainError | None = None) -> None:
        self._closed = closed
        self._why = why
        self.entered: list[UUID] = []

    async def enter(self, tenant_id: UUID) -> None:
        if self._why is not None and tenant_id == self._closed:
            raise self._why
        self.entered.append(tenant_id)


class Log:
    def __init__(self) -> None:
        self.found: list[tuple[Call, UUID, DomainError]] = []

    async def kept_out(self, call: Call, tenant_id: UUID, error: DomainError) -> None:
        self.found.append((call, tenant_id, error))


def _call(*permissions: Permission, tenant_id: UUID = PLATFORM_TENANT_ID) -> Call:
    principal = Principal(tenant_id, uuid7(), uuid7(), frozenset(permissions))
    return Call("/s/M", "request", "trace", "span", principal=principal)


async def test_a_platform_administrator_acts_inside_the_tenant_they_name() -> None:
    door, log, call, tenant_id = Door(), Log(), _call(Permission.TENANTS_MANAGE), uuid7()

    await Enter(door, log)(call, str(tenant_id))

    assert (call.caller.tenant_id, call.caller.home, call.caller.member_id) == (tenant_id, PLATFORM_TENANT_ID, None)
    assert call.caller.is_platform
    assert (door.entered, log.found) == ([tenant_id], [])


async def test_to_be_of_the_platform_is_not_enough() -> None:
    door, log, tenant_id = Door(), Log(), uuid7()
    call = _call(*(set(Permission) - {Permission.TENANTS_MANAGE}))

    with pytest.raises(PermissionMissing) as refused:
        await Enter(door, log)(call, str(tenant_id))

    assert refused.value.fields == {"permission": "tenants:manage"}
    assert (call.caller.tenant_id, door.entered) == (PLATFORM_TENANT_ID, [])
    assert log.found == [(call, tenant_id, refused.value)]


async def test_a_tenant_that_is_closed_lets_nobody_in_and_it_is_noted_who_came() -> None:
    closed, log, call = uuid7(), Log(), _call(Permission.TENANTS_MANAGE)

    with pytest.raises(Closed) as refused:
        await Enter(Door(closed, Closed("tenant")), log)(call, str(closed))

    assert log.found == [(call, closed, refused.value)]
    assert call.caller.tenant_id == PLATFORM_TENANT_ID


async def test_nothing_is_noted_where_nothing_can_be() -> None:
    closed, log = uuid7(), Log()

    with pytest.raises(Unavailable):
        await Enter(Door(closed, Unavailable()), log)(_call(Permission.TENANTS_MANAGE), str(closed))

    assert log.found == []


@pytest.mark.parametrize("named", ["", "platform", "1", "x" * 36])
async def test_a_tenant_that_is_no_id_is_malformed(named: str) -> None:
    with pytest.raises(InvalidRequest):
        await Enter(Door(), Log())(_call(Permission.TENANTS_MANAGE), named)


@pytest.mark.parametrize("named", ["", "no id", "01890a5d-ac96-774b-bcce-b302099a8057", str(PLATFORM_TENANT_ID)])
async def test_of_anybody_else_a_named_tenant_is_not_even_looked_at(named: str) -> None:
    own, door = uuid7(), Door()
    call = _call(*Permission, tenant_id=own)
    public = Call("/s/M", "request", "trace", "span")

    await Enter(door, Log())(call, named)
    await Enter(door, Log())(public, named)

    assert (call.caller.tenant_id, public.principal, door.entered) == (own, None, [])


async def test_ones_own_tenant_needs_no_entering() -> None:
    door, call = Door(), _call()

    await Enter(door, Log())(call, str(PLATFORM_TENANT_ID))

    assert (call.caller.home_tenant_id, door.entered) == (None, [])
