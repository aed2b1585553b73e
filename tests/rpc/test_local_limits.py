"""Limits on calls of the models that the server has with it, which read more than they are sent."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from atrium.model.v1 import chat_pb2
from atrium.model.v1 import usage_pb2 as pb
from atrium.tenant.v1 import tenant_config_pb2
from tests.factories.world import World

pytestmark = pytest.mark.xdist_group("local-model")
LIMIT = 200


async def test_calls_of_a_model_that_begins_with_a_text_of_its_own_do_not_overspend(world: World) -> None:
    ann, platform = await world.tenant(), await world.platform()
    limit = tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=ann.tenant_id, monthly_token_quota=LIMIT)
    await world.tenants.UpdateTenantConfig(limit, metadata=platform.metadata)
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hi")
    request = chat_pb2.ChatRequest(model="local-chat", messages=[message], max_tokens=1)

    calls = [world.models.Chat(request, metadata=ann.metadata) for _ in range(20)]
    codes = await asyncio.gather(*(call.code() for call in calls))
    (use,) = (await world.models.GetModelLimits(pb.GetModelLimitsRequest(), metadata=ann.metadata)).usage

    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert 0 < int(use.used) <= LIMIT
