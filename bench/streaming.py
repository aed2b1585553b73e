"""Streaming: StreamChat from a stubbed provider against a bare pipe from the same one."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

import grpc

from atrium.model.v1 import chat_pb2, model_service_pb2_grpc, stream_pb2
from bench import bare
from bench.figures import Figure, Side, alternate
from bench.stage import Stage, create_model, process, provider, staged

_TOKENS = 1_000
_SLICES = 8
_SECONDS = 1.0
_CALLERS = 8
_FIRST_TOKENS = 150
_QUESTION = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hi")


def run() -> list[Figure]:
    """About thirty seconds."""
    with provider() as base_url, staged(base_url) as stage, process(bare.pipe, base_url) as (port, pid):
        return asyncio.run(_measure(stage, base_url, port, pid))


async def _measure(stage: Stage, base_url: str, port: int, pid: int) -> list[Figure]:
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as bare_channel,
    ):
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        _, metadata = await stage.sign_in(channel)
        for tokens in (_TOKENS, 1):
            await create_model(channel, metadata, f"stub-fast-{tokens}", base_url)
        bare_stream = bare_channel.unary_stream(
            bare.path("Stream"),
            stream_pb2.StreamChatRequest.SerializeToString,
            stream_pb2.StreamChatResponse.FromString,
        )

        def ours(tokens: int) -> Any:
            return stub.StreamChat(_request(tokens), metadata=metadata)

        def theirs(tokens: int) -> Any:
            return bare_stream(_request(tokens))

        mine = Side(lambda: _read(ours(_TOKENS)), stage.pid)
        other = Side(lambda: _read(theirs(_TOKENS)), pid)
        ratio = await alternate(mine, other, slices=_SLICES, seconds=_SECONDS, callers=_CALLERS)
        first, bare_first = await _first_tokens(ours, theirs)
    return [
        Figure("StreamChat / bare pipe", ratio, "of its throughput", 0.5),
        Figure("StreamChat", mine.rate, "chunks/s"),
        Figure("bare pipe", other.rate, "chunks/s"),
        Figure("StreamChat, the server's CPU", mine.cpu_microseconds, "µs a chunk"),
        Figure("bare pipe, the server's CPU", other.cpu_microseconds, "µs a chunk"),
        Figure("added time to the first token", (first - bare_first) * 1000, "ms, median", 3.0, at_most=True),
    ]


def _request(tokens: int) -> stream_pb2.StreamChatRequest:
    return stream_pb2.StreamChatRequest(model=f"stub-fast-{tokens}", messages=[_QUESTION])


async def _read(stream: Any) -> int:
    """How many parts came."""
    parts = 0
    async for event in stream:
        parts += event.HasField("delta")
        assert not event.HasField("failed"), event.failed.message
    return parts


async def _first_tokens(ours: Callable[[int], Any], theirs: Callable[[int], Any]) -> tuple[float, float]:
    """Seconds to the first token of each side, alone on the machine, in turn; the medians."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(_FIRST_TOKENS):
        for side, found in zip((ours, theirs), seconds, strict=True):
            began = perf_counter()
            stream = side(1)
            async for event in stream:
                if event.HasField("delta"):
                    found.append(perf_counter() - began)
    return statistics.median(seconds[0]), statistics.median(seconds[1])
