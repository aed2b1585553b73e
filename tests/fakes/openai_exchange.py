"""One request to the stubbed provider, and the parts that an answer in OpenAI's protocol is sent in."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

SECRET = "upstream-secret-text"
"""In every error that the stub answers with: no message of ours may repeat it."""

JSON = "content-type: application/json"


class Connection(Protocol):
    """What an exchange needs of the connection it came by."""

    served: int
    """How many requests it has brought before."""
    full: asyncio.Event
    """Set while the peer does not take what was sent before."""

    async def send(self, data: bytes) -> None:
        """Waits while the peer does not take what was sent before."""

    def hang_up(self) -> None:
        """Closes it."""


@dataclass(slots=True)
class Exchange:
    """One request as it arrived, and what became of its answer."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: Connection
    number: int = 1
    """How many requests for this model there have been with it."""
    tokens: int = 0
    """Tokens sent so far."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """The first token is on its way."""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """What it waits for where its behaviour says so."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """The peer went away before its answer was complete."""
    left_at: float = 0.0
    """When it did, on the clock of `time.perf_counter`."""

    async def respond(self, status: str, body: bytes, headers: str = JSON) -> None:
        """Answers at once."""
        head = f"HTTP/1.1 {status}\r\n{headers}\r\ncontent-length: {len(body)}\r\n\r\n"
        await self.connection.send(head.encode() + body)

    async def refuse(self, status: str, code: str, headers: str = JSON) -> None:
        """Answers with an error in the protocol's form."""
        error = {"message": SECRET, "type": code, "code": code, "param": SECRET}
        await self.respond(status, json.dumps({"error": error}).encode(), headers)

    async def begin(self, status: str = "200 OK", kind: str = "text/event-stream") -> None:
        """The head of an answer in parts."""
        await self.send_raw(f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())

    async def send_raw(self, data: bytes) -> None:
        await self.connection.send(data)

    async def part(self, payload: bytes) -> None:
        """A part of an answer; the empty one is its end."""
        await self.connection.send(_part(payload))

    async def whole(self, **fields: Any) -> None:
        """An answer that is no stream."""
        named = {"id": "chatcmpl-stub", "object": "chat.completion", "created": 1, "model": "stub"}
        await self.respond("200 OK", json.dumps({**named, **fields, "usage": self.usage()}).encode())

    async def event(self, **fields: Any) -> None:
        await self.connection.send(_event(fields))

    async def write(self, *tokens: str) -> None:
        """Tokens, each in an event and a write of its own."""
        for token in tokens:
            await self.connection.send(_token(token))
            self.tokens += 1
            self.started.set()

    async def end(self, *, usage: bool = True) -> None:
        """Why the answer ended, what it used, and that nothing follows."""
        await self.event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if usage and self.body.get("stream_options", {}).get("include_usage"):
            await self.event(choices=[], usage=self.usage())
        await self.connection.send(_part(b"data: [DONE]\n\n") + _part(b""))

    def usage(self) -> dict[str, Any]:
        """Words for tokens; half of the prompt was cached."""
        prompt = sum(len(message["content"].split()) for message in self.body["messages"])
        details = {"cached_tokens": prompt // 2}
        return {"prompt_tokens": prompt, "completion_tokens": self.tokens, "prompt_tokens_details": details}


def _part(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _event(fields: dict[str, Any]) -> bytes:
    whole = {"id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1, "model": "stub", **fields}
    return _part(b"data: " + json.dumps(whole).encode() + b"\n\n")


@cache
def _token(text: str) -> bytes:
    return _event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
