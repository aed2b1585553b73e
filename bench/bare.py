"""The least that could be done: gRPC handlers with nothing around them, to hold the server against."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import grpc
import orjson

from atrium.identity.v1 import permission_pb2, session_pb2, user_pb2
from atrium.model.v1 import stream_pb2
from atrium.prompt.v1 import prompt_service_pb2 as prompt
from server.identity import convert
from server.identity.domain import User

SERVICE = "bare.Service"

ECHOED: dict[str, Any] = {
    "WhoAmI": session_pb2.WhoAmIResponse,
    "CheckPermission": permission_pb2.CheckPermissionResponse,
    "RenderPrompt": prompt.RenderPromptResponse,
}
"""Methods, and what they answer with."""


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


async def _run(handlers: dict[str, Any], ready: Callable[[int], None]) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ready(port)
    await server.wait_for_termination()


async def _as_it_is(_connection: Any) -> None: ...


async def unary(ready: Callable[[int], None], dsn: str, sql: str) -> None:
    """`Echo…`: give the answer to that method back. `GetUser`: reads the same columns by the same key, as the owner."""
    # Without the round trip by which a pool otherwise resets what is given back: a bare read leaves nothing behind.
    pool = await asyncpg.create_pool(dsn, min_size=10, max_size=10, reset=_as_it_is)

    async def echo(request: Any, _context: Any) -> Any:
        return request

    async def get_user(request: Any, _context: Any) -> Any:
        row = await pool.fetchrow(sql, UUID(request.id))
        return user_pb2.GetUserResponse(user=convert.user(User(*row)))

    handlers = {
        **{
            f"Echo{name}": grpc.unary_unary_rpc_method_handler(echo, answer.FromString, answer.SerializeToString)
            for name, answer in ECHOED.items()
        },
        "GetUser": grpc.unary_unary_rpc_method_handler(
            get_user, user_pb2.GetUserRequest.FromString, user_pb2.GetUserResponse.SerializeToString
        ),
    }
    await _run(handlers, ready)


async def pipe(ready: Callable[[int], None], base_url: str) -> None:
    """`Stream` reads a provider's answer off the socket and writes a message for each of its events."""
    address = urlsplit(base_url)

    async def stream(request: Any, context: Any) -> None:
        body = orjson.dumps(
            {
                "model": request.model,
                "messages": [{"role": "user", "content": "Hi"}],
                "stream": True,
                "max_tokens": 4096,
            }
        )
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"POST {address.path}/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        seq = 0
        while (line := await reader.readline()) and not line.startswith(b"data: [DONE]"):
            if line.startswith(b"data:"):
                choices = orjson.loads(line[5:])["choices"]
                if choices and (text := choices[0]["delta"].get("content")):
                    seq += 1
                    delta = stream_pb2.StreamChatResponse.Delta(text=text)
                    await context.write(stream_pb2.StreamChatResponse(seq=seq, delta=delta))
        writer.close()

    handler = grpc.unary_stream_rpc_method_handler(
        stream, stream_pb2.StreamChatRequest.FromString, stream_pb2.StreamChatResponse.SerializeToString
    )
    await _run({"Stream": handler}, ready)
