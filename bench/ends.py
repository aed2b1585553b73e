"""Ends: how soon what is broken off stops, and a server that is told to stop."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import suppress
from time import perf_counter
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from atrium.model.v1 import chat_pb2, model_service_pb2_grpc, stream_pb2
from bench.figures import Figure
from bench.stage import Command, commanded, create_model, provider
from server.embedded.chat import NAME, PARALLEL

_TIMES = 8
_GRACE_SECONDS = 6
_STALLS, _SILENT = "stub-stall-2", "stub-silent"
_PROMPT = "A word, and then another. " * 100
"""So long that a core reads for seconds."""


def run() -> list[Figure]:
    """About a minute: the command itself, on a new embedded database."""
    with provider() as base_url, commanded(ATRIUM_GRACE_SECONDS=f"{_GRACE_SECONDS}", **_keyless(base_url)) as server:
        return asyncio.run(_measure(server, base_url))


def _keyless(base_url: str) -> dict[str, str]:
    return {"ATRIUM_PROVIDER_KEYS": f'{{"{base_url}": ""}}'}


async def _measure(server: Command, base_url: str) -> list[Figure]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        metadata = await server.sign_in(channel)
        models: Any = model_service_pb2_grpc.ModelServiceStub(channel)
        await _first_word(models, metadata, "Hello.")  # which loads it
        idle = statistics.median([await _first_word(models, metadata, f"Hello {number}.") for number in range(_TIMES)])
        figures = [Figure(f"first word of {NAME}", idle * 1000, "ms, median")]
        for where, text in (("prompt", _PROMPT), ("answer", "Tell me a story.")):
            for others, goal in ((1, 100.0), (PARALLEL, None)):
                took = [await _after_others_left(models, metadata, others, f"{turn} {text}") for turn in range(_TIMES)]
                late = (statistics.median(took) - idle) * 1000
                metric = f"later, after {others} broken off in the {where}"
                figures.append(Figure(metric, late, "ms, median", goal, at_most=True))
        for name in (_STALLS, _SILENT):
            await create_model(channel, metadata, name, base_url)
        return figures + await _stopped(server, channel, models, metadata)


async def _first_word(models: Any, metadata: Any, text: str) -> float:
    """Seconds until it comes."""
    began = perf_counter()
    async for event in _stream(models, metadata, NAME, text, max_tokens=1):
        if event.HasField("delta"):
            break
    return perf_counter() - began


async def _after_others_left(models: Any, metadata: Any, others: int, text: str) -> float:
    """Seconds until the first word of a call that is made when so many others were just left."""
    calls = [_stream(models, metadata, NAME, f"{number} {text}", max_tokens=1000) for number in range(others)]
    reading = asyncio.gather(*(_read(call) for call in calls))
    await asyncio.sleep(1.0)
    for call in calls:
        call.cancel()
    await reading
    return await _first_word(models, metadata, "Hello 0.")


async def _stopped(server: Command, channel: grpc.aio.Channel, models: Any, metadata: Any) -> list[Figure]:
    """What a server does that is told to stop while it streams an answer and waits for one, neither of which ends."""
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    await watch.read()
    stream = _stream(models, metadata, _STALLS, "Hi")
    while not (await stream.read()).HasField("delta"):
        pass
    question = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hi")
    chat = models.Chat(chat_pb2.ChatRequest(model=_SILENT, messages=[question]), metadata=metadata)
    await asyncio.sleep(1.0)  # it says nothing of having come
    process = psutil.Process(server.pid)
    began = perf_counter()
    process.terminate()
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    told = perf_counter() - began
    with suppress(grpc.aio.AioRpcError):
        await chat
    answered = perf_counter() - began
    await asyncio.to_thread(process.wait)
    return [
        Figure("from SIGTERM to NOT_SERVING", told * 1000, "ms", 1000.0, at_most=True),
        Figure("to UNAVAILABLE for a call that does not end", answered, "s"),
        Figure(
            f"to the end, with a grace period of {_GRACE_SECONDS} s",
            perf_counter() - began,
            "s",
            _GRACE_SECONDS,
            at_most=True,
        ),
    ]


async def _read(call: Any) -> None:
    with suppress(asyncio.CancelledError):
        async for _ in call:
            pass


def _stream(models: Any, metadata: Any, name: str, text: str, **fields: Any) -> Any:
    question = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content=text)
    return models.StreamChat(stream_pb2.StreamChatRequest(model=name, messages=[question], **fields), metadata=metadata)
