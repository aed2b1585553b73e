"""What models cost from a moment on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf import timestamp_pb2

from atrium.model.v1 import model_pb2
from tests.factories.world import World, refused
from tests.gateways import chat_with

Code = grpc.StatusCode


async def test_a_price_is_set_for_now_or_later(router: World) -> None:
    ann, platform = await router.tenant(), await router.platform()
    found = (await router.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    model_id = next(one.id for one in found if one.name == "stub-fast-1")
    price = model_pb2.ModelPrice(input_cost_per_1k="1000", output_cost_per_1k="0")

    async def set_price(**fields: Any) -> model_pb2.Model:
        request = model_pb2.SetModelPriceRequest(model_id=model_id, price=price, **fields)
        return (await router.models.SetModelPrice(request, metadata=platform.metadata)).model

    later = await set_price(effective_time={"seconds": 4_102_444_800})
    before = await chat_with(router, ann, "stub-fast-1")
    twin = await refused(set_price(effective_time={"seconds": 4_102_444_800}))
    past = await refused(set_price(effective_time={"seconds": 1}))
    await set_price()
    after = await chat_with(router, ann, "stub-fast-1")

    assert later.price.input_cost_per_1k == "1"
    assert (before.usage.cost_usd, after.usage.cost_usd) == ("0.005", "4")
    assert (twin.code, twin.reason) == (Code.ALREADY_EXISTS, "PRICE_EXISTS")
    assert (past.reason, past.fields) == ("PRICE_IN_THE_PAST", ["effective_time"])


async def test_a_price_that_was_set_for_later_comes_into_force_by_itself(router: World) -> None:
    ann, platform = await router.tenant(), await router.platform()
    found = (await router.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    ids = {one.name: one.id for one in found}
    price = model_pb2.ModelPrice(input_cost_per_1k="1000", output_cost_per_1k="0")

    async def cost() -> str:
        used: str = (await chat_with(router, ann, name)).usage.cost_usd
        return used

    # On a busy machine the moment may have come before anybody asks: then another model has a later one.
    for name, before, seconds in (  # noqa: B007
        ("stub-fast-1", "0.005", 2),
        ("stub-fast-2", "0.006", 6),
        ("stub-fast-3", "0.007", 18),
    ):
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        soon = timestamp_pb2.Timestamp()
        soon.FromDatetime(moment)
        request = model_pb2.SetModelPriceRequest(model_id=ids[name], price=price, effective_time=soon)
        set_in_time = await router.models.SetModelPrice(request, metadata=platform.metadata).code() is Code.OK
        costs = {await cost()}
        if datetime.now(UTC) < moment:
            break
    assert set_in_time
    assert costs == {before}
    async with asyncio.timeout(seconds + 20):
        while "4" not in costs:
            costs.add(await cost())

    assert costs == {before, "4"}
    assert datetime.now(UTC) >= moment
