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

_TIMES = 12
_GRACE_SECONDS = 6
_STALLS, _SILENT = "stub-stall-2", "stub-silent"
_PROMPT = "A word, and then another. " * 100
"""So long that a core reads for seconds."""

_STANDS_SECONDS = 0.1
"""Whoever computes moves the clock of the CPU every hundredth."""


def run() -> list[Figure]:
    """A minute and a half: the command itself, on a new embedded database."""
    with provider() as base_url, commanded(ATRIUM_GRACE_SECONDS=f"{_GRACE_SECONDS}", **_keyless(base_url)) as server:
        return asyncio.run(_measure(server, base_url))


def _keyless(base_url: str) -> dict[str, str]:
    return {"ATRIUM_PROVIDER_KEYS": f'{{"{base_url}": ""}}'}


async def _measure(server: Command, base_url: str) -> list[Figure]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        metadata = await server.sign_in(channel)
        models: Any = model_service_pb2_grpc.ModelServiceStub(channel)
        await _read(_stream(models, metadata, NAME, "Hello.", max_tokens=1))  # which loads it
        figures = []
        for where, text in (("prompt", _PROMPT), ("answer", "Tell me a story.")):
            for number in (1, PARALLEL):
                took = [
                    await _computed(server, models, metadata, number, f"{turn} {text}", answering=where == "answer")
                    for turn in range(_TIMES)
                ]
                metric = f"{NAME} goes on after {number} broken off in the {where}"
                figures.append(Figure(metric, statistics.median(took) * 1000, "ms, median", 100.0, at_most=True))
        for name in (_STALLS, _SILENT):
            await create_model(channel, metadata, name, base_url)
        return figures + await _stopped(server, channel, models, metadata)


async def _computed(server: Command, models: Any, metadata: Any, number: int, text: str, *, answering: bool) -> float:
    """Seconds for which the model goes on computing after so many calls were left, by its threads' clock of the CPU:
    after a second, or in their answers.
    """
    calls = [_stream(models, metadata, NAME, f"{place} {text}", max_tokens=1000) for place in range(number)]
    if answering:
        await asyncio.gather(*(_begun(call) for call in calls))
    reading = asyncio.gather(*(_read(call) for call in calls))
    await asyncio.sleep(0.2 if answering else 1.0)
    left = last = perf_counter()
    for call in calls:
        call.cancel()
    used = _used(server)
    while perf_counter() - last < _STANDS_SECONDS:
        await asyncio.sleep(0.005)
        if (now := _used(server)) > used:
            used, last = now, perf_counter()
    await reading
    return last - left


def _used(server: Command) -> float:
    """Seconds that its threads have computed; without the first, which ends the calls that were left."""
    return sum(one.user_time + one.system_time for one in psutil.Process(server.pid).threads() if one.id != server.pid)


async def _stopped(server: Command, channel: grpc.aio.Channel, models: Any, metadata: Any) -> list[Figure]:
    """What a server does that is told to stop while it streams an answer and waits for one, neither of which ends."""
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    await watch.read()
    stream = _stream(models, metadata, _STALLS, "Hi")
    await _begun(stream)
    question = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hi")
    chat = models.Chat(chat_pb2.ChatRequest(model=_SILENT, messages=[question]), metadata=metadata)
    await asyncio.sleep(1.0)  # it says nothing of having come
    process = psutil.Process(server.pid)
    began = perf_counter()
    process.terminate()
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    told = perf_counter() - began
    code = await chat.code()
    assert code == grpc.StatusCode.UNAVAILABLE, code
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


async def _begun(call: Any) -> None:
    while not (await call.read()).HasField("delta"):
        pass


async def _read(call: Any) -> None:
    with suppress(asyncio.CancelledError):
        while await call.read() is not grpc.aio.EOF:
            pass


def _stream(models: Any, metadata: Any, name: str, text: str, **fields: Any) -> Any:
    question = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content=text)
    return models.StreamChat(stream_pb2.StreamChatRequest(model=name, messages=[question], **fields), metadata=metadata)
