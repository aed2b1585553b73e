"""What a tenant made while it paid for it, when it does not any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from pydantic import SecretStr

from atrium.model.v1 import chat_pb2, credential_pb2, model_pb2, route_pb2, tenant_model_pb2
from atrium.tenant.v1 import tenant_pb2
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

CUSTOM, CHAT = model_pb2.Model.PROVIDER_CUSTOM, model_pb2.Model.TYPE_CHAT
PRICE = model_pb2.ModelPrice(input_cost_per_1k="0", output_cost_per_1k="0")
SERVERS, OWN = "sk-the-servers-own", "sk-the-tenants-own-1234"


@pytest.fixture
async def gateway(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """A server that may call the stub for tenants, and has it as a model of the platform's, `shared`."""
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr(SERVERS)}, private_model_addresses=True)
    async with serving(settings) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        await make_model(world, stub.base_url, "shared", upstream_name="stub-fast")
        yield world


async def _pays(world: World, person: Person, days: float) -> None:
    """The tenant's subscription ends in so many days."""
    ends = datetime.now(UTC) + timedelta(days=days)
    request = tenant_pb2.UpdateTenantRequest(id=person.tenant_id, subscription_end_time=ends)
    await world.tenants.UpdateTenant(request, metadata=(await world.platform()).metadata)


def _chat(world: World, person: Person, name: str) -> Any:
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")
    return world.models.Chat(chat_pb2.ChatRequest(model=name, messages=[message]), metadata=person.metadata)


async def _bring(world: World, person: Person, stub: OpenAIStub) -> str:
    """A key of the tenant's own; its id."""
    request = credential_pb2.CreateCredentialRequest(provider=CUSTOM, name="k", base_url=stub.base_url, secret=OWN)
    return (await world.models.CreateCredential(request, metadata=person.metadata)).credential.id


async def _own_model(world: World, person: Person, stub: OpenAIStub) -> None:
    request = tenant_model_pb2.CreateTenantModelRequest(
        name="own",
        upstream_name="stub-fast",
        provider=CUSTOM,
        type=CHAT,
        price=PRICE,
        base_url=stub.base_url,
        supports_streaming=True,
    )
    await world.models.CreateTenantModel(request, metadata=person.metadata)


async def test_a_model_of_its_own_rests_until_it_is_paid_for_again(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _own_model(gateway, ann, stub)
    await _chat(gateway, ann, "own")

    await _pays(gateway, ann, -1)
    refusal = await refused(_chat(gateway, ann, "own"))
    await _chat(gateway, ann, "shared")
    await _pays(gateway, ann, 1)
    await _chat(gateway, ann, "own")

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FEATURE_MISSING")
    assert refusal.detail(error_details_pb2.PreconditionFailure).violations[0].subject == "custom_models"


async def test_a_key_of_its_own_rests_and_the_servers_does_not_stand_in_for_it(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    credential_id = await _bring(gateway, ann, stub)
    await _chat(gateway, ann, "shared")

    await _pays(gateway, ann, -1)
    refusal = await refused(_chat(gateway, ann, "shared"))
    delete = credential_pb2.DeleteCredentialRequest(id=credential_id)
    await gateway.models.DeleteCredential(delete, metadata=ann.metadata)
    await _chat(gateway, ann, "shared")

    keys = [exchange.headers["authorization"].removeprefix("Bearer ") for exchange in stub.exchanges]
    assert (refusal.reason, keys) == ("FEATURE_MISSING", [OWN, SERVERS])
    assert refusal.detail(error_details_pb2.PreconditionFailure).violations[0].subject == "own_credentials"


async def test_a_route_goes_past_what_rests(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _own_model(gateway, ann, stub)
    targets = [route_pb2.RouteTarget(model="own", priority=0), route_pb2.RouteTarget(model="shared", priority=1)]
    request = route_pb2.CreateRouteRequest(alias="fast", targets=targets)
    await gateway.models.CreateRoute(request, metadata=ann.metadata)

    before = await _chat(gateway, ann, "fast")
    await _pays(gateway, ann, -1)
    after = await _chat(gateway, ann, "fast")

    assert (before.model, after.model) == ("own", "shared")
