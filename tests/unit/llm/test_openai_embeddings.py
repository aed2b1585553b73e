"""Vectors in OpenAI's protocol, from a provider that has the right ones and from others."""

from __future__ import annotations

import asyncio

import pytest

from server.kernel.errors import DomainError
from server.llm.endpoint import HttpEndpoint
from server.llm.http import Patience
from server.llm.openai import OpenAIEmbedding
from server.llm.port import (
    ModelCredentialRefused,
    ModelRateLimited,
    ModelRequestRejected,
    ModelResponseInvalid,
    ModelUnavailable,
    Outage,
    Usage,
)
from tests.fakes.openai_embeddings import vector
from tests.fakes.openai_stub import OpenAIStub
from tests.unit.llm.chats import NOT_FOR_EVER, SILENCE
from tests.unit.llm.openai_calls import connected, holds_nothing_of_the_provider

TEXTS = ["one", "two words", "三"]


@pytest.mark.parametrize("model", ["stub-embed-4", "stub-embed-floats-4", "stub-embed-reversed-4"])
async def test_vectors_come_in_the_order_of_the_texts(endpoint: HttpEndpoint, model: str) -> None:
    found = await OpenAIEmbedding(endpoint, model).embed(TEXTS, {})

    assert [one.tolist() for one in found.vectors] == [vector(text, 4) for text in TEXTS]
    assert found.usage == Usage(prompt_tokens=4)


async def test_a_vector_of_another_length_than_the_models_is_none(endpoint: HttpEndpoint) -> None:
    with pytest.raises(ModelResponseInvalid):
        await OpenAIEmbedding(endpoint, "stub-embed-4", dimensions=8).embed(TEXTS, {})


async def test_the_length_is_asked_for_where_the_endpoint_knows_of_it(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    for shortens in (True, False):
        await OpenAIEmbedding(endpoint, "stub-embed-4", dimensions=4, shortens=shortens).embed(TEXTS, {})

    assert [exchange.body.get("dimensions") for exchange in stub.exchanges] == [4, None]


async def test_texts_and_headers_go_to_the_provider(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    await OpenAIEmbedding(endpoint, "stub-embed").embed(TEXTS, {"x-request-id": "request-1"})

    (exchange,) = stub.exchanges
    assert (exchange.method, exchange.path) == ("POST", "/v1/embeddings")
    assert exchange.body == {"model": "stub-embed", "input": TEXTS, "encoding_format": "base64"}
    assert (exchange.headers["authorization"], exchange.headers["x-request-id"]) == (
        "Bearer key-of-the-stub",
        "request-1",
    )


async def test_one_text_is_waited_for_by_a_time_of_its_own(stub: OpenAIStub) -> None:
    async with connected(stub.base_url, "", Patience(vector=SILENCE)) as endpoint, asyncio.timeout(NOT_FOR_EVER):
        with pytest.raises(ModelUnavailable) as refusal:
            await OpenAIEmbedding(endpoint, "stub-silent").embed(TEXTS[:1], {})

    assert refusal.value.outage is Outage.SILENT


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("stub-401", ModelCredentialRefused),
        ("stub-400", ModelRequestRejected),
        ("stub-429", ModelRateLimited),
        ("stub-500", ModelUnavailable),
        ("stub-endless-error", ModelUnavailable),
        ("stub-silent", ModelUnavailable),
        ("stub-hang-up", ModelUnavailable),
        ("stub-html", ModelResponseInvalid),
        ("stub-embed-short", ModelResponseInvalid),
        ("stub-embed-ragged", ModelResponseInvalid),
        ("stub-embed-twice", ModelResponseInvalid),
        ("stub-embed-beyond", ModelResponseInvalid),
        ("stub-embed-nan", ModelResponseInvalid),
        ("stub-embed-0", ModelResponseInvalid),
        ("stub-embed-endless", ModelResponseInvalid),
    ],
)
async def test_a_provider_without_the_right_vectors_fails_in_our_words(
    endpoint: HttpEndpoint, impatient: HttpEndpoint, model: str, kind: type[DomainError]
) -> None:
    async with asyncio.timeout(NOT_FOR_EVER):
        with pytest.raises(DomainError) as refusal:
            await OpenAIEmbedding(impatient if model == "stub-silent" else endpoint, model).embed(TEXTS, {})

    assert type(refusal.value) is kind
    assert holds_nothing_of_the_provider(refusal.value)
