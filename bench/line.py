"""The lightest client of OpenAI's protocol over HTTP that counts what came: no gateway is to look slow through its
reader."""

from __future__ import annotations

import asyncio
from typing import Any, Self
from urllib.parse import urlsplit

import orjson

_BYTES = 262_144
_END = b"\r\n0\r\n\r\n"


class Line:
    """A kept connection to `<base URL>/chat/completions`: one question after the other."""

    def __init__(self, base_url: str, key: str = "none") -> None:
        address = urlsplit(base_url)
        self._host, self._port = address.hostname, address.port
        self._head = (
            f"POST {address.path}/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\n"
            f"authorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: "
        ).encode()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, model: str, **fields: Any) -> int:
        """How many parts of text the answer came in; one that is no stream is one part."""
        question = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4096, **fields}
        body = orjson.dumps(question)
        self._writer.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        top, _, rest = (await self._reader.readuntil(b"\r\n\r\n")).lower().partition(b"\r\n")
        _, sized, length = rest.partition(b"content-length:")
        answer = await (self._sized(int(length.split(b"\r\n")[0])) if sized else self._parts())
        if b" 200" not in top:
            raise AssertionError(answer[:500])
        return _has_text(answer) if sized else sum(map(_has_text, answer.split(b"data: ")[1:]))

    async def _sized(self, length: int) -> bytes:
        return await self._reader.readexactly(length)

    async def _parts(self) -> bytes:
        """Everything up to the part that is empty, as it came: the sizes of the parts stand between the events."""
        answer = bytearray()
        while not answer.endswith(_END):
            data = await self._reader.read(_BYTES)
            if not data:
                raise AssertionError("the answer broke off")
            answer += data
        return bytes(answer)


def _has_text(event: bytes) -> bool:
    if event.startswith(b"[DONE]"):
        return False
    choices = orjson.loads(event.partition(b"\n")[0])["choices"]
    return bool(choices and choices[0].get("delta", choices[0].get("message")).get("content"))
