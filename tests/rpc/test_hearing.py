"""What a process reads anew when it hears of a change."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from atrium.identity.v1 import role_pb2
from atrium.tenant.v1 import tenant_config_pb2
from server.model.catalogue import Catalogues
from server.model.service.usage import UsageService
from tests.factories.world import World

NOT_FOR_EVER = 20.0


@pytest.mark.usefixtures("patient_listener")
async def test_a_change_of_a_role_is_none_of_the_tenants_settings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    administrator = await world.tenant()
    role = await world.role(administrator, "users:read")
    heard: list[str] = []
    looked_at: list[UUID] = []
    twice = asyncio.Event()

    def hear(_: Catalogues, payload: str = "") -> None:
        heard.append(payload)
        if len(heard) >= 2:
            twice.set()

    async def look(_: UsageService, tenant_id: UUID) -> None:
        looked_at.append(tenant_id)

    monkeypatch.setattr(Catalogues, "changed", hear)
    monkeypatch.setattr(UsageService, "look", look)

    update = role_pb2.UpdateRoleRequest(id=role.id, priority=7)
    await world.identity.UpdateRole(update, metadata=administrator.metadata)
    settings = tenant_config_pb2.UpdateTenantConfigRequest(temperature=0.5)
    await world.tenants.UpdateTenantConfig(settings, metadata=administrator.metadata)

    # In the process of the change at once, and as every process hears it: in the order in which they were told.
    async with asyncio.timeout(NOT_FOR_EVER):
        await twice.wait()
    assert heard == [administrator.tenant_id] * 2
    assert looked_at == [UUID(administrator.tenant_id)]
