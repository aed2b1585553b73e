"""Providers that say nothing: what is asked in their place, and what their callers are told."""

from __future__ import annotations

import asyncio
from functools import partial

import grpc
import pytest

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import model_pb2
from atrium.model.v1 import route_pb2 as pb
from server.llm.http import Patience
from server.llm.openai import connect
from server.model.breakers import UNHEARD_SECONDS
from tests.factories.models import make_model
from tests.factories.world import World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER, chat_with, embed_with, logs_of
from tests.rpc.routing import health_of, route_to

Code = grpc.StatusCode
UNAVAILABLE = error_reason_pb2.ERROR_REASON_MODEL_UNAVAILABLE


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of a test that asks for this before it gives a silent provider up after a second: a busy machine keeps
    one that answers silent for shorter ones.
    """
    monkeypatch.setattr("server.llm.registry.connect", partial(connect, patience=Patience(1.0, 1.0, 1.0, 1.0)))


@pytest.mark.parametrize("streams", [True, False])
async def test_a_target_that_says_nothing_is_replaced_and_counts_as_one_that_failed(
    impatient: None, router: World, stub: OpenAIStub, *, streams: bool
) -> None:
    ann = await router.tenant()
    silent = await make_model(router, stub.base_url, "stub-silent-7", supports_streaming=streams)
    route = await route_to(router, ann, silent, "stub-fast-2", cooldown_after=1)

    answer = await chat_with(router, ann, "fast")

    failed, _ = await logs_of(router, ann)
    assert answer.model == "stub-fast-2"
    assert (failed.status, failed.error_reason, failed.attempts) == (failed.STATUS_ERROR, UNAVAILABLE, 1)
    assert (await health_of(router, ann, route))[silent] == pb.TargetHealth.STATE_COOLING


async def test_a_provider_that_says_nothing_to_the_first_texts_is_not_waited_for_with_the_others(
    impatient: None, router: World, stub: OpenAIStub
) -> None:
    ann = await router.tenant()
    embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "dimensions": 8, "supports_streaming": False}
    silent = await make_model(router, stub.base_url, "stub-silent-8", **embeds)
    texts = [f"{number} ".ljust(60_000, "x") for number in range(24)]  # four to a batch, of which four go out at once

    refusal = await refused(embed_with(router, ann, silent, texts))

    (log,) = await logs_of(router, ann)
    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_UNAVAILABLE")
    assert (log.status, log.error_reason, log.attempts) == (log.STATUS_ERROR, UNAVAILABLE, 4)
    assert len(stub.exchanges) == 4


async def test_a_target_that_says_nothing_is_left_alone_though_no_caller_waits_until_it_is_given_up(
    moment: list[float], router: World, stub: OpenAIStub
) -> None:
    ann = await router.tenant()
    route = await route_to(router, ann, "stub-silent", "stub-fast-2", cooldown_after=2)

    for number in range(1, 3):
        call = asyncio.create_task(chat_with(router, ann, "fast"))
        await stub.arrival()
        moment[0] += UNHEARD_SECONDS
        call.cancel()
        async with asyncio.timeout(NOT_FOR_EVER):
            while len(await logs_of(router, ann)) < number:
                pass
    answer = await chat_with(router, ann, "fast")

    assert answer.model == "stub-fast-2"
    assert (await health_of(router, ann, route))["stub-silent"] == pb.TargetHealth.STATE_COOLING
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-silent"] * 2 + ["stub-fast-2"]
