"""The TenantService over a real channel."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2

from atrium.audit.v1 import audit_log_pb2
from atrium.identity.v1 import role_pb2, session_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from server.kernel.json import MOST_DEPTH, MOST_TOLD_DEPTH, shallow
from tests.factories.nested import nested
from tests.factories.world import PASSWORD, World, refused

NOT_FOR_EVER = 20.0


def _founding(slug: str, **fields: Any) -> tenant_pb2.CreateTenantRequest:
    administrator = tenant_pb2.CreateTenantRequest.Administrator(
        username="root", email=f"root@{slug}.example", password=PASSWORD
    )
    return tenant_pb2.CreateTenantRequest(slug=slug, name=slug.title(), administrator=administrator, **fields)


async def test_a_tenant_is_founded_with_roles_settings_and_an_administrator(world: World) -> None:
    platform = await world.platform()

    made = await world.tenants.CreateTenant(_founding("acme", industry="Anvils"), metadata=platform.metadata)

    root = await world.sign_in("acme", "root")
    roles = await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=root.metadata)
    config = (
        await world.tenants.GetTenantConfig(tenant_config_pb2.GetTenantConfigRequest(), metadata=root.metadata)
    ).config
    assert made.administrator_user_id == root.id
    assert (made.tenant.state, made.tenant.tier) == (tenant_pb2.Tenant.STATE_ACTIVE, tenant_pb2.Tenant.TIER_FREE)
    assert made.tenant.industry == "Anvils"
    assert sorted(role.code for role in roles.roles) == ["admin", "editor", "viewer"]
    assert (config.tenant_id, config.max_tokens_per_request, config.temperature) == (made.tenant.id, 4096, 0.7)


async def test_a_slug_is_taken_once_also_by_two_at_a_time(world: World) -> None:
    platform = await world.platform()
    calls = [world.tenants.CreateTenant(_founding("acme"), metadata=platform.metadata) for _ in range(3)]

    codes = sorted([(await call.code()).name for call in calls])

    assert codes == ["ALREADY_EXISTS", "ALREADY_EXISTS", "OK"]
    listed = await world.tenants.ListTenants(tenant_pb2.ListTenantsRequest(), metadata=platform.metadata)
    assert [tenant.slug for tenant in listed.tenants] == ["acme", "platform"]


async def test_a_founding_that_fails_leaves_nothing_behind(world: World, admin: Any) -> None:
    platform = await world.platform()
    await world.tenants.CreateTenant(_founding("acme"), metadata=platform.metadata)
    tables = ("tenants", "tenant_configs", "users", "roles", "user_roles", "role_permissions", "audit_logs")

    async def counts() -> list[int]:
        return [await admin.fetchval(f"SELECT count(*) FROM {table}") for table in tables]

    before = await counts()
    refusal = await refused(world.tenants.CreateTenant(_founding("acme"), metadata=platform.metadata))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "SLUG_TAKEN")
    assert await counts() == before


async def test_a_reserved_slug_is_refused(world: World) -> None:
    platform = await world.platform()

    refusal = await refused(world.tenants.CreateTenant(_founding("api"), metadata=platform.metadata))

    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["slug"])


async def test_a_tenant_reads_and_changes_itself(world: World) -> None:
    administrator = await world.tenant()
    mine = (await world.tenants.GetTenant(tenant_pb2.GetTenantRequest(), metadata=administrator.metadata)).tenant
    change = tenant_pb2.UpdateTenantRequest(name="Renamed", country="NZ", etag=mine.etag)

    new = (await world.tenants.UpdateTenant(change, metadata=administrator.metadata)).tenant

    again = tenant_pb2.GetTenantRequest(id=administrator.tenant_id)
    assert (mine.id, mine.slug) == (administrator.tenant_id, administrator.tenant)
    assert (new.name, new.country, new.slug) == ("Renamed", "NZ", mine.slug)
    assert (await world.tenants.GetTenant(again, metadata=administrator.metadata)).tenant == new
    stale = await refused(world.tenants.UpdateTenant(change, metadata=administrator.metadata))
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")


async def test_the_tier_is_the_platforms_to_change(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    change = tenant_pb2.UpdateTenantRequest(id=administrator.tenant_id, tier=tenant_pb2.Tenant.TIER_PRO)

    refusal = await refused(world.tenants.UpdateTenant(change, metadata=administrator.metadata))
    new = (await world.tenants.UpdateTenant(change, metadata=platform.metadata)).tenant

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PLATFORM_ONLY")
    assert new.tier == tenant_pb2.Tenant.TIER_PRO


async def test_settings_are_changed_field_by_field(world: World) -> None:
    administrator = await world.tenant()
    extra = struct_pb2.Struct()
    extra.update({"theme": {"dark": True}, "seats": [1, 2]})
    change = tenant_config_pb2.UpdateTenantConfigRequest(
        default_model="local-chat", temperature=0.25, extra_config=extra
    )
    new = (await world.tenants.UpdateTenantConfig(change, metadata=administrator.metadata)).config
    clear = tenant_config_pb2.UpdateTenantConfigRequest(update_mask={"paths": ["default_model"]}, etag=new.etag)

    cleared = (await world.tenants.UpdateTenantConfig(clear, metadata=administrator.metadata)).config

    assert (new.default_model, new.temperature, new.extra_config) == ("local-chat", 0.25, extra)
    assert not cleared.HasField("default_model")
    assert (cleared.temperature, cleared.extra_config, cleared.max_tokens_per_request) == (0.25, extra, 4096)
    stale = await refused(world.tenants.UpdateTenantConfig(clear, metadata=administrator.metadata))
    assert stale.reason == "ETAG_MISMATCH"


async def test_settings_hold_finite_numbers_only(world: World) -> None:
    administrator = await world.tenant()
    extra = struct_pb2.Struct()
    extra.update({"deep": {"nan": float("nan")}})

    refusal = await refused(
        world.tenants.UpdateTenantConfig(
            tenant_config_pb2.UpdateTenantConfigRequest(extra_config=extra), metadata=administrator.metadata
        )
    )

    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["extra_config"])


@pytest.mark.parametrize(
    "extra", [{"a": "x" * 65_536}, nested(MOST_DEPTH + 1), nested(32)], ids=["long", "too deep", "deeper than is told"]
)
async def test_settings_are_no_larger_than_can_be_told(world: World, extra: dict[str, Any]) -> None:
    administrator = await world.tenant()

    refusal = await refused(
        world.tenants.UpdateTenantConfig(
            tenant_config_pb2.UpdateTenantConfigRequest(extra_config=extra), metadata=administrator.metadata
        )
    )

    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["extra_config"])


async def test_what_is_too_deep_from_before_is_told_as_far_as_it_is_read(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    who = {"metadata": administrator.metadata}
    asked = tenant_config_pb2.UpdateTenantConfigRequest(extra_config=nested(MOST_DEPTH))
    await world.tenants.UpdateTenantConfig(asked, **who)
    deep = json.dumps(nested(60))
    await admin.execute("UPDATE tenant_configs SET extra_config = $1", deep)
    await world.tenants.UpdateTenantConfig(tenant_config_pb2.UpdateTenantConfigRequest(temperature=1), **who)

    config = (await world.tenants.GetTenantConfig(tenant_config_pb2.GetTenantConfigRequest(), **who)).config
    logs = (await world.audit.ListAuditLogs(audit_log_pb2.ListAuditLogsRequest(), **who)).audit_logs

    assert json_format.MessageToDict(config.extra_config) == shallow(nested(60), MOST_TOLD_DEPTH)
    assert sum(log.action == "tenants.update_config" for log in logs) == 2


async def test_the_platform_lists_all_tenants_in_pages(world: World) -> None:
    platform = await world.platform()
    for slug in ("a", "b", "c"):
        await world.tenants.CreateTenant(_founding(slug), metadata=platform.metadata)
    request = tenant_pb2.ListTenantsRequest(page_size=3, state=tenant_pb2.Tenant.STATE_ACTIVE)

    first = await world.tenants.ListTenants(request, metadata=platform.metadata)
    request.page_token = first.next_page_token
    second = await world.tenants.ListTenants(request, metadata=platform.metadata)

    slugs = [[tenant.slug for tenant in page.tenants] for page in (first, second)]
    assert slugs == [["c", "b", "a"], ["platform"]]
    assert second.next_page_token == ""


async def test_tenants_are_found_by_when_they_were_made(world: World) -> None:
    platform = await world.platform()
    for slug in ("a", "b"):
        await world.tenants.CreateTenant(_founding(slug), metadata=platform.metadata)
    listed = await world.tenants.ListTenants(tenant_pb2.ListTenantsRequest(), metadata=platform.metadata)
    newest = listed.tenants[0].create_time.ToMilliseconds()
    moment = type(listed.tenants[0].create_time)()
    moment.FromMilliseconds(newest + 60_000)

    later = await world.tenants.ListTenants(
        tenant_pb2.ListTenantsRequest(create_time_from=moment), metadata=platform.metadata
    )
    earlier = await world.tenants.ListTenants(
        tenant_pb2.ListTenantsRequest(create_time_until=moment), metadata=platform.metadata
    )

    assert [tenant.slug for tenant in later.tenants] == []
    assert {tenant.slug for tenant in earlier.tenants} >= {"a", "b"}


async def test_people_of_a_suspended_tenant_are_out(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await admin.execute("UPDATE tenants SET status = 'suspended' WHERE id = $1", administrator.tenant_id)
    await admin.execute("SELECT pg_notify('atrium_tenants_changed', $1)", administrator.tenant_id)

    async with asyncio.timeout(NOT_FOR_EVER):
        while (
            await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata).code()
        ).name == "OK":
            pass

    login = session_pb2.LoginRequest(tenant=administrator.tenant, login="admin", password=PASSWORD)
    refresh = session_pb2.RefreshTokenRequest(refresh_token=administrator.tokens.refresh_token)
    assert (await refused(world.identity.Login(login))).reason == "LOGIN_FAILED"
    assert (await refused(world.identity.RefreshToken(refresh))).reason == "REFRESH_TOKEN_INVALID"
