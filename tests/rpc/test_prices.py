"""What models cost from a moment on, the platform's and tenants' own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2

from atrium.model.v1 import model_pb2
from atrium.model.v1 import tenant_model_pb2 as own_pb
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import chat_with

Code = grpc.StatusCode
NAMES = ("stub-fast-1", "stub-fast-2", "stub-fast-3")
DEAR = model_pb2.ModelPrice(input_cost_per_1k="1000", output_cost_per_1k="0")
FAR = {"seconds": 4_102_444_800}

SetPrice = Callable[..., Awaitable[model_pb2.Model]]
"""Sets the price of the model of that name to DEAR, or what the fields say."""


@pytest.fixture
async def ann(router: World) -> Person:
    return await router.tenant()


@pytest.fixture(params=["platform's", "tenant's own"])
async def set_price(request: pytest.FixtureRequest, router: World, stub: OpenAIStub, ann: Person) -> SetPrice:
    """Of models at 1 USD per 1,000 tokens, whose ever they are."""
    if request.param == "platform's":
        admin = await router.platform()
        found = (await router.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
        ids = {one.name: one.id for one in found}
        call: Any = router.models.SetModelPrice
        kind: Any = model_pb2.SetModelPriceRequest
    else:
        admin, call, kind = ann, router.models.SetTenantModelPrice, own_pb.SetTenantModelPriceRequest
        ids = {name: await _own(router, ann, stub, name) for name in NAMES}

    async def price_of(name: str, **fields: Any) -> model_pb2.Model:
        asked = kind(**{"model_id": ids[name], "price": DEAR, **fields})
        model: model_pb2.Model = (await call(asked, metadata=admin.metadata)).model
        return model

    return price_of


async def _own(world: World, person: Person, stub: OpenAIStub, name: str) -> str:
    request = own_pb.CreateTenantModelRequest(
        name=name,
        provider=model_pb2.Model.PROVIDER_CUSTOM,
        type=model_pb2.Model.TYPE_CHAT,
        base_url=stub.base_url,
        supports_streaming=True,
        price=model_pb2.ModelPrice(input_cost_per_1k="1", output_cost_per_1k="1"),
    )
    return str((await world.models.CreateTenantModel(request, metadata=person.metadata)).model.id)


async def _cost(world: World, person: Person, name: str) -> str:
    return str((await chat_with(world, person, name)).usage.cost_usd)


async def test_a_price_is_set_for_now_or_later(router: World, ann: Person, set_price: SetPrice) -> None:
    later = await set_price("stub-fast-1", effective_time=FAR)
    before = await _cost(router, ann, "stub-fast-1")
    twin = await refused(set_price("stub-fast-1", effective_time=FAR))
    past = await refused(set_price("stub-fast-1", effective_time={"seconds": 1}))
    now = await set_price("stub-fast-1")
    after = await _cost(router, ann, "stub-fast-1")
    beside = await _cost(router, ann, "stub-fast-2")

    assert (later.price.input_cost_per_1k, now.price.input_cost_per_1k) == ("1", "1000")
    assert later.etag == now.etag
    assert (before, after, beside) == ("0.005", "4", "0.006")
    assert (twin.code, twin.reason) == (Code.ALREADY_EXISTS, "PRICE_EXISTS")
    assert (past.reason, past.fields) == ("PRICE_IN_THE_PAST", ["effective_time"])


async def test_a_price_that_was_set_for_later_comes_into_force_by_itself(
    router: World, ann: Person, set_price: SetPrice
) -> None:
    # On a busy machine the moment may have come before anybody asks: then another model has a later one.
    for name, before, seconds in zip(NAMES, ("0.005", "0.006", "0.007"), (2, 6, 18), strict=True):  # noqa: B007
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        soon = timestamp_pb2.Timestamp()
        soon.FromDatetime(moment)
        await set_price(name, effective_time=soon)
        costs = {await _cost(router, ann, name)}
        if datetime.now(UTC) < moment:
            break
    assert costs == {before}
    async with asyncio.timeout(seconds + 20):
        while "4" not in costs:
            costs.add(await _cost(router, ann, name))

    assert costs == {before, "4"}
    assert datetime.now(UTC) >= moment


async def test_an_own_model_costs_what_was_set_last_in_whichever_way(
    router: World, stub: OpenAIStub, ann: Person, admin: Any
) -> None:
    model_id = await _own(router, ann, stub, "stub-fast-1")
    costs = []
    for usd in ("2", None, "3", "4", None):
        if usd is None:
            set_one = own_pb.SetTenantModelPriceRequest(model_id=model_id, price=DEAR)
            await router.models.SetTenantModelPrice(set_one, metadata=ann.metadata)
        else:
            price = model_pb2.ModelPrice(input_cost_per_1k=usd, output_cost_per_1k=usd)
            change = own_pb.UpdateTenantModelRequest(id=model_id, price=price)
            await router.models.UpdateTenantModel(change, metadata=ann.metadata)
        costs.append(await _cost(router, ann, "stub-fast-1"))
    listed = (await router.models.ListTenantModels(own_pb.ListTenantModelsRequest(), metadata=ann.metadata)).models
    await router.models.DeleteTenantModel(own_pb.DeleteTenantModelRequest(id=model_id), metadata=ann.metadata)

    assert costs == ["0.01", "4", "0.015", "0.02", "4"]
    assert [one.price for one in listed] == [DEAR]
    assert await admin.fetchval("SELECT count(*) FROM tenant_model_prices") == 0


async def test_nobody_sets_the_price_of_anothers_model(router: World, stub: OpenAIStub, ann: Person) -> None:
    bob = await router.tenant()
    model_id = await _own(router, ann, stub, "stub-fast-1")
    request = own_pb.SetTenantModelPriceRequest(model_id=model_id, price=DEAR)

    foreign = await refused(router.models.SetTenantModelPrice(request, metadata=bob.metadata))
    platforms = model_pb2.SetModelPriceRequest(model_id=model_id, price=DEAR)
    elsewhere = await refused(router.models.SetModelPrice(platforms, metadata=(await router.platform()).metadata))

    assert {(one.code, one.reason) for one in (foreign, elsewhere)} == {(Code.NOT_FOUND, "MODEL_NOT_FOUND")}
    assert await _cost(router, ann, "stub-fast-1") == "0.005"


async def test_a_price_that_the_version_before_sets_meanwhile_is_in_force_here_too(
    router: World, stub: OpenAIStub, ann: Person, admin: Any
) -> None:
    """It knows the model's own columns alone."""
    model_id = await _own(router, ann, stub, "stub-fast-1")
    set_one = own_pb.SetTenantModelPriceRequest(model_id=model_id, price=DEAR)
    await router.models.SetTenantModelPrice(set_one, metadata=ann.metadata)

    await admin.execute("UPDATE tenant_models SET input_cost_per_1k = 7 WHERE id = $1", model_id)
    found = await router.models.GetTenantModel(own_pb.GetTenantModelRequest(id=model_id), metadata=ann.metadata)

    assert found.model.price.input_cost_per_1k == "7"
