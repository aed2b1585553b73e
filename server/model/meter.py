"""What one call of one model uses, as it becomes known, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from time import perf_counter
from uuid import UUID

from server.kernel.clock import now
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7_at
from server.kernel.principal import Call
from server.llm.port import MOST_TOKENS, ChatChunk, ModelUnavailable, Usage
from server.model.domain import CallKind, CallLog, CallStatus, Model


@dataclass(slots=True)
class Meter:
    """One model's part in a call.

    `route`: the alias that was called; None where the model was. `prompt_version_id`: of the prompt that was named.
    `cached`: the answer was given before, and the model is not asked. `began_at`: when the call began, by which it is
    told in which minute and month it counts. `order`: of the models that it asks, which one this is.
    """

    call: Call
    model: Model
    kind: CallKind
    route: str | None = None
    prompt_version_id: UUID | None = None
    cached: bool = False
    began_at: datetime = field(default_factory=now)
    order: int = 0
    id: UUID = field(init=False)
    attempts: int = 0
    usage: Usage = field(default_factory=Usage)
    """Of every attempt so far: each is paid for."""
    reading: int = 0
    """Tokens of what its provider has been sent and has not told anything of yet, about."""
    finish_reason: str | None = None
    _before: Usage | None = None
    """Of the attempts before the last one, where they used anything."""
    _started: float = field(default_factory=perf_counter)
    _first_token: float | None = None
    _begun: bool = False
    _log: CallLog | None = None

    def __post_init__(self) -> None:
        self.id = uuid7_at(self.began_at, self.order)

    @property
    def begun(self) -> bool:
        """Whether the model has written anything, or ended without."""
        return self._begun

    @property
    def filtered(self) -> bool:
        """Whether the provider's filter has kept the whole answer back."""
        return not self._begun and self.finish_reason == "content_filter"

    @property
    def ended(self) -> bool:
        """Whether the record is made."""
        return self._log is not None

    @property
    def written(self) -> int:
        """Tokens that the last attempt has written."""
        return self.usage.completion_tokens - (0 if self._before is None else self._before.completion_tokens)

    @property
    def cost(self) -> Decimal | None:
        """Of what is used so far, in USD at the price that was in force when the call began; None: nothing known."""
        usage, price = self.usage, self.model.price
        return None if price is None else price.cost(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)

    def ask(self) -> None:
        """Begins an attempt."""
        self.attempts += 1
        if self.usage.prompt_tokens or self.usage.completion_tokens:
            self._before = self.usage

    def take(self, chunk: ChatChunk) -> None:
        """Counts what came."""
        if self._first_token is None and chunk.size:
            self._first_token = perf_counter()
            self._begun = True
        if chunk.usage is not None:
            self.usage = chunk.usage if self._before is None else self._before.and_also(chunk.usage)
            self.reading = 0
        if chunk.finish_reason is not None:
            self.finish_reason = chunk.finish_reason
            # What the filter says behind an end is a reason, and takes back nothing that was shown.
            self._begun = self._begun or not self.filtered

    def end(self, status: CallStatus, why: DomainError | str | None = None) -> CallLog:
        """The record of the call as it ends now, at the price that was in force when it began; the first end counts.
        `why`: what it failed with, or was ended with; a word where that is no error that callers are told.

        What was sent to a provider and is not waited for is read and paid for all the same.
        """
        if self._log is None:
            if status == "cancelled" and self.reading:
                read = min(self.usage.prompt_tokens + self.reading, MOST_TOKENS)
                self.usage = replace(self.usage, prompt_tokens=read, estimated=True)
            self._log = self._made(status, why)
            if self.attempts and self.call.used is not None:
                self.call.used(self._log.total_tokens, self._log.total_cost)
        return self._log

    def _made(self, status: CallStatus, why: DomainError | str | None) -> CallLog:
        usage, first = self.usage, self._first_token
        return CallLog(
            id=self.id,
            user_id=self.call.caller.user_id,
            model_id=self.model.id,
            kind=self.kind,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            total_cost=self.cost,
            latency_ms=_milliseconds(perf_counter() - self._started),
            time_to_first_token_ms=None if first is None else _milliseconds(first - self._started),
            status=status,
            error_code=why.reason if isinstance(why, DomainError) else why,
            finish_reason=self.finish_reason,
            trace_id=self.call.trace_id,
            request_id=self.call.request_id,
            created_at=self.began_at,
            api_key_id=self.call.caller.api_key_id,
            route=self.route,
            attempts=self.attempts,
            reasoning_tokens=usage.reasoning_tokens,
            prompt_template_version_id=self.prompt_version_id,
            cached=self.cached,
            workflow_execution_id=self.call.execution_id,
            task_id=self.call.task_id,
            outage=why.outage.name.lower() if isinstance(why, ModelUnavailable) else None,
        )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
