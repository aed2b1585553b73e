"""How much a tenant may have, by its tier and by what the platform gives it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc import StatusCode as Code

from atrium.identity.v1 import user_pb2
from atrium.model.v1 import embedding_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2, usage_pb2
from tests.factories.world import Person, World, refused

FREE, PRO, ENTERPRISE = tenant_pb2.Tenant.TIER_FREE, tenant_pb2.Tenant.TIER_PRO, tenant_pb2.Tenant.TIER_ENTERPRISE


def _in(days: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    return made


async def _create(world: World, by: Person, number: int) -> Code:
    request = user_pb2.CreateUserRequest(username=f"u{number}", email=f"u{number}@example.com")
    return await world.identity.CreateUser(request, metadata=by.metadata).code()


async def _set(world: World, administrator: Person, **fields: Any) -> None:
    platform = await world.platform()
    request = tenant_pb2.UpdateTenantRequest(id=administrator.tenant_id, **fields)
    await world.tenants.UpdateTenant(request, metadata=platform.metadata)


async def _limit(world: World, administrator: Person) -> int | None:
    usage = await world.tenants.GetUsage(usage_pb2.GetUsageRequest(), metadata=administrator.metadata)
    users = next(each for each in usage.usage if each.resource == "users")
    return users.limit if users.HasField("limit") else None


async def test_a_hundred_creates_at_once_at_a_limit_of_five_make_five(world: World) -> None:
    administrator = await world.tenant(FREE)

    codes = await asyncio.gather(*(_create(world, administrator, number) for number in range(100)))

    assert (codes.count(Code.OK), codes.count(Code.RESOURCE_EXHAUSTED)) == (4, 96)
    listed = await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=administrator.metadata)
    assert len(listed.users) == 5


async def test_a_refusal_says_the_limit_and_the_use(world: World) -> None:
    administrator = await world.tenant(FREE)
    await world.user(administrator)
    await _set(world, administrator, max_users=1)

    refusal = await refused(
        world.identity.CreateUser(
            user_pb2.CreateUserRequest(username="u", email="u@example.com"), metadata=administrator.metadata
        )
    )

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    (violation,) = refusal.detail(error_details_pb2.QuotaFailure).violations
    assert violation.subject == "users"
    assert violation.description == "The tenant may have 1 users, and has 2."
    assert dict(refusal.detail(error_details_pb2.ErrorInfo).metadata) == {"subject": "users", "limit": "1", "used": "2"}


async def test_the_deleted_do_not_count_and_come_back_only_where_there_is_room(world: World) -> None:
    administrator = await world.tenant(FREE)
    gone = await world.user(administrator)
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=gone.id), metadata=administrator.metadata)
    for number in range(4):
        assert await _create(world, administrator, number) is Code.OK

    refusal = await refused(
        world.identity.RestoreUser(user_pb2.RestoreUserRequest(id=gone.id), metadata=administrator.metadata)
    )

    assert refusal.reason == "QUOTA_EXCEEDED"


@pytest.mark.parametrize(
    ("tier", "fields", "limit"),
    [
        (FREE, {}, 5),
        (PRO, {}, 100),
        (ENTERPRISE, {}, None),
        (ENTERPRISE, {"max_users": 7}, 7),
        (FREE, {"max_users": 0}, 0),
        (PRO, {"trial_end_time": 1}, 100),
        (PRO, {"trial_end_time": -1}, 5),
        (PRO, {"trial_end_time": -1, "subscription_end_time": 1}, 100),
        (PRO, {"subscription_end_time": -1}, 5),
        (PRO, {"trial_end_time": 1, "subscription_end_time": -1}, 5),
        (FREE, {"quota_raises": [("users", 9, 1)]}, 9),
        (FREE, {"quota_raises": [("workflows", 9, 1)]}, 5),
        (FREE, {"quota_raises": [("users", 2, 1)], "max_users": 50}, 50),
        (FREE, {"quota_raises": [("users", 60, 1)], "max_users": 50}, 60),
        (ENTERPRISE, {"quota_raises": [("users", 2, 1)]}, None),
        (PRO, {"subscription_end_time": -1, "max_users": 50}, 50),
    ],
    ids=repr,
)
async def test_the_limit_follows_from_the_tier_and_what_was_given(
    world: World, tier: int, fields: dict[str, Any], limit: int | None
) -> None:
    administrator = await world.tenant(tier)
    values = {name: _in(value) if name.endswith("_time") else value for name, value in fields.items()}
    if "quota_raises" in values:
        values["quota_raises"] = [
            {"resource": resource, "limit": raised, "expire_time": _in(days)}
            for resource, raised, days in values["quota_raises"]
        ]
    if values:
        await _set(world, administrator, **values)

    assert await _limit(world, administrator) == limit


async def test_a_raise_that_is_over_raises_nothing(world: World, admin: Any) -> None:
    administrator = await world.tenant(FREE)
    await _set(world, administrator, quota_raises=[{"resource": "users", "limit": 9, "expire_time": _in(1)}])
    await admin.execute(
        "UPDATE tenants SET quota_override = jsonb_set(quota_override, '{users,until}', to_jsonb(now())) WHERE id = $1",
        administrator.tenant_id,
    )

    assert await _limit(world, administrator) == 5


@pytest.mark.parametrize("end", [Timestamp(seconds=253_402_300_800), Timestamp(seconds=1_700_000_000)], ids=repr)
async def test_a_raise_that_ends_at_no_moment_to_come_names_its_field(world: World, end: Timestamp) -> None:
    administrator = await world.tenant(FREE)
    platform = await world.platform()
    never = [{"resource": "users", "limit": 9, "expire_time": end}]
    request = tenant_pb2.UpdateTenantRequest(id=administrator.tenant_id, quota_raises=never)

    refusal = await refused(world.tenants.UpdateTenant(request, metadata=platform.metadata))

    assert refusal.code == Code.INVALID_ARGUMENT
    assert refusal.fields == ["quota_raises[0].expire_time"]


async def test_a_raise_is_taken_back(world: World) -> None:
    administrator = await world.tenant(FREE)
    raised = [{"resource": "users", "limit": 9, "expire_time": _in(1)}]
    await _set(world, administrator, quota_raises=raised)
    shown = await world.tenants.GetTenant(tenant_pb2.GetTenantRequest(), metadata=administrator.metadata)

    await _set(world, administrator, update_mask={"paths": ["quota_raises"]})

    assert [(each.resource, each.limit) for each in shown.tenant.quota_raises] == [("users", 9)]
    assert await _limit(world, administrator) == 5


async def test_what_it_pays_for_is_not_a_tenants_to_decide(world: World) -> None:
    administrator = await world.tenant(FREE)
    attempts: list[dict[str, Any]] = [
        {"tier": ENTERPRISE},
        {"max_users": 1000},
        {"trial_end_time": _in(1000)},
        {"subscription_end_time": _in(1000)},
        {"quota_raises": [{"resource": "users", "limit": 9, "expire_time": _in(1)}]},
        {"update_mask": {"paths": ["trial_end_time"]}},
    ]

    for fields in attempts:
        refusal = await refused(
            world.tenants.UpdateTenant(tenant_pb2.UpdateTenantRequest(**fields), metadata=administrator.metadata)
        )
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PLATFORM_ONLY"), fields


async def test_usage_stands_beside_its_limit_with_what_the_tier_gives(world: World) -> None:
    administrator = await world.tenant(PRO)
    await world.user(administrator)

    usage = await world.tenants.GetUsage(usage_pb2.GetUsageRequest(), metadata=administrator.metadata)

    assert [(each.resource, each.used, each.limit) for each in usage.usage] == [
        ("users", 2, 100),
        ("workflows", 0, 200),
        ("knowledge_bases", 0, 50),
    ]
    assert not usage.call_limits
    assert (usage.tier, list(usage.features)) == (PRO, ["custom_models", "own_credentials"])


@pytest.mark.parametrize(("tier", "code"), [(FREE, Code.FAILED_PRECONDITION), (ENTERPRISE, Code.OK)])
async def test_a_longer_retention_is_what_the_highest_tier_pays_for(world: World, tier: int, code: Code) -> None:
    administrator = await world.tenant(tier)
    settings = [
        name for name in tenant_config_pb2.UpdateTenantConfigRequest.DESCRIPTOR.fields_by_name if "_retention_" in name
    ]
    assert len(settings) == 4

    for name in settings:
        request = tenant_config_pb2.UpdateTenantConfigRequest(**{name: 3650})
        assert await world.tenants.UpdateTenantConfig(request, metadata=administrator.metadata).code() is code, name
    usual = tenant_config_pb2.UpdateTenantConfigRequest(audit_retention_days=90, soft_delete_retention_days=0)
    config = (await world.tenants.UpdateTenantConfig(usual, metadata=administrator.metadata)).config
    assert (config.audit_retention_days, config.soft_delete_retention_days) == (90, 0)


async def test_usage_shows_each_limit_on_calls_and_when_it_begins_anew(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    limits = tenant_config_pb2.UpdateTenantConfigRequest(
        tenant_id=administrator.tenant_id,
        requests_per_minute=1000,
        tokens_per_minute=100_000,
        monthly_token_quota=1_000_000,
        monthly_cost_quota_usd="12.5",
        max_parallel_calls=10,
    )
    await world.tenants.UpdateTenantConfig(limits, metadata=platform.metadata)
    embed = embedding_pb2.EmbedRequest(model="local-embedding", inputs=["a few words"])
    tokens = (await world.models.Embed(embed, metadata=administrator.metadata)).usage.prompt_tokens

    for by, request in (
        (administrator, usage_pb2.GetUsageRequest()),
        (platform, usage_pb2.GetUsageRequest(tenant_id=administrator.tenant_id)),
    ):
        asked = datetime.now(UTC)
        found = (await world.tenants.GetUsage(request, metadata=by.metadata)).call_limits

        shown = {each.name: (each.limit, each.used, each.reserved) for each in found}
        assert {name: limit for name, (limit, _, _) in shown.items()} == {
            "requests_per_minute": "1000",
            "tokens_per_minute": "100000",
            "monthly_token_quota": "1000000",
            "monthly_cost_quota_usd": "12.5",
            "max_parallel_calls": "10",
        }
        assert shown["monthly_token_quota"] == ("1000000", str(tokens), "0")
        assert shown["monthly_cost_quota_usd"][1:] == shown["max_parallel_calls"][1:] == ("0", "0")
        ends = {each.name: each.reset_time.ToDatetime(UTC) for each in found if each.HasField("reset_time")}
        assert set(ends) == set(shown) - {"max_parallel_calls"}
        assert ends["requests_per_minute"] == ends["tokens_per_minute"]
        assert asked < ends["tokens_per_minute"] <= asked + timedelta(minutes=2)
        assert ends["monthly_token_quota"].day == 1
        assert asked < ends["monthly_cost_quota_usd"] <= asked + timedelta(days=32)


async def test_usage_counts_what_was_used_in_the_month_before_its_quota_was_set(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    embed = embedding_pb2.EmbedRequest(model="local-embedding", inputs=["a few words"])
    tokens = (await world.models.Embed(embed, metadata=administrator.metadata)).usage.prompt_tokens
    quota = tenant_config_pb2.UpdateTenantConfigRequest(
        tenant_id=administrator.tenant_id, monthly_token_quota=1_000_000
    )
    await world.tenants.UpdateTenantConfig(quota, metadata=platform.metadata)
    # The server looks at the new quota in the background: as if it had not yet.
    while not await admin.fetchval("DELETE FROM quota_ledger WHERE window_kind = 'month' RETURNING true"):
        pass

    (limit,) = (await world.tenants.GetUsage(usage_pb2.GetUsageRequest(), metadata=administrator.metadata)).call_limits

    assert (limit.name, limit.used) == ("monthly_token_quota", str(tokens))
