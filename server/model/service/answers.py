"""Answers as other slices ask for them: turns of a conversation in, text and an end out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal
from uuid import UUID

from server.kernel.errors import DomainError
from server.llm.port import Message
from server.model.chat import ChatCall, Delta, Ended, Heartbeat
from server.model.domain import CallLog
from server.model.service.calls import CallService

Turn = tuple[Literal["system", "user", "assistant"], str]


@dataclass(frozen=True, slots=True)
class Answered:
    """The end of an answer. `cost`: USD; None: no price is in force. `error`: what the model failed with."""

    call_log_id: UUID
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    total_tokens: int
    cost: Decimal | None
    finish_reason: str | None
    error: DomainError | None


class Answers:
    """Has chat models answer for the caller, as StreamChat does."""

    def __init__(self, calls: CallService) -> None:
        self._calls = calls

    async def stream(
        self, model: str, turns: Sequence[Turn], max_tokens: int | None, temperature: float | None
    ) -> AsyncGenerator[str | Answered | None, None]:
        """What is written; "" once it begins, None where nothing new comes for a while; and its end.

        Raises what is wrong before a model is asked.
        """
        messages = [Message(role, content) for role, content in turns]
        asked = ChatCall(model, messages, temperature=temperature, max_tokens=max_tokens)
        async with aclosing(self._calls.stream_chat(asked)) as batches:
            async for batch in batches:
                for event in batch:
                    match event:
                        case Delta(text):
                            yield text
                        case Heartbeat():
                            yield None
                        case Ended(logs, error):
                            yield answered(logs, error)
                        case _:
                            yield ""


def answered(logs: Sequence[CallLog], error: DomainError | None) -> Answered:
    """Of all models that were asked, and the last one's record."""
    costs = [log.total_cost for log in logs if log.total_cost is not None]
    return Answered(
        logs[-1].id,
        sum(log.prompt_tokens for log in logs),
        sum(log.completion_tokens for log in logs),
        sum(log.cached_tokens for log in logs),
        sum(log.reasoning_tokens for log in logs),
        sum(log.total_tokens for log in logs),
        sum(costs, Decimal()) if costs else None,
        logs[-1].finish_reason,
        error,
    )
