"""Clients that leave before their answer is whole, or do not read it: the provider stops, and it is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import grpc
import pytest

from atrium.identity.v1 import session_pb2
from atrium.model.v1 import call_log_pb2, embedding_pb2
from atrium.tenant.v1 import tenant_config_pb2
from tests.factories.world import World, refused
from tests.faults.upstream import NOT_FOR_EVER, Upstream, chat_of, stream_of

pytestmark = [pytest.mark.xdist_group("leavers"), pytest.mark.asyncio(loop_scope="module")]

GONE_WITHIN = 0.1
"""How soon the provider sees that nobody listens: the median of five, since a busy machine delays any one."""

CANCELLED = call_log_pb2.CallLog.STATUS_CANCELLED

Code = grpc.StatusCode


async def test_a_client_that_cancels_a_stream_stops_the_provider_and_is_billed_for_what_it_had(
    upstream: Upstream,
) -> None:
    model, delays = await upstream.model("stub-slow-1000"), []
    for _ in range(5):
        trace_id, metadata = upstream.traced()
        stream = upstream.world.models.StreamChat(stream_of(model), metadata=metadata)
        text = ""
        async for event in stream:
            text += event.delta.text
            if text.startswith("t0 t1 "):
                break
        delays.append(await _left_after(upstream, stream.cancel))
        log = await upstream.log_at_last(trace_id)
        assert log.status == CANCELLED
        assert 2 <= log.usage.completion_tokens < 100
        assert (log.usage.prompt_tokens, log.HasField("time_to_first_token")) == (6, True)
        assert float(log.usage.cost_usd) == 6 * 0.5 + log.usage.completion_tokens * 2

    assert median(delays) < GONE_WITHIN


async def _left_after(upstream: Upstream, leave: Any) -> float:
    """Seconds from the client's leaving until the provider sees its peer gone."""
    async with asyncio.timeout(NOT_FOR_EVER):
        exchange = await upstream.stub.arrival()
        left_at = perf_counter()
        leave()
        await exchange.left.wait()
    return exchange.left_at - left_at


def _chat(world: World, model: str, metadata: Any) -> Any:
    return world.models.Chat(chat_of(model), metadata=metadata)


def _embed(world: World, model: str, metadata: Any) -> Any:
    return world.models.Embed(embedding_pb2.EmbedRequest(model=model, inputs=["a"]), metadata=metadata)


WAITING = [
    (_chat, "stub-silent"),
    (_chat, "stub-stall-3"),
    (_chat, "stub-ping"),
    (_embed, "stub-silent-2"),
]
"""Calls that are answered as a whole, and behaviours that do not come to it."""


@pytest.mark.parametrize(("call", "model"), WAITING)
async def test_a_client_that_cancels_a_whole_answer_stops_the_provider(
    upstream: Upstream, call: Any, model: str
) -> None:
    name, delays = await upstream.model(model), []
    for _ in range(5):
        trace_id, metadata = upstream.traced()
        waiting = call(upstream.world, name, metadata)
        delays.append(await _left_after(upstream, waiting.cancel))
        assert (await upstream.log_at_last(trace_id)).status == CANCELLED

    assert median(delays) < GONE_WITHIN


@pytest.mark.parametrize(("call", "model"), WAITING)
async def test_a_client_that_vanishes_from_a_whole_answer_stops_the_provider(
    upstream: Upstream, call: Any, model: str
) -> None:
    name, delays = await upstream.model(model), []
    for _ in range(5):
        trace_id, metadata = upstream.traced()
        channel = _channel_of_its_own(upstream)
        waiting = call(World(channel, ("", "")), name, metadata)
        delays.append(await _gone_after(upstream, channel))
        assert await waiting.code() is Code.CANCELLED
        assert (await upstream.log_at_last(trace_id)).status == CANCELLED

    assert median(delays) < GONE_WITHIN


def _channel_of_its_own(upstream: Upstream) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{upstream.port}", options=[("grpc.use_local_subchannel_pool", 1)])


async def _gone_after(upstream: Upstream, channel: grpc.aio.Channel) -> float:
    """Seconds from the end of the client's connection until the provider sees its peer gone."""
    async with asyncio.timeout(NOT_FOR_EVER):
        exchange = await upstream.stub.arrival()
        left_at = perf_counter()
        await channel.close()
        await exchange.left.wait()
    return exchange.left_at - left_at


async def test_a_client_that_vanishes_from_a_stream_stops_the_provider_and_is_on_record(upstream: Upstream) -> None:
    model, delays = await upstream.model("stub-slow-1000"), []
    for _ in range(5):
        trace_id, metadata = upstream.traced()
        channel = _channel_of_its_own(upstream)
        stream = World(channel, ("", "")).models.StreamChat(stream_of(model), metadata=metadata)
        async for event in stream:
            if event.HasField("delta"):
                break
        delays.append(await _gone_after(upstream, channel))
        log = await upstream.log_at_last(trace_id)
        assert (log.status, log.usage.completion_tokens > 0) == (CANCELLED, True)

    assert median(delays) < GONE_WITHIN


@pytest.mark.parametrize("model", ["stub-silent", "stub-stall-3", "stub-hollow", "stub-counting"])
async def test_a_deadline_ends_the_call_and_the_provider_s_work(upstream: Upstream, model: str) -> None:
    name = await upstream.model(model)
    for call in (
        lambda **options: upstream.world.models.Chat(chat_of(name), **options),
        lambda **options: upstream.world.models.StreamChat(stream_of(name), **options),
    ):
        await _ends_at_its_deadline(upstream, call)


async def _ends_at_its_deadline(upstream: Upstream, call: Callable[..., Any]) -> None:
    """`call`: makes one. On a busy machine a short deadline may be over before the provider is asked: then one with a
    longer deadline is made.
    """
    seconds, asked = 0.4, list[Any]()
    async with asyncio.timeout(NOT_FOR_EVER):
        while not asked:
            trace_id, metadata = upstream.traced()
            assert (await refused(call(metadata=metadata, timeout=seconds))).code is Code.DEADLINE_EXCEEDED
            asked = [one for one in upstream.stub.exchanges if trace_id in one.headers.get("traceparent", "")]
            seconds *= 2
        await asked[0].left.wait()
    assert (await upstream.log_at_last(trace_id)).status == CANCELLED


async def test_an_embedding_that_is_not_waited_for_is_on_record(upstream: Upstream) -> None:
    request = embedding_pb2.EmbedRequest(model=await upstream.model("stub-silent-2"), inputs=["a"])

    await _ends_at_its_deadline(upstream, partial(upstream.world.models.Embed, request))


async def test_a_client_that_does_not_read_holds_the_provider_back(upstream: Upstream) -> None:
    """What the provider may send ends at what the buffers on the way hold, and goes on when the client reads."""
    ann = await upstream.world.tenant()
    most = tenant_config_pb2.UpdateTenantConfigRequest(max_tokens_per_request=1_000_000)
    await upstream.world.tenants.UpdateTenantConfig(most, metadata=ann.metadata)
    model = await upstream.model("stub-endless-4000")
    stream = upstream.world.models.StreamChat(stream_of(model, max_tokens=1_000_000), metadata=ann.metadata)
    async with asyncio.timeout(NOT_FOR_EVER):
        await stream.read()
        exchange = await upstream.stub.arrival()
        held_back_at = await _held_back(upstream, exchange)

        while exchange.tokens == held_back_at:
            assert await stream.read() is not grpc.aio.EOF

    stream.cancel()
    assert held_back_at * 4000 < 16_000_000


async def _held_back(upstream: Upstream, exchange: Any) -> int:
    """How many tokens the provider had sent when it could send no more, while the server served others."""
    while True:
        await exchange.connection.full.wait()
        sent = exchange.tokens
        for _ in range(20):
            await upstream.world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=upstream.person.metadata)
        if sent == exchange.tokens:
            return sent
