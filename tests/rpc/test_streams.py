"""Streams that run on while their caller loses the right to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from math import inf
from time import monotonic
from typing import Any
from uuid import uuid4

import grpc
import pytest
from pydantic import SecretStr

from atrium.identity.v1 import api_key_pb2, role_pb2, session_pb2, user_pb2
from atrium.model.v1 import chat_pb2, stream_pb2
from atrium.tenant.v1 import tenant_pb2
from server.model.service.calls import CallService
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import World, refused
from tests.fakes.openai_behaviours import PAUSE_SECONDS
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER, kinds_of, stream_from
from tests.promptly import ENDED_WITHIN, within
from tests.servers import serving

MODEL = "stub-slow-2000"
"""Forty seconds of tokens."""


@pytest.fixture
async def talkative(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """A server with a model that goes on and on."""
    async with serving(scratch.settings(provider_keys={stub.base_url: SecretStr("")})) as (app, port):
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            world = World(channel, administrator)
            await make_model(world, stub.base_url, MODEL)
            yield world


async def _talk(world: World, metadata: Any) -> Any:
    """A stream that has begun to answer."""
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Go on")
    stream = world.models.StreamChat(stream_pb2.StreamChatRequest(model=MODEL, messages=[message]), metadata=metadata)
    async for event in stream:
        if event.HasField("delta"):
            return stream
    raise AssertionError("the stream ended by itself")


HOW = [
    *("lock", "revoke", "suspend", "demote", "key", "delete the tenant", "delete the user"),
    *("the key expires", "the role expires", "the platform inside"),
]


@pytest.mark.parametrize("how", HOW)
async def test_a_running_stream_ends_with_its_callers_right_to_it(talkative: World, how: str, admin: Any) -> None:
    lives = iter((1, 4, 16))  # where it expires: on a busy machine a short one may be over before the stream begins

    await within(ENDED_WITHIN, lambda: _ends(talkative, how, admin, next(lives)))


async def _ends(world: World, how: str, admin: Any, life: int) -> float:
    """How long after its caller lost the right to it a stream ended. `life`: seconds after which what expires does."""
    administrator, platform = await world.tenant(), await world.platform()
    user, other = await world.nobody(administrator), await world.user(administrator, "models:execute")
    role = await world.role(administrator, "models:execute")
    held = {"user_id": user.id, "role_id": role.id}
    await world.identity.AssignRole(role_pb2.AssignRoleRequest(**held), metadata=administrator.metadata)
    request = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["models:execute"])
    key = await world.identity.CreateApiKey(request, metadata=user.metadata)
    session = (await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata)).session_id
    # What expires is given its end behind the server's back, and read with it when it is first used.
    soon = f"now() + interval '{life} seconds' WHERE"
    metadata: Any = user.metadata
    lost_at = monotonic() + life
    match how:
        case "key":
            metadata = (("x-api-key", key.secret),)
        case "the key expires":
            await admin.execute(f"UPDATE api_keys SET expires_at = {soon} id = $1", key.api_key.id)
            metadata = (("x-api-key", key.secret),)
        case "the role expires":
            await admin.execute(f"UPDATE user_roles SET expires_at = {soon} role_id = $1", role.id)
            metadata = (await world.sign_in(user.tenant, user.username)).metadata
        case "the platform inside":
            metadata = (*platform.metadata, ("x-tenant-id", administrator.tenant_id))
    try:
        stream = await _talk(world, metadata)
    except grpc.aio.AioRpcError:
        assert "expires" in how
        assert monotonic() > lost_at
        return inf
    whole = how in ("suspend", "delete the tenant", "the platform inside")
    bystander = await _talk(world, platform.metadata if whole else other.metadata)

    by = administrator.metadata
    match how:
        case "lock":
            await world.identity.LockUser(user_pb2.LockUserRequest(id=user.id), metadata=by)
        case "revoke":
            await world.identity.RevokeSession(session_pb2.RevokeSessionRequest(id=session), metadata=by)
        case "delete the user":
            await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user.id), metadata=by)
        case "delete the tenant":
            delete = tenant_pb2.DeleteTenantRequest(id=administrator.tenant_id)
            await world.tenants.DeleteTenant(delete, metadata=platform.metadata)
        case "suspend" | "the platform inside":
            suspend = tenant_pb2.SuspendTenantRequest(id=administrator.tenant_id)
            await world.tenants.SuspendTenant(suspend, metadata=platform.metadata)
        case "demote":
            await world.identity.UnassignRole(role_pb2.UnassignRoleRequest(**held), metadata=by)
        case "key":
            await world.identity.RevokeApiKey(api_key_pb2.RevokeApiKeyRequest(id=key.api_key.id), metadata=by)

    if "expires" not in how:
        lost_at = monotonic()
    async with asyncio.timeout(NOT_FOR_EVER):
        refusal = await refused(stream)
    took = monotonic() - lost_at
    codes = {
        "demote": grpc.StatusCode.PERMISSION_DENIED,
        "the role expires": grpc.StatusCode.PERMISSION_DENIED,
        "the platform inside": grpc.StatusCode.FAILED_PRECONDITION,
    }
    assert refusal.code is codes.get(how, grpc.StatusCode.UNAUTHENTICATED)
    assert (await anext(aiter(bystander))).HasField("delta")
    bystander.cancel()
    return took


@pytest.mark.parametrize("how", ["lock", "suspend", "demote", "key"])
async def test_a_stream_that_goes_on_without_its_reader_ends_with_their_right_to_it_too(
    talkative: World, stub: OpenAIStub, how: str
) -> None:
    await within(ENDED_WITHIN, lambda: _ends_without_its_reader(talkative, stub, how))


async def _ends_without_its_reader(world: World, stub: OpenAIStub, how: str) -> float:
    """The same of a stream that nobody reads."""
    administrator, platform = await world.tenant(), await world.platform()
    user = await world.nobody(administrator)
    role = await world.role(administrator, "models:execute")
    held = {"user_id": user.id, "role_id": role.id}
    await world.identity.AssignRole(role_pb2.AssignRoleRequest(**held), metadata=administrator.metadata)
    request = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["models:execute"])
    key = await world.identity.CreateApiKey(request, metadata=user.metadata)
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Go on")
    asked = stream_pb2.StreamChatRequest(model=MODEL, messages=[message], resumable=True)
    stream = world.models.StreamChat(asked, metadata=(("x-api-key", key.secret),) if how == "key" else user.metadata)
    assert (await stream.read()).HasField("started")
    stream.cancel()
    exchange = await stub.arrival()
    without = exchange.tokens
    async with asyncio.timeout(NOT_FOR_EVER):
        while exchange.tokens < without + 10:  # noqa: ASYNC110 - the provider's pace is what it waits for
            await asyncio.sleep(PAUSE_SECONDS)

    match how:
        case "lock":
            await world.identity.LockUser(user_pb2.LockUserRequest(id=user.id), metadata=administrator.metadata)
        case "suspend":
            suspend = tenant_pb2.SuspendTenantRequest(id=administrator.tenant_id)
            await world.tenants.SuspendTenant(suspend, metadata=platform.metadata)
        case "demote":
            await world.identity.UnassignRole(role_pb2.UnassignRoleRequest(**held), metadata=administrator.metadata)
        case "key":
            revoke = api_key_pb2.RevokeApiKeyRequest(id=key.api_key.id)
            await world.identity.RevokeApiKey(revoke, metadata=administrator.metadata)

    lost_at = monotonic()
    await asyncio.wait_for(exchange.left.wait(), NOT_FOR_EVER)
    return monotonic() - lost_at


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers whose streams say that they are alive after a short silence."""
    monkeypatch.setattr("server.app.CallService", partial(CallService, heartbeat=0.02))


async def test_a_stream_whose_model_says_nothing_says_that_it_is_alive(restless: None, gateway: World) -> None:
    ann = await gateway.tenant()

    async def beginning(count: int, name: str, **fields: Any) -> list[stream_pb2.StreamChatResponse]:
        stream = stream_from(gateway, ann, name, **fields)
        events = [await stream.read() for _ in range(count)]
        stream.cancel()
        return events

    before = await beginning(3, "stub-silent")
    after: list[stream_pb2.StreamChatResponse] = []
    stream = stream_from(gateway, ann, "stub-stall-2")
    while kinds_of(after).count("delta") < 2 or kinds_of(after)[-2:] != ["heartbeat"] * 2:
        after.append(await stream.read())
    stream.cancel()
    asked = {"resumable": True, "generation_id": str(uuid4())}
    lost = await beginning(2, "stub-silent", **asked)
    rest = await beginning(3, "stub-silent", **asked, after_seq=2)

    assert kinds_of([*before, *lost, *rest]) == ["heartbeat"] * 8
    assert [event.seq for event in before] == [1, 2, 3]
    assert [event.seq for event in after] == list(range(1, len(after) + 1))
    assert [kind for kind in kinds_of(after) if kind != "heartbeat"] == ["started", "delta", "delta"]
    assert [event.seq for event in [*lost, *rest]] == [1, 2, 3, 4, 5]
