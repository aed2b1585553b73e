"""Memory: what an idle `atrium serve` holds before a local model was asked for."""

from __future__ import annotations

import asyncio

import grpc
import psutil

from bench.figures import Figure
from bench.stage import Command, commanded


def run() -> list[Figure]:
    """Some ten seconds: the command itself, on a new embedded database."""
    with commanded() as server:
        fresh = _resident(server.pid)
        asyncio.run(_sign_in(server))
        signed_in = _resident(server.pid)
    return [
        Figure("resident memory, idle", fresh, "MB", 200.0, at_most=True),
        Figure("resident memory, idle after a sign-in", signed_in, "MB"),
    ]


def _resident(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 1e6)


async def _sign_in(server: Command) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        await server.sign_in(channel)
