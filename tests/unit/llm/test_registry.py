"""Which endpoint a model is reached at, and with which key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest
from pydantic import SecretStr

from server.embedded.chat import LocalChat
from server.embedded.embedding import LocalEmbedding
from server.llm.openai import OpenAIEmbedding
from server.llm.port import ChatRequest, Message, ModelNotConfigured
from server.llm.registry import Endpoint, Registry
from server.settings import Settings
from tests.fakes.openai_stub import OpenAIStub
from tests.unit.llm.chats import NOT_FOR_EVER

CHAT, EMBEDDING = LocalChat(), LocalEmbedding()


@pytest.fixture
async def stubs() -> AsyncIterator[tuple[OpenAIStub, OpenAIStub]]:
    async with OpenAIStub() as one, OpenAIStub() as other:
        yield one, other


@pytest.fixture
async def opened() -> AsyncIterator[Any]:
    """Makes registries that are closed with the test."""
    async with AsyncExitStack() as stack:

        def open_registry(**settings: Any) -> Registry:
            made = Registry(Settings(**settings), {"local-chat": CHAT}, {"local-embedding": EMBEDDING})
            stack.push_async_callback(made.close)
            return made

        yield open_registry


def _at(
    provider: str, name: str, base_url: str | None, own_key: str | None = None, *, tenants: bool = False
) -> Endpoint:
    return Endpoint(provider, name, base_url, own_key, tenants)


async def _call(registry: Registry, provider: str, base_url: str | None) -> None:
    model = registry.chat(_at(provider, "stub-fast", base_url))
    request = ChatRequest("stub-fast", [Message("user", "Hi")], temperature=0, max_tokens=9)
    async with aclosing(model.stream(request)) as batches:
        async for _ in batches:
            pass


async def test_each_endpoint_gets_its_own_key_and_no_other(opened: Any, stubs: tuple[OpenAIStub, OpenAIStub]) -> None:
    keys = {stub.base_url: SecretStr(f"key-{number}") for number, stub in enumerate(stubs)}
    registry = opened(provider_keys=keys, openai_api_key=SecretStr("key-of-openai"))

    for stub in stubs:
        await _call(registry, "openai", stub.base_url)

    sent = [[exchange.headers["authorization"] for exchange in stub.exchanges] for stub in stubs]
    assert sent == [["Bearer key-0"], ["Bearer key-1"]]


async def test_an_endpoint_that_no_key_was_given_for_is_not_called(
    opened: Any, stubs: tuple[OpenAIStub, OpenAIStub]
) -> None:
    known, unknown = stubs
    registry = opened(
        provider_keys={known.base_url: SecretStr("key")},
        openai_api_key=SecretStr("key-of-openai"),
        anthropic_api_key=SecretStr("key-of-anthropic"),
    )

    for provider in ("openai", "anthropic", "custom"):
        for base_url in (
            unknown.base_url,
            f"{known.base_url}/deeper",
            known.base_url.replace("127.0.0.1", "localhost"),
        ):
            with pytest.raises(ModelNotConfigured):
                registry.chat(_at(provider, "stub-fast", base_url))
            with pytest.raises(ModelNotConfigured):
                registry.embedding(_at(provider, "stub-embed", base_url))
    assert (known.exchanges, unknown.exchanges) == ([], [])


async def test_an_endpoint_that_needs_no_key_is_sent_none(opened: Any, stub: OpenAIStub) -> None:
    registry = opened(provider_keys={stub.base_url: SecretStr("")}, openai_api_key=SecretStr("key-of-openai"))

    await _call(registry, "openai", stub.base_url)

    assert stub.exchanges[0].headers["authorization"] == "Bearer none"


async def test_a_slash_at_the_end_of_an_address_makes_no_difference(opened: Any, stub: OpenAIStub) -> None:
    registry = opened(provider_keys={f"{stub.base_url}/": SecretStr("key")})

    await _call(registry, "custom", stub.base_url)
    await _call(registry, "custom", f"{stub.base_url}/")

    assert [exchange.path for exchange in stub.exchanges] == ["/v1/chat/completions"] * 2
    assert stub.connections_made == 1


@pytest.mark.parametrize(
    ("provider", "settings"),
    [
        ("openai", {}),
        ("openai", {"anthropic_api_key": SecretStr("key")}),
        ("anthropic", {"openai_api_key": SecretStr("key")}),
        ("custom", {"openai_api_key": SecretStr("key"), "anthropic_api_key": SecretStr("key")}),
    ],
)
async def test_a_provider_without_its_key_is_not_configured(
    opened: Any, provider: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(ModelNotConfigured) as refusal:
        opened(**settings).chat(_at(provider, "gpt-4", None))

    assert refusal.value.subject == "gpt-4"


async def test_the_key_of_openai_goes_to_openai(opened: Any) -> None:
    found = opened(openai_api_key=SecretStr("key")).embedding(_at("openai", "text-embedding-3-large", None))

    assert isinstance(found, OpenAIEmbedding)
    assert found._endpoint.base_url == "https://api.openai.com/v1"
    assert found._endpoint.headers["Authorization"] == "Bearer key"


async def test_the_local_models_need_no_endpoint_and_are_not_looked_for_at_one(opened: Any, stub: OpenAIStub) -> None:
    registry = opened(provider_keys={stub.base_url: SecretStr("")})

    assert registry.chat(_at("custom", "local-chat", None)) is CHAT
    assert registry.embedding(_at("custom", "local-embedding", None)) is EMBEDDING
    assert registry.chat(_at("custom", "local-chat", stub.base_url)) is not CHAT


async def test_a_closed_registry_leaves_no_connection(stub: OpenAIStub) -> None:
    registry = Registry(Settings(provider_keys={stub.base_url: SecretStr("")}), {}, {})
    await _call(registry, "custom", stub.base_url)
    (connection,) = stub.connections

    await registry.close()

    async with asyncio.timeout(NOT_FOR_EVER):
        await connection.lost.wait()


@pytest.mark.parametrize("provider", ["custom", "anthropic"])
async def test_of_many_endpoints_those_called_last_stay_open(stub: OpenAIStub, provider: str) -> None:
    keys = {f"{stub.base_url}/{number}": SecretStr("") for number in range(3)}
    registry = Registry(Settings(provider_keys=keys), {}, {}, most=2)
    places = [registry.chat(_at(provider, "m", url)) for url in keys]

    again = [registry.chat(_at(provider, "m", url)) for url in reversed(keys)]

    endpoints = [getattr(model, "_endpoint") for model in (*places, *reversed(again))]  # noqa: B009
    assert [one is other for one, other in zip(endpoints[:3], endpoints[3:], strict=True)] == [False, True, True]
    await registry.close()


async def test_an_endpoint_that_is_given_up_serves_whoever_has_it_and_closes_behind_them(stub: OpenAIStub) -> None:
    registry = Registry(
        Settings(provider_keys={stub.base_url: SecretStr(""), "http://other": SecretStr("")}), {}, {}, most=1
    )
    model = registry.chat(_at("custom", "stub-slow-20", stub.base_url))
    request = ChatRequest("stub-slow-20", [Message("user", "Hi")], temperature=0, max_tokens=30)

    async with aclosing(model.stream(request)) as batches:
        text = [chunk.text for chunk in await anext(batches)]
        registry.chat(_at("custom", "m", "http://other"))
        text += [chunk.text async for batch in batches for chunk in batch]
    later = [chunk.text async for batch in model.stream(request) for chunk in batch]

    assert "".join(text) == "".join(later) == "".join(f"t{number} " for number in range(20))
    async with asyncio.timeout(NOT_FOR_EVER):
        for connection in stub.connections:
            await connection.lost.wait()
    await registry.close()
