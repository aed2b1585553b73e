"""Calls of the stubbed provider through the adapter for OpenAI's protocol, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from server.kernel.errors import DomainError
from server.llm.endpoint import HttpEndpoint
from server.llm.openai import OpenAIChat, connect
from server.llm.port import ChatChunk, ChatRequest, Message, Usage
from tests.fakes.openai_exchange import SECRET

SILENCE = 0.2
"""How long the provider may say nothing in these tests."""

NOT_FOR_EVER = 10.0
"""What hangs is a failure, not a run without end."""


@asynccontextmanager
async def connected(base_url: str, key: str) -> AsyncIterator[HttpEndpoint]:
    """An endpoint at that address, closed when the context ends."""
    endpoint = connect(base_url, key, silence=SILENCE)
    yield endpoint
    await endpoint.close()


def asking(model: str, **changes: Any) -> ChatRequest:
    """A short request of that model; the changes take the place of its fields."""
    given: dict[str, Any] = {"messages": [Message("user", "Say something.")], "temperature": 0.5, "max_tokens": 1000}
    return ChatRequest(model=model, **(given | changes))


async def answer(endpoint: HttpEndpoint, model: str, **changes: Any) -> list[ChatChunk]:
    """All that comes of it."""
    chunks: list[ChatChunk] = []
    await answer_into(chunks, endpoint, asking(model, **changes))
    return chunks


async def answer_into(chunks: list[ChatChunk], endpoint: HttpEndpoint, request: ChatRequest) -> None:
    """Adds what comes to the chunks, so that it is there when the rest fails."""
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(OpenAIChat(endpoint).stream(request)) as batches:
        async for batch in batches:
            chunks.extend(batch)


def text_of(chunks: Sequence[ChatChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def usage_of(chunks: Sequence[ChatChunk]) -> Usage | None:
    """What was last said to be used."""
    return next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)


def holds_nothing_of_the_provider(error: DomainError) -> bool:
    """Whether none of what the caller is told repeats the stub's secret."""
    told = [
        error.message,
        *error.fields.values(),
        *(text for pair in getattr(error, "violations", ()) for text in pair),
    ]
    return not any(SECRET in text for text in told)
