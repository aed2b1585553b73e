"""What a key is used for: the models that it is limited to, by whatever name and in whatever way, and when it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from grpc import StatusCode as Code

from atrium.identity.v1 import api_key_pb2 as pb
from atrium.identity.v1 import session_pb2
from atrium.model.v1 import chat_pb2, route_pb2, stream_pb2
from tests.factories.world import Person, World, refused
from tests.rpc.requests import HELLO


async def _limited(world: World, by: Person, *models: str) -> tuple[tuple[str, str], ...]:
    request = pb.CreateApiKeyRequest(name="key", scopes=["models:execute"], allowed_models=models)
    made = await world.identity.CreateApiKey(request, metadata=by.metadata)
    return (("x-api-key", made.secret),)


async def _route(world: World, by: Person) -> None:
    """`fast`: the local model, and behind it another."""
    request = route_pb2.CreateRouteRequest(alias="fast", targets=[{"model": "local-chat"}, {"model": "gpt-4"}])
    await world.models.CreateRoute(request, metadata=by.metadata)


@pytest.mark.parametrize("name", ["gpt-4", "fast"])
async def test_a_key_is_for_its_models_alone_in_streams_and_by_routes(world: World, name: str) -> None:
    administrator = await world.tenant()
    await _route(world, administrator)
    key = await _limited(world, administrator, "local-embedding")

    refusals = [
        await refused(world.models.Chat(chat_pb2.ChatRequest(model=name, messages=[HELLO]), metadata=key)),
        await refused(
            world.models.StreamChat(stream_pb2.StreamChatRequest(model=name, messages=[HELLO]), metadata=key)
        ),
    ]

    assert [(each.code, each.reason) for each in refusals] == [(Code.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")] * 2


async def test_that_a_key_was_used_is_no_change_of_it(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    made = await world.identity.CreateApiKey(
        pb.CreateApiKeyRequest(name="key", scopes=["users:read"]), metadata=administrator.metadata
    )

    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=(("x-api-key", made.secret),))

    async with asyncio.timeout(10):  # it is noted beside the call
        while True:
            listed = await world.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=administrator.metadata)
            if listed.api_keys[0].HasField("last_use_time"):
                break
    rotate = pb.RotateApiKeyRequest(id=made.api_key.id)
    rotated = await world.identity.RotateApiKey(rotate, metadata=administrator.metadata)
    assert listed.api_keys[0].update_time == made.api_key.update_time
    assert rotated.api_key.update_time.ToDatetime() > made.api_key.update_time.ToDatetime()
