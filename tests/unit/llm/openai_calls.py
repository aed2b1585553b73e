"""Calls of the stubbed provider through the adapter for OpenAI's protocol, and what came of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from server.kernel.errors import DomainError
from server.llm.endpoint import HttpEndpoint
from server.llm.http import PATIENCE, Patience
from server.llm.openai import OpenAIChat, connect
from server.llm.port import ChatChunk, ChatRequest, Usage
from tests.fakes.openai_exchange import SECRET
from tests.unit.llm.chats import asking, heard_into


@asynccontextmanager
async def connected(base_url: str, key: str, patience: Patience = PATIENCE) -> AsyncIterator[HttpEndpoint]:
    """An endpoint at that address, closed when the context ends."""
    endpoint = connect(base_url, key, patience=patience)
    yield endpoint
    await endpoint.close()


async def answer(endpoint: HttpEndpoint, model: str, **changes: Any) -> list[ChatChunk]:
    """All that comes of it."""
    chunks: list[ChatChunk] = []
    await answer_into(chunks, endpoint, asking(model, **changes))
    return chunks


async def answer_into(chunks: list[ChatChunk], endpoint: HttpEndpoint, request: ChatRequest) -> None:
    """Adds what comes to the chunks, so that it is there when the rest fails."""
    await heard_into(chunks, OpenAIChat(endpoint), request)


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
