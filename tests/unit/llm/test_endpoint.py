"""Where the connections to an endpoint lead, and where they never do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from server.llm.endpoint import HttpEndpoint
from server.llm.http import PATIENCE, Refused
from server.llm.port import ModelNotConfigured
from tests.fakes.openai_stub import OpenAIStub

NOT_FOR_EVER = 10.0


@asynccontextmanager
async def _endpoint(base_url: str, *, guarded: bool) -> AsyncIterator[HttpEndpoint]:
    made = HttpEndpoint(base_url, "key", patience=PATIENCE, guarded=guarded)
    try:
        yield made
    finally:
        await made.close()


async def _asked(endpoint: HttpEndpoint) -> bytes:
    body: dict[str, Any] = {"model": "stub-fast", "messages": [], "max_tokens": 5, "stream": True}
    async with (
        asyncio.timeout(NOT_FOR_EVER),
        endpoint.post("/chat/completions", body, {}, silence=NOT_FOR_EVER) as content,
    ):
        return await content.read()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_what_a_tenant_names_is_not_called_in_the_servers_network(stub: OpenAIStub, host: str) -> None:
    async with _endpoint(f"http://{host}:{stub.port}/v1", guarded=True) as endpoint:
        with pytest.raises((Refused, aiohttp.ClientConnectionError)):
            await _asked(endpoint)

    assert stub.connections_made == 0


async def test_what_the_platform_names_is(stub: OpenAIStub) -> None:
    async with _endpoint(f"http://localhost:{stub.port}/v1", guarded=False) as endpoint:
        assert b"[DONE]" in await _asked(endpoint)


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_proxy_of_the_environment_is_asked_for_a_public_address(
    stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{stub.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    async with _endpoint("http://1.1.1.1/v1", guarded=guarded) as endpoint:
        assert b"[DONE]" in await _asked(endpoint)

    assert [exchange.headers["host"] for exchange in stub.exchanges] == ["1.1.1.1"]


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.1", "169.254.169.254"])
async def test_a_proxy_is_not_asked_for_a_private_address_that_a_tenant_names(
    stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{stub.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    async with _endpoint(f"http://{host}/v1", guarded=True) as endpoint:
        with pytest.raises(Refused) as refusal:
            await _asked(endpoint)

    assert type(refusal.value.told("model", "messages")) is ModelNotConfigured
    assert stub.connections_made == 0
