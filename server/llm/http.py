"""How providers are reached over HTTP, whatever protocol they speak, and how they refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from math import isnan
from typing import Any

import httpx2
import orjson

from server.kernel.errors import DomainError
from server.llm.addresses import AddressRefused, public_address
from server.llm.port import (
    ModelContentFiltered,
    ModelContextExceeded,
    ModelNotConfigured,
    ModelRateLimited,
    ModelRequestRejected,
    ModelUnavailable,
)

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""The longest that a provider may say nothing at all before it counts as gone."""

DRAIN_SECONDS = 0.05
"""How long the bytes behind an answer's last line are waited for: with them read, its connection can serve again."""

_MOST_CONNECTIONS = 1000
_MOST_KEPT = 100
"""As the SDKs have it by default."""

# What OpenAI's API, Azure's, vLLM's, llama.cpp's and Anthropic's call these failures.
_TOO_LONG = frozenset(
    {"context_length_exceeded", "string_above_max_length", "exceed_context_size_error", "request_too_large"}
)
_FILTERED = frozenset({"content_filter", "content_policy_violation"})

_TOO_LONG_AT_ANTHROPIC = "prompt is too long"
"""Its only sign there: the type is that of every malformed request."""

_MOST_ERROR_BYTES = 65_536
_LOOPBACK: dict[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}
"""What is on this machine is reached directly, whatever HTTP_PROXY says."""


NO_KEY = "none"
"""What an endpoint is given that asks for no key: the protocols have no request without one."""


def authorization(key: str | None) -> dict[str, str]:
    """The header that carries the key; None: no header."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def connections(silence: float, *, guarded: bool) -> httpx2.AsyncClient:
    """Connections for an SDK's client. `silence`: seconds that the endpoint may say nothing. `guarded`: it is called at
    a public address only.

    They do not follow to other addresses: neither the key nor the conversation is for them. A refusal raises Refused.
    """
    return _Http(
        timeout=httpx2.Timeout(silence, connect=CONNECT_SECONDS),
        limits=httpx2.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_KEPT),
        follow_redirects=False,
        mounts=_LOOPBACK,
        event_hooks={"request": [_guard] if guarded else [], "response": [_check]},
    )


class _Http(httpx2.AsyncClient):
    """Sends once more what went down a kept connection that its other end had closed meanwhile.

    Nobody has answered such a request. llama.cpp closes each connection after its answer without a word of it, and any
    provider closes an idle one at some time.
    """

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        while True:
            trace = request.extensions["trace"] = _Trace()
            try:
                return await super().send(request, **options)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                if trace.reached:
                    raise


class _Trace:
    """Whether a request got a new connection or an answer: no failure after these is that of a stale connection."""

    def __init__(self) -> None:
        self.reached = False

    async def __call__(self, event: str, info: dict[str, Any]) -> None:  # noqa: ARG002
        self.reached = self.reached or event in (
            "connection.connect_tcp.started",
            "http11.receive_response_headers.complete",
        )


class Refused(Exception):
    """The endpoint answers with a status that is no success."""

    def __init__(self, status: int, code: str, retry_after: float) -> None:
        super().__init__(status)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    def told(self, model: str, field: str) -> DomainError:
        """The same in our words."""
        match self.status:
            case 429:
                # Where the account is empty, waiting does not fill it.
                return ModelRateLimited(model, None if self.code == "insufficient_quota" else self.retry_after)
            case 401 | 402 | 403 | 404 | 405:
                return ModelNotConfigured(model)
            case status if status < 400:  # it has moved, and its address is the operator's to change
                return ModelNotConfigured(model)
            case status if status >= 500 or status in (408, 425):
                return ModelUnavailable(self.retry_after)
        if self.code in _TOO_LONG:
            return ModelContextExceeded([(field, "is longer than the model takes")])
        if self.code in _FILTERED:
            return ModelContentFiltered([(field, "is refused by the provider's filter")])
        return ModelRequestRejected([(field, "the model's provider refuses the request")])


async def _guard(request: httpx2.Request) -> None:
    """Sends the request to the address that was looked at. Raises Refused for one that is not public."""
    host = request.extensions.get("sni_hostname") or request.url.host  # it may be sent a second time
    try:
        address = await public_address(host, request.url.port or 443)
    except AddressRefused:
        raise Refused(403, "", 0.0) from None
    except OSError as error:
        raise httpx2.ConnectError(str(error)) from error
    request.extensions = {**request.extensions, "sni_hostname": host}
    request.url = request.url.copy_with(host=address)


async def _check(response: httpx2.Response) -> None:
    """Raises Refused for a refusal, of whose text no more is read than is needed: it may have no end."""
    if response.is_success:
        return
    content, _ = await read(response.aiter_bytes(), _MOST_ERROR_BYTES)
    code = ""
    with suppress(ValueError, LookupError, TypeError):  # many a refusal has no such form
        error = orjson.loads(content)["error"]
        code = str(error.get("code", ""))
        if not code.isidentifier():  # llama.cpp repeats the status there, and says it in the type
            code = str(error["type"])
        if str(error.get("message")).startswith(_TOO_LONG_AT_ANTHROPIC):
            code = "context_length_exceeded"
    raise Refused(response.status_code, code, _retry_after(response.headers))


async def read(parts: AsyncIterator[bytes], most: int) -> tuple[bytes, bool]:
    """The parts together, and whether they are all of it; reading stops beyond `most` bytes."""
    content = bytearray()
    async for part in parts:
        content += part
        if len(content) > most:
            return bytes(content), False
    return bytes(content), True


async def drain(parts: AsyncIterator[bytes]) -> None:
    """Reads what is behind an answer's end. Whatever is wrong with it, the answer is complete."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in parts:
                pass


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; 1 where the header is missing or a date."""
    try:
        seconds = float(headers.get("retry-after", "1"))
    except ValueError:
        return 1.0
    return 1.0 if isnan(seconds) else min(max(seconds, 0.0), 3600.0)
