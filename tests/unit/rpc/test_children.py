"""Processes that are started beside running calls."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import asyncio
import server
import grpc

async def main():
    served = grpc.aio.server()
    port = served.add_insecure_port("127.0.0.1:0")
    await served.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

        async def call():
            while not done.is_set():
                try:
                    await channel.unary_unary("/a/b")(b"")
                except grpc.aio.AioRpcError:
                    pass

        done = asyncio.Event()
        calls = [asyncio.create_task(call()) for _ in range(8)]
        for _ in range(10):
            child = await asyncio.create_subprocess_exec("true")
            await child.wait()
        done.set()
        await asyncio.gather(*calls)
    await served.stop(None)

with asyncio.Runner(loop_factory=__import__("uvloop").new_event_loop) as runner:
    runner.run(main())
"""


def test_grpc_neither_stops_for_a_child_nor_speaks_of_it():
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert "fork" not in ran.stderr
