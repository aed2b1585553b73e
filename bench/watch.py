"""Watches of prompts: from the moment at which a change is asked for to the moment at which all who watch are told."""

from __future__ import annotations

import asyncio
import statistics
from time import perf_counter
from typing import Any

import grpc

from atrium.prompt.v1 import label_pb2, prompt_service_pb2_grpc, template_pb2, version_pb2
from atrium.prompt.v1 import prompt_service_pb2 as prompt
from bench.figures import Figure
from bench.stage import Stage, staged
from server.launch import running

_WATCHERS = 50
"""Half of them watch what is changed, and half a template that includes it; every second one at another server."""

_ROUNDS = 200


def run() -> list[Figure]:
    """Some seconds."""
    with staged() as stage, running(stage.settings) as other:
        return asyncio.run(_measure(stage, other))


async def _measure(stage: Stage, other: int) -> list[Figure]:
    """`other`: the port of a second server on the same database."""
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel,
        grpc.aio.insecure_channel(f"127.0.0.1:{other}") as another,
    ):
        stubs: list[Any] = [prompt_service_pb2_grpc.PromptServiceStub(each) for each in (channel, another)]
        stub = stubs[0]
        _, metadata = await stage.sign_in(channel)
        part = await _template(stub, metadata, "part", "one", "two")
        whole = await _template(stub, metadata, "whole", "{% include 'part:production' %}")
        watches = [
            stubs[number % 2].WatchPrompts(prompt.WatchPromptsRequest(template_ids=[template_id]), metadata=metadata)
            for template_id in (part, whole)
            for number in range(_WATCHERS // 2)
        ]
        streams = [aiter(watch) for watch in watches]
        await asyncio.gather(*(_until(stream, "synced") for stream in streams))
        made, told = [], []
        for number in range(_ROUNDS):
            target = label_pb2.LabelTarget(version=f"v1.{number % 2}")
            move = label_pb2.SetLabelRequest(template_id=part, label="production", targets=[target])
            heard = [asyncio.ensure_future(_until(stream, "changed")) for stream in streams]
            began = perf_counter()
            await stub.SetLabel(move, metadata=metadata)
            made.append(1_000 * (perf_counter() - began))
            told.append(1_000 * (max(await asyncio.gather(*heard)) - began))
        for watch in watches:
            watch.cancel()
    return [
        Figure(f"told to the last of {_WATCHERS}, median", statistics.median(told), "ms"),
        Figure(f"told to the last of {_WATCHERS}, 99th percentile", _percentile(told), "ms", 1_000, at_most=True),
        Figure("the change itself, median", statistics.median(made), "ms"),
    ]


async def _until(stream: Any, kind: str) -> float:
    """When the next event of that kind came."""
    while not (await anext(stream)).HasField(kind):
        pass
    return perf_counter()


async def _template(stub: Any, metadata: Any, name: str, *texts: str) -> str:
    new = template_pb2.CreateTemplateRequest(name=name, visibility=template_pb2.VISIBILITY_TENANT)
    template_id = (await stub.CreateTemplate(new, metadata=metadata)).template.id
    for text in texts:
        version = version_pb2.CreateVersionRequest(template_id=template_id, text=text)
        await stub.CreateVersion(version, metadata=metadata)
    if len(texts) > 1:  # what is included is labelled before anything includes it
        label = label_pb2.SetLabelRequest(template_id=template_id, label="production", targets=[{"version": "v1.0"}])
        await stub.SetLabel(label, metadata=metadata)
    return str(template_id)


def _percentile(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
