"""A model that answers as a test says, and calls of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from server.kernel.features import Feature
from server.kernel.principal import Call, begin_call
from server.llm.port import (
    ChatChunk,
    ChatRequest,
    Message,
)
from server.model.chat import ChatAnswer, ChatCall, ChatEvent
from server.model.service.calls import CallService

AT_ONCE = 0.01
NOT_FOR_EVER = 10.0

Records = Callable[[], Awaitable[list[dict[str, Any]]]]


class Script:
    """A chat model that writes, waits and fails as it is told."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.given = 0
        self.asked: ChatRequest | None = None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        self.asked = request
        for step in self.steps:
            self.given += 1
            match step:
                case Exception():
                    raise step
                case asyncio.Event():
                    await step.wait()
                case float():
                    await asyncio.sleep(step)
                case _:
                    yield (step,)


@dataclass(frozen=True)
class Settings:
    """A tenant's settings, and where they are read."""

    default_model: str | None = "scripted"
    default_embedding_model: str | None = None
    temperature: Decimal = Decimal("0.7")
    max_tokens_per_request: int = 100
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    monthly_token_quota: int | None = None
    monthly_cost_quota_usd: Decimal | None = None
    max_parallel_calls: int | None = None
    store_prompts: bool = False
    prompt_retention_days: int = 30
    call_log_retention_days: int = 400

    async def model_settings(self, tenant_id: UUID) -> Settings:
        return self

    async def features(self, tenant_id: UUID) -> tuple[frozenset[Feature], None]:
        return frozenset(Feature), None


def asked(**changes: Any) -> ChatCall:
    given = {"model": "", "messages": [Message("user", "Hi")], "temperature": None, "max_tokens": None}
    return ChatCall(**(given | {"stop": (), "seed": None} | changes))


async def events_of(calls: CallService, caller: Call) -> list[ChatEvent]:
    begin_call(caller)
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(calls.stream_chat(asked())) as batches:
        return [event async for batch in batches for event in batch]


def as_it_is(answer: ChatAnswer) -> ChatAnswer:
    """What a test has told of an answer."""
    return answer
