"""The connections of one process to one endpoint of models, over aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson

from server.llm.http import (
    CONNECT_SECONDS,
    DRAIN_SECONDS,
    MOST_CONNECTIONS,
    Connections,
    Patience,
    authorization,
    not_public,
    refusal,
)
from server.net.addresses import AddressRefused
from server.net.ways import pinned, proxy_of, public_socket

_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "atrium",
    "Accept-Encoding": "identity",  # an answer is read as it is written
}


class HttpEndpoint(Connections):
    """Posts JSON to the paths of a base URL, and reads what comes back.

    It follows to no other address: neither the key nor the conversation is for it. It does not try again, but where a
    kept connection turns out to have been closed by its other end: nobody has answered what went down it. llama.cpp
    closes each connection after its answer without a word of it, and any provider closes an idle one at some time.
    """

    def __init__(self, base_url: str, key: str, *, patience: Patience, guarded: bool) -> None:
        """`guarded`: it is called at a public address only."""
        super().__init__()
        self.base_url = base_url
        self.headers = {**_HEADERS, **authorization(key)}
        self.patience = patience
        self._proxy = proxy_of(base_url)
        self._guarded = guarded
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        silence: float,
        sent: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The content of a successful answer; leaving the context ends what is still being written. `silence`: seconds
        for which nothing may come. `sent`: called once the request has gone out.

        Raises Refused, and what aiohttp raises.
        """
        async with self.used():
            session = self._session = self._session or self._opened()
            url, headers = f"{self.base_url}{path}", {**self.headers, **headers}
            asked: dict[str, Any] = {"url": url, "headers": headers, "proxy": self._proxy}
            asked["timeout"] = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
            async with await self._answered(session, asked, orjson.dumps(body), sent) as response:
                if response.status // 100 != 2:
                    lost = (aiohttp.ClientError, TimeoutError)
                    raise await refusal(response.status, response.headers, response.content.iter_any(), lost)
                try:
                    yield response.content
                except RuntimeError as error:
                    if not session.closed:
                        raise
                    raise aiohttp.ClientConnectionError(
                        str(error)
                    ) from error  # it was closed here in the midst of reading

    async def _answered(
        self, session: aiohttp.ClientSession, target: dict[str, Any], body: bytes, sent: Callable[[], None]
    ) -> aiohttp.ClientResponse:
        if self._guarded and self._proxy is not None:
            target |= await self._checked(target["url"], target["headers"])
        while True:
            connection = SimpleNamespace(reused=True, sent=sent)  # unless one has to be made
            try:
                return await session.post(data=body, allow_redirects=False, trace_request_ctx=connection, **target)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not connection.reused:
                    raise
            except (AddressRefused, ValueError):  # the latter: nothing can be where it is said to be
                raise not_public() from None

    async def _checked(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """What to ask a proxy for."""
        try:
            return await pinned(url, headers)
        except (AddressRefused, ValueError):
            raise not_public() from None
        except OSError as error:
            raise aiohttp.ClientConnectionError(str(error)) from error

    def _opened(self) -> aiohttp.ClientSession:
        watched = aiohttp.TraceConfig()
        watched.on_connection_create_start.append(_created)
        watched.on_request_headers_sent.append(_sent)
        factory = public_socket if self._guarded and self._proxy is None else None
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, socket_factory=factory),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[watched],
        )


async def drained(content: aiohttp.StreamReader) -> None:
    """Reads what is behind an answer's end. Whatever is wrong with it, the answer is complete."""
    if content.at_eof():
        return
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in content.iter_any():
                pass


async def _created(_session: object, context: SimpleNamespace, _: object) -> None:
    context.trace_request_ctx.reused = False


async def _sent(_session: object, context: SimpleNamespace, _: object) -> None:
    context.trace_request_ctx.sent()
