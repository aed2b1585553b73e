"""Tenants' own models: called with the tenant's own key, in its own price, and nowhere in the server's network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from atrium.model.v1 import chat_pb2, credential_pb2, model_pb2, route_pb2
from atrium.model.v1 import tenant_model_pb2 as pb
from atrium.tenant.v1 import tenant_pb2
from tests.databases import Scratch
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

Code = grpc.StatusCode
CUSTOM, OPENAI = model_pb2.Model.PROVIDER_CUSTOM, model_pb2.Model.PROVIDER_OPENAI
CHAT = model_pb2.Model.TYPE_CHAT
PRICE = model_pb2.ModelPrice(input_cost_per_1k="1000", output_cost_per_1k="0")
SERVERS, OWN = "sk-the-servers-own", "sk-the-tenants-own-1234"


@asynccontextmanager
async def _gateway(scratch: Scratch, stub: OpenAIStub, **settings: Any) -> AsyncIterator[World]:
    keys = {stub.base_url: SecretStr(SERVERS)}
    async with (
        serving(scratch.settings(provider_keys=keys, **settings)) as (app, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield World(channel, await app.founding.first_platform_administrator() or ("", ""))


@pytest.fixture
async def gateway(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """A server that may call the stub for tenants, and has a key of its own to it."""
    async with _gateway(scratch, stub, private_model_addresses=True) as world:
        yield world


async def _create(world: World, person: Person, base_url: str | None, **fields: Any) -> model_pb2.Model:
    given = {"name": "stub-fast", "provider": CUSTOM, "type": CHAT, "price": PRICE, "base_url": base_url}
    given |= {"supports_streaming": True, **fields}
    request = pb.CreateTenantModelRequest(**given)
    return (await world.models.CreateTenantModel(request, metadata=person.metadata)).model


async def _chat(world: World, person: Person, name: str = "stub-fast") -> chat_pb2.ChatResponse:
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello there")
    return await world.models.Chat(chat_pb2.ChatRequest(model=name, messages=[message]), metadata=person.metadata)


async def test_an_own_model_is_read_as_it_was_made(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    own = await _create(gateway, ann, stub.base_url, description="Ours")

    found = await gateway.models.GetTenantModel(pb.GetTenantModelRequest(id=own.id), metadata=ann.metadata)

    assert found.model == own
    assert (found.model.name, found.model.description) == ("stub-fast", "Ours")


@pytest.mark.parametrize(
    "base_url",
    [
        *("http://a..b/v1", "http://.b/v1", f"http://{'a' * 64}.example/v1", "http://ada:secret@models.example/v1"),
        *("http:///v1", "http://models.example:99999/v1", "http://models.example/v1?key=x"),
    ],
)
async def test_an_address_where_nothing_can_be_is_refused_at_once(
    gateway: World, stub: OpenAIStub, base_url: str
) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    shared = model_pb2.CreateModelRequest(name="lost", provider=CUSTOM, type=CHAT, base_url=base_url, price=PRICE)
    own = await _create(gateway, ann, stub.base_url)
    change = pb.UpdateTenantModelRequest(id=own.id, base_url=base_url)
    bring = credential_pb2.CreateCredentialRequest(provider=CUSTOM, name="lost", base_url=base_url, secret=OWN)

    refusals = [
        await refused(call)
        for call in (
            _create(gateway, ann, base_url, name="lost"),
            gateway.models.UpdateTenantModel(change, metadata=ann.metadata),
            gateway.models.CreateCredential(bring, metadata=ann.metadata),
            gateway.models.CreateModel(shared, metadata=platform.metadata),
        )
    ]

    assert [(one.code, one.reason, one.fields) for one in refusals] == [
        (Code.INVALID_ARGUMENT, "INVALID_REQUEST", ["base_url"])
    ] * 4


@pytest.mark.parametrize(
    ("provider", "reason"), [("custom", "MODEL_NOT_CONFIGURED"), ("anthropic", "MODEL_UNAVAILABLE")]
)
@pytest.mark.parametrize("base_url", ["http://a..b/v1", "http://ada:secret@127.0.0.1:1/v1"])
async def test_a_model_that_is_where_nothing_can_be_has_its_place_taken_by_others(
    gateway: World, stub: OpenAIStub, admin: Any, base_url: str, provider: str, reason: str
) -> None:
    """From before such addresses were refused."""
    ann = await gateway.tenant()
    await _create(gateway, ann, stub.base_url)
    await _create(gateway, ann, stub.base_url, name="lost")
    targets = [route_pb2.RouteTarget(model=name) for name in ("lost", "stub-fast")]
    route = route_pb2.CreateRouteRequest(alias="either", targets=targets)
    await gateway.models.CreateRoute(route, metadata=ann.metadata)
    bring = credential_pb2.CreateCredentialRequest(provider=CUSTOM, name="lost", base_url=stub.base_url, secret=OWN)
    await gateway.models.CreateCredential(bring, metadata=ann.metadata)
    await admin.execute("UPDATE tenant_models SET base_url = $1, provider = $2 WHERE name = 'lost'", base_url, provider)
    await admin.execute("UPDATE provider_credentials SET base_url = $1, provider = $2", base_url, provider)

    refusal = await refused(_chat(gateway, ann, "lost"))
    answer = await _chat(gateway, ann, "either")

    assert refusal.reason == reason
    assert answer.model == "stub-fast"


async def test_an_own_model_hides_the_platforms_and_costs_what_the_tenant_says(
    gateway: World, stub: OpenAIStub
) -> None:
    ann, other, platform = await gateway.tenant(), await gateway.tenant(), await gateway.platform()
    shared = model_pb2.CreateModelRequest(
        name="stub-fast",
        provider=CUSTOM,
        type=CHAT,
        base_url=stub.base_url,
        price=model_pb2.ModelPrice(input_cost_per_1k="1", output_cost_per_1k="0"),
        supports_streaming=True,
    )
    await gateway.models.CreateModel(shared, metadata=platform.metadata)

    own = await _create(gateway, ann, stub.base_url)
    twin = await refused(_create(gateway, ann, stub.base_url))
    mine, theirs = await _chat(gateway, ann), await _chat(gateway, other)
    await gateway.models.DeleteTenantModel(pb.DeleteTenantModelRequest(id=own.id), metadata=ann.metadata)
    after = await _chat(gateway, ann)

    assert (twin.code, twin.reason) == (Code.ALREADY_EXISTS, "MODEL_NAME_TAKEN")
    assert [answer.usage.cost_usd for answer in (mine, theirs, after)] == ["2", "0.002", "0.002"]
    keys = [exchange.headers["authorization"] for exchange in stub.exchanges]
    assert keys == ["Bearer none", f"Bearer {SERVERS}", f"Bearer {SERVERS}"], "the server's key is not for own models"


async def test_an_own_model_is_called_with_the_tenants_key_for_its_address(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _create(gateway, ann, stub.base_url)
    await _create(gateway, ann, None, name="gpt-4", provider=OPENAI)
    credential = credential_pb2.CreateCredentialRequest(provider=CUSTOM, name="own", base_url=stub.base_url, secret=OWN)
    await gateway.models.CreateCredential(credential, metadata=ann.metadata)

    await _chat(gateway, ann)
    unset = await refused(_chat(gateway, ann, "gpt-4"))

    assert stub.exchanges[0].headers["authorization"] == f"Bearer {OWN}"
    assert (unset.code, unset.reason) == (Code.FAILED_PRECONDITION, "MODEL_NOT_CONFIGURED")


async def test_an_own_model_is_changed_and_listed(gateway: World, stub: OpenAIStub) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    made = await _create(gateway, ann, stub.base_url, description="ours")

    change = pb.UpdateTenantModelRequest(
        id=made.id,
        etag=made.etag,
        state=model_pb2.Model.STATE_DEPRECATED,
        price=model_pb2.ModelPrice(input_cost_per_1k="1", output_cost_per_1k="0"),
    )
    changed = (await gateway.models.UpdateTenantModel(change, metadata=ann.metadata)).model
    stale = await refused(gateway.models.UpdateTenantModel(change, metadata=ann.metadata))
    without = pb.UpdateTenantModelRequest(id=made.id, update_mask={"paths": ["base_url"]})
    nowhere = await refused(gateway.models.UpdateTenantModel(without, metadata=ann.metadata))
    listed = (await gateway.models.ListTenantModels(pb.ListTenantModelsRequest(), metadata=ann.metadata)).models
    foreign = (await gateway.models.ListTenantModels(pb.ListTenantModelsRequest(), metadata=other.metadata)).models
    answer = await _chat(gateway, ann)

    assert (made.base_url, made.description, changed.price.input_cost_per_1k) == (stub.base_url, "ours", "1")
    assert (stale.code, stale.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    assert nowhere.fields == ["base_url"]
    assert (list(listed), list(foreign)) == ([changed], [])
    assert (answer.usage.cost_usd, answer.deprecation.model) == ("0.002", "stub-fast")


async def test_own_models_are_what_the_tier_gives(gateway: World, stub: OpenAIStub) -> None:
    free = await gateway.tenant(tenant_pb2.Tenant.TIER_FREE)

    refusal = await refused(_create(gateway, free, stub.base_url))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "FEATURE_MISSING")


INSIDE = (
    *("http://127.0.0.1:9/v1", "http://localhost/v1", "http://a.localhost:80/v1", "http://169.254.169.254/latest"),
    *("http://10.1.2.3/v1", "http://192.168.0.1/v1", "http://[::1]/v1", "http://[::ffff:10.0.0.1]/v1"),
    *("http://[::127.0.0.1]/v1", "http://[::ffff:0:127.0.0.1]/v1", "http://192.0.0.9/v1"),
    *("http://0.0.0.0/v1", "http://[fd00::1]/v1", "http://224.0.0.1/v1", "http://[64:ff9b::7f00:1]/v1"),
)


async def test_a_tenant_cannot_have_the_server_call_into_its_own_network(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    async with _gateway(scratch, stub) as world:
        ann = await world.tenant()
        for address in INSIDE:
            refusal = await refused(_create(world, ann, address))
            assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "MODEL_ADDRESS_REFUSED"), address

        made = await _create(world, ann, "http://models.example/v1")
        # A name may lead anywhere, so what it leads to is looked at when it is called.
        named = stub.base_url.replace("127.0.0.1", "localhost")
        await admin.execute("UPDATE tenant_models SET base_url = $2 WHERE id = $1", made.id, named)
        change = pb.UpdateTenantModelRequest(id=made.id, description="read anew")
        await world.models.UpdateTenantModel(change, metadata=ann.metadata)
        inside = await refused(_chat(world, ann))

    assert (inside.code, inside.reason) == (Code.FAILED_PRECONDITION, "MODEL_NOT_CONFIGURED")
    assert stub.connections_made == 0


async def test_a_deprecated_own_model_names_its_replacement(gateway: World, stub: OpenAIStub) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    old, new = [await _create(gateway, ann, stub.base_url, name=name) for name in ("stub-fast-1", "stub-fast-2")]
    await _create(gateway, other, stub.base_url, name="stub-fast-3")

    async def named(replacement: str | None) -> model_pb2.Model:
        request = pb.UpdateTenantModelRequest(
            id=old.id, replacement=replacement, state=model_pb2.Model.STATE_DEPRECATED
        )
        request.update_mask.paths.extend(["replacement", "state"])
        return (await gateway.models.UpdateTenantModel(request, metadata=ann.metadata)).model

    changed = await named("stub-fast-2")
    told = await _chat(gateway, ann, "stub-fast-1")
    listed = (await gateway.models.ListTenantModels(pb.ListTenantModelsRequest(), metadata=ann.metadata)).models
    refusals = [await refused(named(name)) for name in ("stub-fast-1", "stub-fast-3", "nobody")]
    shared = await named("local-chat")
    none = await named(None)
    await named("stub-fast-2")
    await gateway.models.DeleteTenantModel(pb.DeleteTenantModelRequest(id=new.id), metadata=ann.metadata)
    gone = await gateway.models.GetTenantModel(pb.GetTenantModelRequest(id=old.id), metadata=ann.metadata)

    assert told.deprecation == model_pb2.Deprecation(model="stub-fast-1", replacement="stub-fast-2")
    assert [one.replacement for one in (changed, listed[1], shared, none, gone.model)] == [
        *("stub-fast-2", "stub-fast-2", "local-chat", "", "")
    ]
    assert changed.etag != old.etag
    assert {(one.reason, *one.fields) for one in refusals} == {("MODEL_REPLACEMENT_UNKNOWN", "replacement")}
