"""Soak: what the server's process keeps of the calls that it has streamed, some of which their callers left."""

from __future__ import annotations

import asyncio
import os
from time import perf_counter
from typing import Any

import grpc
import psutil

from atrium.model.v1 import chat_pb2, model_service_pb2_grpc, stream_pb2
from bench.figures import Figure
from bench.stage import Stage, create_model, provider, staged

FULL = os.environ.get("SCALE") == "full"
CALLS = 50_000 if FULL else 5_000
WARM_UP = 5_000
"""Whatever is measured: what is remembered of the first calls is not kept of each."""

_WHOLE, _LEFT = "stub-fast-5", "stub-slow-5"
"""Who leaves does so between two tokens that are 20 ms apart, so that nothing has ended by then."""

_ONE_LEAVES_IN = 10
_CALLERS = 16
_SETTLE_SECONDS = 2.0
_QUESTION = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hi")


def run() -> list[Figure]:
    """About a minute; with SCALE=full, some."""
    with provider() as base_url, staged(base_url) as stage:
        return asyncio.run(_measure(stage, base_url))


async def _measure(stage: Stage, base_url: str) -> list[Figure]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        _, metadata = await stage.sign_in(channel)
        for name in (_WHOLE, _LEFT):
            await create_model(channel, metadata, name, base_url)
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        await _calls(stub, metadata, WARM_UP)
        before = await _resident(stage.pid)
        began = perf_counter()
        await _calls(stub, metadata, CALLS)
        seconds = perf_counter() - began
        after = await _resident(stage.pid)
    return [
        Figure("streamed calls, a tenth of them left", float(CALLS), "calls"),
        Figure("streamed calls", CALLS / seconds, "a second"),
        Figure("resident memory before", before / 1e6, "MB"),
        Figure("resident memory after", after / 1e6, "MB"),
        Figure("kept", (after - before) / 1000 / CALLS, "KB a call", 0.2, at_most=True),
    ]


async def _calls(stub: Any, metadata: Any, number: int) -> None:
    numbers = iter(range(number))

    async def call() -> None:
        for place in numbers:
            leaves = place % _ONE_LEAVES_IN == 0
            request = stream_pb2.StreamChatRequest(model=_LEFT if leaves else _WHOLE, messages=[_QUESTION])
            stream = stub.StreamChat(request, metadata=metadata)
            async for event in stream:
                assert not event.HasField("failed"), event.failed.message
                if leaves and event.HasField("delta"):
                    stream.cancel()
                    break

    await asyncio.gather(*(call() for _ in range(_CALLERS)))


async def _resident(pid: int) -> int:
    """Bytes, when what is done after a call is done."""
    await asyncio.sleep(_SETTLE_SECONDS)
    resident: int = psutil.Process(pid).memory_info().rss
    return resident
