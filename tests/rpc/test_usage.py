"""What of its limits on calls a tenant has used, and when each begins anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from atrium.model.v1 import embedding_pb2
from atrium.tenant.v1 import tenant_config_pb2, usage_pb2
from tests.factories.world import World


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
