"""A pooler of transactions between a process and PostgreSQL."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

_PORT = 5432
_READY, _TERMINATE, _IDLE = b"Z", b"X", b"I"


class _Pooler:
    """Each transaction gets the server that was free last; what is prepared or listened to stays with its server."""

    def __init__(self, folder: str) -> None:
        self._socket = f"{folder}/.s.PGSQL.{_PORT}"
        self._free: list[tuple[StreamReader, StreamWriter]] = []
        self._writers: list[StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One client, until it leaves."""
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            start = await _sized(reader)
            await self._connect(start, writer)  # its own client learns from it that it is let in
            answer: asyncio.Task[None] | None = None
            while (kind := await reader.readexactly(1)) != _TERMINATE:
                message = kind + await _sized(reader)
                if answer is None or answer.done():
                    server, to_server = self._free.pop()
                    answer = asyncio.create_task(self._answer(server, to_server, writer))
                    self._tasks.append(answer)
                to_server.write(message)
        writer.close()

    async def _connect(self, start: bytes, client: StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self._socket)
        self._writers.append(to_server)
        to_server.write(start)
        await self._answer(server, to_server, client)

    async def _answer(self, server: StreamReader, to_server: StreamWriter, client: StreamWriter) -> None:
        """Passes on what a server says until the transaction is at its end."""
        kind, body = b"", b""
        while (kind, body[-1:]) != (_READY, _IDLE):
            kind = await server.readexactly(1)
            body = await _sized(server)
            if (kind, body[-1:]) == (_READY, _IDLE):
                self._free.append((server, to_server))
            client.write(kind + body)

    async def close(self) -> None:
        """Leaves every server, and every client."""
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks, *(writer.wait_closed() for writer in self._writers), return_exceptions=True)


async def _sized(reader: StreamReader) -> bytes:
    size = await reader.readexactly(4)
    return size + await reader.readexactly(int.from_bytes(size) - 4)


@asynccontextmanager
async def pooled(url: str) -> AsyncIterator[str]:
    """The address of the same database and role through a pooler that has a server for each client."""
    parts = urlsplit(url)
    (folder,) = parse_qs(parts.query)["host"]
    pooler = _Pooler(folder)
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}?sslmode=disable"
    finally:
        server.close()
        await pooler.close()
