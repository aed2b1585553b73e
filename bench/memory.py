"""Memory: what an idle `atrium serve` holds before a local model was asked for."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile

import grpc
import psutil

from atrium.identity.v1 import identity_service_pb2_grpc, session_pb2
from bench.figures import Figure

_SAID = re.compile(r"tenant platform, login (\S+), password (\S+)|serves on 127\.0\.0\.1:(\d+)")


def run() -> list[Figure]:
    """Some ten seconds: the command itself, on a new embedded database."""
    with tempfile.TemporaryDirectory(prefix="atrium-bench-") as directory:
        variables = {**os.environ, "ATRIUM_DATA_DIR": directory, "ATRIUM_ADDRESS": "127.0.0.1:0"}
        command = [sys.executable, "-m", "server", "serve"]
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as server:
            try:
                login, password, port = _said(server)
                fresh = _resident(server.pid)
                asyncio.run(_sign_in(int(port), login, password))
                signed_in = _resident(server.pid)
            finally:
                server.terminate()
    return [
        Figure("resident memory, idle", fresh, "MB", 200.0, at_most=True),
        Figure("resident memory, idle after a sign-in", signed_in, "MB"),
    ]


def _said(server: subprocess.Popen[str]) -> tuple[str, str, str]:
    """The first administrator's login and password, and the port."""
    assert server.stdout is not None
    found: list[str] = []
    for line in server.stdout:
        if match := _SAID.search(line):
            found += [part for part in match.groups() if part]
        if len(found) == 3:
            return found[0], found[1], found[2]
    raise RuntimeError("the server ended before it served")


def _resident(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 1e6)


async def _sign_in(port: int, login: str, password: str) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = session_pb2.LoginRequest(tenant="platform", login=login, password=password)
        await identity_service_pb2_grpc.IdentityServiceStub(channel).Login(request)
