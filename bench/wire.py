"""The lightest client of gRPC: what `bench.line` is for HTTP, so that no side has its reader's work taken for its own.

Frames are those of RFC 9113, header fields those of RFC 7541, without compression.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Self

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 0x1
_END_HEADERS = 0x4
_INITIAL_WINDOW_SIZE = 0x4
_WINDOW = 2**31 - 1
_FIRST_WINDOW = 65_535
_FRAME = 9
_PREFIX = 5


class Wire(asyncio.Protocol):
    """A kept connection to a server: one call after the other. It reads no status: what fails has fewer messages."""

    _transport: asyncio.Transport

    def __init__(self, port: int, metadata: Iterable[tuple[str, str]]) -> None:
        self._port = port
        self._metadata = tuple(metadata)
        self._stream_id = -1
        self._answer: asyncio.Future[list[bytes]] | None = None
        self._window = _WINDOW
        self._came = bytearray()
        self._data = bytearray()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        windows = _INITIAL_WINDOW_SIZE.to_bytes(2) + _WINDOW.to_bytes(4)
        opened = _frame(_WINDOW_UPDATE, 0, 0, (_WINDOW - _FIRST_WINDOW).to_bytes(4))
        self._transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, windows) + opened)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    async def call(self, method: str, request: bytes) -> list[bytes]:
        """The messages of the answer, once it has ended. `method`: `/package.Service/Method`."""
        self._stream_id += 2
        answer = self._answer = asyncio.get_running_loop().create_future()
        head = [
            *((":method", "POST"), (":scheme", "http"), (":path", method), (":authority", f"127.0.0.1:{self._port}")),
            *(("te", "trailers"), ("content-type", "application/grpc"), *self._metadata),
        ]
        message = b"\0" + len(request).to_bytes(4) + request
        self._transport.write(
            _frame(_HEADERS, _END_HEADERS, self._stream_id, b"".join(map(_field, head)))
            + _frame(_DATA, _END_STREAM, self._stream_id, message)
        )
        return await answer

    def data_received(self, data: bytes) -> None:
        came = self._came
        came += data
        at = 0
        while len(came) >= at + _FRAME:
            end = at + _FRAME + int.from_bytes(came[at : at + 3])
            if len(came) < end:
                break
            self._take(came[at + 3], came[at + 4], int.from_bytes(came[at + 5 : at + _FRAME]), came[at + _FRAME : end])
            at = end
        del came[:at]

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytearray) -> None:
        if kind == _DATA:
            self._data += payload
            self._window -= len(payload)
            if self._window < _WINDOW // 2:
                self._transport.write(_frame(_WINDOW_UPDATE, 0, 0, (_WINDOW - self._window).to_bytes(4)))
                self._window = _WINDOW
        elif kind == _GOAWAY:
            self._transport.close()
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._transport.write(_frame(kind, _ACK, 0, bytes(payload) if kind == _PING else b""))
        ended = kind == _RST_STREAM or (kind in (_DATA, _HEADERS) and flags & _END_STREAM)
        if ended and stream_id == self._stream_id and self._answer is not None and not self._answer.done():
            self._answer.set_result(list(_messages(self._data)))
            self._data.clear()


def _messages(data: bytearray) -> Iterable[bytes]:
    at = 0
    while at < len(data):
        end = at + _PREFIX + int.from_bytes(data[at + 1 : at + _PREFIX])
        yield bytes(data[at + _PREFIX : end])
        at = end


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


def _field(field: tuple[str, str]) -> bytes:
    """A literal field that is never indexed, with a new name."""
    return b"\x10" + b"".join(_length(len(one)) + one.encode() for one in field)


def _length(size: int) -> bytes:
    """An integer with a prefix of seven bits."""
    if size < 0x7F:
        return bytes((size,))
    rest, coded = size - 0x7F, bytearray((0x7F,))
    while rest >= 0x80:
        coded.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*coded, rest))
