"""What chat models are asked in the tests of their adapters, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from server.llm.http import Patience
from server.llm.port import ChatChunk, ChatModel, ChatRequest, Message

NOT_FOR_EVER = 30.0
"""What hangs is a failure, not a run without end."""

SILENCE = 0.2
"""How long a provider may say nothing in the tests of those that do: a busy machine may keep others from answering."""

IMPATIENT = Patience(streamed=SILENCE, vectors=SILENCE)
"""Of one that gives its answer in one piece the silence is its writing."""


def asking(model: str, **changes: Any) -> ChatRequest:
    """A short request of that model; the changes take the place of its fields."""
    given: dict[str, Any] = {"messages": [Message("user", "Say something.")], "temperature": 0.5, "max_tokens": 1000}
    return ChatRequest(model=model, **(given | changes))


async def heard_into(chunks: list[ChatChunk], chat: ChatModel, request: ChatRequest) -> None:
    """Adds what comes to the chunks, so that it is there when the rest fails."""
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(chat.stream(request)) as batches:
        async for batch in batches:
            chunks.extend(batch)


def text_of(chunks: Sequence[ChatChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)
