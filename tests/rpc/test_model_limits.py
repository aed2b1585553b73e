"""Limits of users and keys: set, listed and removed, and by whom."""

from __future__ import annotations

import grpc

from atrium.model.v1 import usage_pb2 as pb
from atrium.tenant.v1 import tenant_config_pb2
from tests.factories.world import World, refused

Code = grpc.StatusCode


async def test_limits_are_set_listed_and_removed(world: World) -> None:
    ann, other = await world.tenant(), await world.tenant()
    request = pb.SetModelLimitsRequest(user_id=ann.id, parallel_calls=3, monthly_cost_usd="2.50")
    made = (await world.models.SetModelLimits(request, metadata=ann.metadata)).limits

    again = pb.SetModelLimitsRequest(user_id=ann.id, etag=made.etag, parallel_calls=4)
    changed = (await world.models.SetModelLimits(again, metadata=ann.metadata)).limits
    stale = await refused(world.models.SetModelLimits(again, metadata=ann.metadata))
    foreign = await refused(world.models.SetModelLimits(request, metadata=other.metadata))
    listed = (await world.models.ListModelLimits(pb.ListModelLimitsRequest(), metadata=ann.metadata)).limits
    await world.models.DeleteModelLimits(
        pb.DeleteModelLimitsRequest(id=made.id, etag=changed.etag), metadata=ann.metadata
    )
    after = await world.models.GetModelLimits(pb.GetModelLimitsRequest(user_id=ann.id), metadata=ann.metadata)

    removed = await refused(world.models.SetModelLimits(again, metadata=ann.metadata))
    await world.models.SetModelLimits(request, metadata=ann.metadata)
    replaced = await refused(world.models.SetModelLimits(again, metadata=ann.metadata))

    assert (made.monthly_cost_usd, changed.HasField("monthly_cost_usd"), changed.parallel_calls) == ("2.5", False, 4)
    assert [one.reason for one in (removed, replaced)] == ["ETAG_MISMATCH"] * 2
    assert (stale.code, stale.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    assert (foreign.code, foreign.reason) == (Code.NOT_FOUND, "LIMIT_SUBJECT_UNKNOWN")
    assert (list(listed), after) == ([changed], pb.GetModelLimitsResponse())


async def test_a_tenant_does_not_lift_its_own_limits(world: World) -> None:
    ann = await world.tenant()
    request = tenant_config_pb2.UpdateTenantConfigRequest(monthly_token_quota=10**12)

    refusal = await refused(world.tenants.UpdateTenantConfig(request, metadata=ann.metadata))

    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PLATFORM_ONLY")
