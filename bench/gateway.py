"""The gateway: Chat and StreamChat on a route, with limits and without, beside the provider itself, the openai SDK and
LiteLLM's proxy in front of the same provider."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from time import perf_counter
from typing import Any

import grpc
from openai import AsyncOpenAI

from atrium.identity.v1 import identity_service_pb2_grpc, session_pb2
from atrium.model.v1 import chat_pb2, model_service_pb2_grpc, route_pb2, stream_pb2, usage_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_service_pb2_grpc
from bench import litellm
from bench.figures import Figure, Side, alternate
from bench.line import Line
from bench.stage import Stage, create_model, found, provider, staged
from bench.wire import Wire

_LONG, _SHORT, _ONE = "stub-fast-1000", "stub-fast-10", "stub-fast-1"
_MODELS = (_LONG, _SHORT, _ONE)
_CALLERS = 8
_SLICES = 5
_SECONDS = 1.0
_TURNS, _TURN = 60, 10
_ADDED = 3.0
_SERVICE = "/atrium.model.v1.ModelService"
_PLENTY = 1_000_000_000
_QUESTION = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hi")

Ask = Callable[[str, bool], Awaitable[int]]
"""Asks a model, for a stream or not; how many parts of text came."""


def run() -> list[Figure]:
    """About four minutes; where LiteLLM is installed first, another one."""
    with provider() as base_url, staged(base_url) as stage, _beside(base_url) as other:
        return asyncio.run(_measure(stage, base_url, other))


@contextmanager
def _beside(base_url: str) -> Iterator[litellm.Proxy | None]:
    """LiteLLM's proxy; None, and a sentence, where it cannot be had."""
    with ExitStack() as stack:
        other = None
        try:
            other = stack.enter_context(litellm.proxy(base_url, _MODELS))
        except litellm.Missing as missing:
            print(f"LiteLLM's proxy is left out: {missing}")
        yield other


async def _measure(stage: Stage, base_url: str, proxy: litellm.Proxy | None) -> list[Figure]:
    async with AsyncExitStack() as stack:
        free, limited, client = await stack.enter_async_context(_atrium(stage, base_url))
        direct = await stack.enter_async_context(_lines(base_url))
        sdk = await stack.enter_async_context(_sdk(base_url))
        sides: dict[str, tuple[Ask, int]] = {
            "the provider itself": (direct, os.getpid()),
            "openai's SDK": (sdk, os.getpid()),
        }
        if proxy is not None:
            theirs = await stack.enter_async_context(_lines(proxy.base_url, proxy.key))
            sides[f"LiteLLM {proxy.version}"] = (theirs, proxy.pid)
        figures: list[Figure] = []
        for method, name, stream, unit, goal in (
            ("StreamChat", _LONG, True, "chunk", 10.0),
            ("Chat", _SHORT, False, "request", 6.0),
        ):
            for who, ours in ((method, free), (f"{method} within limits", limited)):
                for other, (ask, pid) in sides.items():
                    mine = Side(lambda ours=ours, name=name, stream=stream: ours(name, stream), stage.pid)
                    side = Side(lambda ask=ask, name=name, stream=stream: ask(name, stream), pid)
                    ratio = await alternate(mine, side, slices=_SLICES, seconds=_SECONDS, callers=_CALLERS)
                    beats = proxy is not None and pid == proxy.pid
                    figures += [
                        Figure(f"{who} / {other}", ratio, "of its throughput", goal if beats else None),
                        Figure(f"{who}, {other}", side.rate, f"{unit}s/s"),
                    ]
                    if beats:
                        figures.append(Figure(f"{who}, {other}, its CPU", side.cpu_microseconds, f"µs a {unit}"))
                figures += [
                    Figure(who, mine.rate, f"{unit}s/s"),
                    Figure(f"{who}, the server's CPU", mine.cpu_microseconds, f"µs a {unit}"),
                ]
        for what, ask, goal_ms in (
            ("ours", free, None),
            ("ours within limits", limited, _ADDED),
            ("ours within limits, through grpcio's client", client, None),
            *((name, ask, None) for name, (ask, _) in sides.items() if ask is not direct),
        ):
            figures += await _added(f"added by {what}", ask, direct, goal_ms)
        what = "added by ours within limits, through grpcio's client, to openai's SDK"
        return figures + await _added(what, client, sdk, _ADDED)


async def _added(what: str, ask: Ask, without: Ask, goal: float | None) -> list[Figure]:
    """What a call of one token takes beyond what it takes without, one call at a time, in turn.

    Some calls a turn: after another's call each finds the caches full of that one's, which is none of its own cost.
    """
    figures = []
    for method, stream in (("Chat", False), ("StreamChat", True)):
        took: tuple[list[float], list[float]] = ([], [])
        for _ in range(_TURNS):
            for times, side in zip(took, (ask, without), strict=True):
                for _ in range(_TURN):
                    began = perf_counter()
                    await side(_ONE, stream)
                    times.append((perf_counter() - began) * 1000)
        whole, rest = map(statistics.median, took)
        figures.append(Figure(f"{method}, {what}", whole - rest, "ms, median", goal, at_most=True))
    return figures


@asynccontextmanager
async def _atrium(stage: Stage, base_url: str) -> AsyncIterator[tuple[Ask, Ask, Ask]]:
    """Three callers of routes: whom nothing limits; one who has every kind of limit, and whose tenant has, none of
    which they come to; and the same through the client that programs use.
    """
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}"))
        _, platform = await stage.sign_in(channel)
        for name in _MODELS:
            await create_model(channel, platform, name, base_url)
        (_, free), (limited_id, limited) = [await found(channel, platform, slug) for slug in ("free", "limited")]
        await _limit(channel, platform, limited_id, limited)
        for metadata in (free, limited):
            await _create_routes(channel, metadata)
        wires = [await stack.enter_async_context(_wires(stage.port, metadata)) for metadata in (free, limited)]
        yield wires[0], wires[1], _client(channel, limited)


async def _limit(channel: grpc.aio.Channel, platform: Any, tenant_id: str, metadata: Any) -> None:
    """Limits of every kind for the tenant, and for the user themselves."""
    tenants: Any = tenant_service_pb2_grpc.TenantServiceStub(channel)
    models: Any = model_service_pb2_grpc.ModelServiceStub(channel)
    people: Any = identity_service_pb2_grpc.IdentityServiceStub(channel)
    limits = tenant_config_pb2.UpdateTenantConfigRequest(
        tenant_id=tenant_id,
        requests_per_minute=_PLENTY,
        tokens_per_minute=_PLENTY,
        monthly_token_quota=_PLENTY * _PLENTY,
        monthly_cost_quota_usd=str(_PLENTY - 1),
        max_parallel_calls=_PLENTY,
    )
    await tenants.UpdateTenantConfig(limits, metadata=platform)
    me = await people.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata)
    own_limits = usage_pb2.SetModelLimitsRequest(
        user_id=me.user_id,
        requests_per_minute=_PLENTY,
        tokens_per_minute=_PLENTY,
        monthly_tokens=_PLENTY * _PLENTY,
        monthly_cost_usd=str(_PLENTY - 1),
        parallel_calls=_PLENTY,
    )
    await models.SetModelLimits(own_limits, metadata=metadata)


async def _create_routes(channel: grpc.aio.Channel, metadata: Any) -> None:
    models: Any = model_service_pb2_grpc.ModelServiceStub(channel)
    for name in _MODELS:
        route = route_pb2.CreateRouteRequest(alias=_alias(name), targets=[route_pb2.RouteTarget(model=name)])
        await models.CreateRoute(route, metadata=metadata)


@asynccontextmanager
async def _wires(port: int, metadata: Any) -> AsyncIterator[Ask]:
    """Connections that are kept, one a caller."""
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(Wire(port, metadata)) for _ in range(_CALLERS)]

        async def ask(name: str, stream: bool) -> int:
            wire, said = idle.pop(), {"model": _alias(name), "messages": [_QUESTION]}
            if stream:
                request = stream_pb2.StreamChatRequest(**said).SerializeToString()
                events = map(
                    stream_pb2.StreamChatResponse.FromString, await wire.call(f"{_SERVICE}/StreamChat", request)
                )
                kinds = [event.WhichOneof("event") for event in events]
                assert kinds[-1:] == ["completed"], kinds
                parts = kinds.count("delta")
            else:
                request = chat_pb2.ChatRequest(**said).SerializeToString()
                (answer,) = await wire.call(f"{_SERVICE}/Chat", request)
                parts = bool(chat_pb2.ChatResponse.FromString(answer).message.content)
            idle.append(wire)
            return parts

        yield ask


def _client(channel: grpc.aio.Channel, metadata: Any) -> Ask:
    models: Any = model_service_pb2_grpc.ModelServiceStub(channel)

    async def ask(name: str, stream: bool) -> int:
        said = {"model": _alias(name), "messages": [_QUESTION]}
        if not stream:
            answer = await models.Chat(chat_pb2.ChatRequest(**said), metadata=metadata)
            return bool(answer.message.content)
        parts = 0
        async for event in models.StreamChat(stream_pb2.StreamChatRequest(**said), metadata=metadata):
            parts += event.HasField("delta")
            assert not event.HasField("failed"), event.failed.message
        return parts

    return ask


def _alias(name: str) -> str:
    return f"route-{name}"


@asynccontextmanager
async def _lines(base_url: str, key: str = "none") -> AsyncIterator[Ask]:
    """Connections that are kept, one a caller."""
    async with AsyncExitStack() as stack:
        free = [await stack.enter_async_context(Line(base_url, key)) for _ in range(_CALLERS)]

        async def ask(name: str, stream: bool) -> int:
            line = free.pop()
            parts = await line.ask(name, stream=stream)
            free.append(line)
            return parts

        yield ask


@asynccontextmanager
async def _sdk(base_url: str) -> AsyncIterator[Ask]:
    """What a program gets that has no gateway and the usual client."""
    async with AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:

        async def ask(name: str, stream: bool) -> int:
            messages: Any = [{"role": "user", "content": "Hi"}]
            answer: Any = await client.chat.completions.create(
                model=name, messages=messages, max_tokens=4096, stream=stream
            )
            if not stream:
                return bool(answer.choices[0].message.content)
            parts = 0
            async for event in answer:
                parts += bool(event.choices and event.choices[0].delta.content)
            return parts

        yield ask
