"""Memory: what an idle server process holds before a local model was asked for."""

from __future__ import annotations

import asyncio

import grpc
import psutil

from bench.figures import Figure
from bench.stage import Stage, staged


def run() -> list[Figure]:
    """A few seconds."""
    with staged() as stage:
        asyncio.run(_sign_in(stage))
        resident = psutil.Process(stage.pid).memory_info().rss
    return [Figure("resident memory, idle after a sign-in", resident / 1e6, "MB", 200.0, at_most=True)]


async def _sign_in(stage: Stage) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        await stage.sign_in(channel)
