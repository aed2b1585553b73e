"""A model's provider on loopback: a real HTTP server that speaks OpenAI's protocol and Anthropic's, and misbehaves when
asked to.

What it does is chosen by the model's name, `stub-<behaviour>` or `stub-<behaviour>-<number>`: see `openai_behaviours`.
In a test: `async with OpenAIStub() as stub`. As a process of its own, which prints its base URL and serves until its
standard input ends: `python -m tests.fakes.openai_stub --port 0`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from time import perf_counter
from types import TracebackType
from typing import cast

from tests.fakes import (  # they file what they hold
    anthropic_behaviours,
    openai_dialects,  # noqa: F401
    openai_embeddings,  # noqa: F401
    openai_scripts,  # noqa: F401
)
from tests.fakes.openai_behaviours import BEHAVIOURS
from tests.fakes.openai_exchange import Exchange

_NAME = re.compile(r"stub(?:-(?P<behaviour>[a-z0-9-]*?[a-z][a-z0-9-]*?))?(?:-(?P<number>\d+))?")


class OpenAIStub:
    """The server. `exchanges`: every request so far, oldest first; `arrivals`: those that nobody has asked for yet."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.arrivals: asyncio.Queue[Exchange] = asyncio.Queue()
        self.exchanges: list[Exchange] = []
        self.connections: set[_Connection] = set()
        self.connections_made = 0
        self._asked: Counter[str | None] = Counter()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def port(self) -> int:
        return self._port

    async def arrival(self) -> Exchange:
        """The next request that nobody has asked for yet; waits for it."""
        return await self.arrivals.get()

    def arrived(self, exchange: Exchange) -> None:
        name = exchange.body.get("model")
        self._asked[name] += 1
        exchange.number = self._asked[name]
        self.exchanges.append(exchange)
        self.arrivals.put_nowait(exchange)

    async def __aenter__(self) -> OpenAIStub:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in list(self.connections):
            connection.hang_up()
        tasks = [connection.task for connection in list(self.connections) if connection.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    """One peer: its requests one after the other."""

    def __init__(self, stub: OpenAIStub) -> None:
        self._stub = stub
        self._received = bytearray()
        self._writable = asyncio.Event()
        self._writable.set()
        self._exchange: Exchange | None = None
        self.lost = asyncio.Event()
        self.served = 0
        self.full = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._stub.connections.add(self)
        self._stub.connections_made += 1

    def connection_lost(self, error: Exception | None) -> None:
        self._stub.connections.discard(self)
        self._writable.set()
        self.lost.set()
        if self._exchange is not None:
            self._exchange.left_at = perf_counter()
            self._exchange.left.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()
        self.full.set()

    def resume_writing(self) -> None:
        self._writable.set()
        self.full.clear()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self.task is None:
            self._next_request()

    def hang_up(self) -> None:
        """Closes the connection when what was sent is out."""
        self._exchange = None
        self._transport.close()

    async def send(self, data: bytes) -> None:
        if self._transport.is_closing():
            await asyncio.Event().wait()  # until the loss, which is on its way, cancels this
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    def _next_request(self) -> None:
        head, found, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not found:
            return
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._received = bytearray(rest[length:])
        method, path, _ = request.split(" ")
        self._exchange = Exchange(method, path, headers, json.loads(rest[:length] or b"{}"), self)
        self._stub.arrived(self._exchange)
        self.task = asyncio.create_task(self._answer(self._exchange))

    async def _answer(self, exchange: Exchange) -> None:
        match = _NAME.fullmatch(exchange.body.get("model", ""))
        behaviours = anthropic_behaviours.BEHAVIOURS if exchange.path.endswith("/messages") else BEHAVIOURS
        if match is None or (match["behaviour"] or "status") not in behaviours:
            await exchange.refuse("404 Not Found", "model_not_found")
        else:
            behave = behaviours[match["behaviour"] or "status"]
            await behave(exchange, int(match["number"] or 3))
        self._exchange = self.task = None
        self.served += 1
        if not self._transport.is_closing():
            self._next_request()


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: sys.stdin.buffer.read1() or ended.set())
    async with OpenAIStub(port) as stub:
        print(stub.base_url, flush=True)
        await ended.wait()


def main() -> None:
    """Runs the stub alone, on libuv's loop: in a bench it must not be the slow part."""
    import uvloop  # not on Windows

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
