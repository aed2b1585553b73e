"""What tests of adapters start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.llm.anthropic import AnthropicEndpoint
from server.llm.endpoint import HttpEndpoint
from tests.fakes.openai_stub import OpenAIStub
from tests.unit.llm.chats import IMPATIENT
from tests.unit.llm.openai_calls import connected


@pytest.fixture
async def endpoint(stub: OpenAIStub) -> AsyncIterator[HttpEndpoint]:
    """The stub, in OpenAI's protocol."""
    async with connected(stub.base_url, "key-of-the-stub") as made:
        yield made


@pytest.fixture
async def claude(stub: OpenAIStub) -> AsyncIterator[AnthropicEndpoint]:
    """The stub, in Anthropic's protocol."""
    made = AnthropicEndpoint(stub.base_url, "key-of-the-stub")
    await made.client()  # loads the SDK, which takes a busy machine longer than anything else here
    yield made
    await made.close()


@pytest.fixture
async def impatient(stub: OpenAIStub) -> AsyncIterator[HttpEndpoint]:
    """The same, which is given up where it says nothing for a moment."""
    async with connected(stub.base_url, "key-of-the-stub", IMPATIENT) as made:
        yield made
