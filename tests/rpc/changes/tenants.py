"""Changes to tenants."""

from __future__ import annotations

from typing import Any

from tests.factories.world import PASSWORD
from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of
from tests.rpc.methods import TENANT


@change_of(TENANT + "CreateTenant")
async def _(stage: Stage) -> Attempt:
    who = {"username": "admin", "email": "admin@made.example", "password": PASSWORD}
    fields = {"slug": "made", "name": "Made", "administrator": who}
    return stage.attempt(
        TENANT + "CreateTenant",
        *("tenants.create", "tenant"),
        fields,
        {**fields, "slug": stage.owner.tenant},
        by=stage.platform,
        tenant_id="of the answer",
        tables=("tenants",),
        beside=("tenant_configs", "roles", "role_permissions", "users", "user_roles"),
    )


@change_of(TENANT + "UpdateTenant")
async def _(stage: Stage) -> Attempt:
    fields = {"id": stage.owner.tenant_id, "name": "Other", "country": "NZ", "max_users": 100, "tier": 2}
    return stage.attempt(
        TENANT + "UpdateTenant",
        *("tenants.update", "tenant"),
        fields,
        {**fields, "etag": "stale"},
        by=stage.platform,
        target=stage.owner.tenant_id,
        tenant_id=stage.owner.tenant_id,
        tables=("tenants",),
    )


@change_of(TENANT + "UpdateTenantConfig")
async def _(stage: Stage) -> Attempt:
    said = {"temperature": 1.5, "requests_per_minute": 1000, "extra_config": {"a": 1}, "store_prompts": True}
    fields = {"tenant_id": stage.owner.tenant_id, **said}
    return stage.attempt(
        TENANT + "UpdateTenantConfig",
        *("tenants.update_config", "tenant"),
        fields,
        {**fields, "etag": "stale"},
        by=stage.platform,
        target=stage.owner.tenant_id,
        tenant_id=stage.owner.tenant_id,
        tables=("tenant_configs",),
    )


async def _of_tenant(stage: Stage, name: str, action: str, *before: str, **more: Any) -> Attempt:
    other = await stage.world.tenant()
    for path in before:
        await stage.call(TENANT + path, stage.platform, id=other.tenant_id)
    more = {"tenant_id": other.tenant_id, "tables": ("tenants",), **more}
    return by_id(stage, TENANT + name, action, "tenant", other.tenant_id, by=stage.platform, **more)


@change_of(TENANT + "SuspendTenant")
async def _(stage: Stage) -> Attempt:
    return await _of_tenant(stage, "SuspendTenant", "tenants.suspend")


@change_of(TENANT + "ActivateTenant")
async def _(stage: Stage) -> Attempt:
    return await _of_tenant(stage, "ActivateTenant", "tenants.activate", "SuspendTenant")


@change_of(TENANT + "DeleteTenant")
async def _(stage: Stage) -> Attempt:
    return await _of_tenant(stage, "DeleteTenant", "tenants.delete")


@change_of(TENANT + "RestoreTenant")
async def _(stage: Stage) -> Attempt:
    return await _of_tenant(stage, "RestoreTenant", "tenants.restore", "DeleteTenant")


@change_of(TENANT + "PurgeTenant")
async def _(stage: Stage) -> Attempt:
    all_of_it = ("tenant_configs", "roles", "role_permissions", "users", "user_roles", "sessions")
    return await _of_tenant(
        stage,
        "PurgeTenant",
        "tenants.purge",
        "DeleteTenant",
        tenant_id=stage.platform.tenant_id,
        beside=all_of_it,
    )
