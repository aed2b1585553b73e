"""Pages on loopback: a real HTTP server whose answers are what a test says, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def page(body: bytes, media_type: str = "text/plain", status: str = "200 OK", **headers: str) -> Answer:
    """A whole answer. `headers`: with underscores for hyphens."""
    said = {"content_type": media_type, "content_length": str(len(body)), "connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in said.items() if value)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    return answer


def moved(to: str, status: str = "302 Found") -> Answer:
    """An answer that leads on."""
    return page(b"", status=status, location=to)


def endless(first: bytes, then: bytes) -> Answer:
    """An answer whose body never ends."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n" + first)
        while True:
            writer.write(then)
            await writer.drain()

    return answer


async def silent(writer: asyncio.StreamWriter) -> None:
    """An answer that begins and never goes on."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nOnce upon")
    await asyncio.Event().wait()


class WebStub:
    """The server. `pages`: what it answers, by path; `asked`: the heads of the requests so far."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.asked: list[str] = []

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def __aenter__(self) -> WebStub:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._serving: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.asked.append(head)
                path = head.split(" ", 2)[1]
                path = (
                    "/" + path.partition("://")[2].partition("/")[2] if "://" in path else path
                )  # as a proxy is asked
                await self.pages.get(path, page(b"", status="404 Not Found"))(writer)
                await writer.drain()
        finally:
            writer.close()
