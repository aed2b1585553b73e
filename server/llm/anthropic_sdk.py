"""The anthropic SDK, which speaks through httpx2, and its connections: imported when a model of it is first called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import httpx2
from anthropic import AnthropicError, APIConnectionError, AsyncAnthropic, AsyncStream, RequestOptions

from server.llm.http import (
    CONNECT_SECONDS,
    DRAIN_SECONDS,
    MOST_CONNECTIONS,
    Connections,
    Refused,
    not_public,
    refusal,
)
from server.llm.port import ModelAnswerBroken, ModelResponseInvalid, ModelUnavailable, Outage
from server.net.addresses import AddressRefused, public_address

_MOST_KEPT = 100
"""As the SDKs have it by default."""

_NOT_EVERYWHERE = frozenset({"temperature"})
"""What some models refuse, and do without."""

_LOOPBACK: dict[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}
"""What is on this machine is reached directly, whatever HTTP_PROXY says."""


_SENT: ContextVar[Callable[[], None]] = ContextVar("sent")
"""Whom to tell that a request has gone out: the SDK passes nothing of ours on to its connections."""


class Client:
    """The SDK's client of one endpoint, which connects, authenticates and maps failures."""

    def __init__(self, base_url: str, key: str, credentials: Mapping[str, str], *, guarded: bool) -> None:
        """`guarded`: it is called at a public address only."""
        self._client = AsyncAnthropic(
            base_url=base_url,
            api_key=key,
            max_retries=0,
            http_client=_connections(guarded=guarded),
            # Named here, since the SDK lets ANTHROPIC_CUSTOM_HEADERS replace what is only derived from the key.
            default_headers=credentials,
            open_telemetry=False,
        )

    @asynccontextmanager
    async def messages(
        self,
        model: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        complete: Callable[[], bool],
        known: Connections,
        *,
        silence: float,
        sent: Callable[[], None],
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """What comes of an answer; leaving the context ends what is still being written. `silence`: seconds for which
        nothing may come.

        Failures are raised in our words. Nothing that the provider said is passed on. `complete`: whether the answer is
        all there already, so that the loss of its connection is no failure. `known`: what models do not take. `sent`:
        called once it has gone out.
        """
        _SENT.set(sent)
        options: RequestOptions = {"headers": headers, "timeout": httpx2.Timeout(silence, connect=CONNECT_SECONDS)}
        with _failures(model, complete):
            response = await self._accepted(body, options, known)
            async with aclosing(response):
                yield response.aiter_bytes()

    async def _accepted(self, body: Mapping[str, Any], options: RequestOptions, known: Connections) -> Any:
        """The answer to the request in the form that the model takes, which is learned from its refusals."""
        model: str = body["model"]
        while True:
            refused = known.refused(model)
            try:
                return await self._client.post(
                    "/v1/messages",
                    body={name: value for name, value in body.items() if name not in refused},
                    options=options,
                    cast_to=httpx2.Response,
                    stream=True,
                    stream_cls=AsyncStream[Any],
                )
            except APIConnectionError as error:
                cause = error.__cause__
                if (
                    not isinstance(cause, Refused)
                    or cause.status != 400
                    or cause.param not in _NOT_EVERYWHERE - refused
                ):
                    raise
                known.refuses(model, cause.param)

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.close()


async def drain(parts: AsyncIterator[bytes]) -> None:
    """Reads what is behind an answer's end. Whatever is wrong with it, the answer is complete."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in parts:
                pass


@contextmanager
def _failures(model: str, complete: Callable[[], bool]) -> Iterator[None]:
    try:
        yield
    except APIConnectionError as error:
        if isinstance(error.__cause__, Refused):  # the SDK takes what its connections raise for a loss
            raise error.__cause__.told(model, "messages") from None
        raise _away(error.__cause__) from error
    except (httpx2.HTTPError, httpx2.StreamError, AnthropicError) as error:
        if complete():
            return
        if isinstance(error, httpx2.TimeoutException):
            raise _away(error) from error
        broken = isinstance(error, httpx2.TransportError)
        raise (ModelAnswerBroken if broken else ModelResponseInvalid) from error


def _away(cause: BaseException | None) -> ModelUnavailable:
    silent = isinstance(cause, httpx2.ReadTimeout)
    return ModelUnavailable(outage=Outage.SILENT if silent else Outage.UNREACHABLE)


def _connections(*, guarded: bool) -> httpx2.AsyncClient:
    """They do not follow to other addresses: neither the key nor the conversation is for them."""
    return _Http(
        limits=httpx2.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=_MOST_KEPT),
        follow_redirects=False,
        mounts=_LOOPBACK,
        event_hooks={"request": [_guard] if guarded else [], "response": [_check]},
    )


class _Http(httpx2.AsyncClient):
    """Sends once more what went down a kept connection that its other end had closed meanwhile.

    Nobody has answered such a request, and any provider closes an idle connection at some time.
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
        if event == "http11.send_request_headers.complete":
            _SENT.get()()
        self.reached = self.reached or event in (
            "connection.connect_tcp.started",
            "http11.receive_response_headers.complete",
        )


async def _guard(request: httpx2.Request) -> None:
    """Sends the request to the address that was looked at. Raises Refused for one that is not public."""
    host = request.extensions.get("sni_hostname") or request.url.host  # it may be sent a second time
    try:
        address = await public_address(host, request.url.port or 443)
    except AddressRefused:
        raise not_public() from None
    except OSError as error:
        raise httpx2.ConnectError(str(error)) from error
    request.extensions = {**request.extensions, "sni_hostname": host}
    request.url = request.url.copy_with(host=address)


async def _check(response: httpx2.Response) -> None:
    """Raises Refused for a refusal."""
    if not response.is_success:
        raise await refusal(response.status_code, response.headers, response.aiter_bytes(), (httpx2.HTTPError,))
