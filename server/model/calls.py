"""Calls to models: resolved, made, metered and written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag

from server.db.database import Database
from server.kernel.clock import now
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.kernel.principal import Call, current_call
from server.kernel.sealing import MasterKeyUnknown
from server.kernel.tasks import Background
from server.llm.port import ChatChunk, ChatRequest, Message, ModelNotConfigured, Usage
from server.llm.registry import Registry
from server.model import store
from server.model.credentials import Vault
from server.model.domain import (
    CallDefaults,
    CallKind,
    CallLog,
    CallStatus,
    Model,
    ModelDisabled,
    ModelKindMismatch,
    ModelNotAllowed,
    ModelNotNamed,
    SealedCredential,
)
from server.model.ports import TenantSettings
from server.model.relay import relay

_log = structlog.get_logger("atrium.model")

HEARTBEAT_SECONDS = 10.0
_READ_AHEAD_CHARACTERS = 262_144

_INTERNAL = "INTERNAL"
"""What the record says of a mistake of ours, as the caller is told."""


@dataclass(frozen=True, slots=True)
class ChatCall:
    """What a caller asks of a chat model; what is None or empty is the tenant's default."""

    model: str
    messages: Sequence[Message]
    temperature: float | None
    max_tokens: int | None
    stop: Sequence[str]
    seed: int | None


@dataclass(frozen=True, slots=True)
class Started:
    """The model is being asked."""

    model: str
    call_log_id: UUID


@dataclass(frozen=True, slots=True)
class Delta:
    """The model wrote more."""

    text: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing new, and the model is still at work."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over and its record written. `error`: what the provider failed with, None where it did not."""

    log: CallLog
    error: DomainError | None


ChatEvent = Started | Delta | Heartbeat | Ended


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A whole answer. `log`: its record."""

    text: str
    model: str
    log: CallLog


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector an input, in their order."""

    vectors: Sequence[Sequence[float]]
    model: str
    log: CallLog


@dataclass(slots=True)
class _Meter:
    """What one call uses, as it becomes known."""

    call: Call
    model: Model
    kind: CallKind
    id: UUID = field(default_factory=uuid7)
    started: float = field(default_factory=perf_counter)
    first_token: float | None = None
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None

    def take(self, chunk: ChatChunk) -> None:
        if chunk.text and self.first_token is None:
            self.first_token = perf_counter()
        self.usage = chunk.usage or self.usage
        self.finish_reason = chunk.finish_reason or self.finish_reason

    def log(self, status: CallStatus, error_code: str | None = None) -> CallLog:
        """The record of the call as it ends now, at the price that was in force when it began."""
        usage, price = self.usage, self.model.price
        first = self.first_token
        return CallLog(
            id=self.id,
            user_id=self.call.caller.user_id,
            model_id=self.model.id,
            kind=self.kind,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            total_cost=None
            if price is None
            else price.cost(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens),
            latency_ms=_milliseconds(perf_counter() - self.started),
            time_to_first_token_ms=None if first is None else _milliseconds(first - self.started),
            status=status,
            error_code=error_code,
            finish_reason=self.finish_reason,
            trace_id=self.call.trace_id,
            request_id=self.call.request_id,
            created_at=now(),
        )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


class CallService:
    """Calls models for the tenants. No database connection is held while a model answers."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        vault: Vault,
        settings: TenantSettings,
        background: Background,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`heartbeat`: seconds of a model's silence after which a stream says that it is alive."""
        self._database = database
        self._registry = registry
        self._vault = vault
        self._settings = settings
        self._background = background
        self._heartbeat = heartbeat

    async def stream_chat(self, asked: ChatCall) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """The answer as it is written, in batches of whatever has come: Started, then the rest, then one Ended.

        Raises what is wrong before the model is asked; what goes wrong afterwards is told by Ended. Closed or cancelled
        before its end, it stops the model's work and has the record written with what was used until then.
        """
        model, request, own_key = await self._resolve_chat(asked)
        source = self._registry.chat(model.provider, model.name, model.base_url, own_key).stream(request)
        meter = _Meter(current_call(), model, "chat")
        try:
            async with relay(source, idle=self._heartbeat, most=_READ_AHEAD_CHARACTERS, size=_size) as batches:
                yield (Started(model.name, meter.id),)
                async for batch in batches:
                    for chunk in batch:
                        meter.take(chunk)
                    if batch:
                        yield tuple(Delta(chunk.text) for chunk in batch if chunk.text)
                    else:
                        yield (Heartbeat(),)
            failure, log = None, meter.log("success")
        except DomainError as error:
            failure, log = error, meter.log("error", error.reason)
        except (asyncio.CancelledError, GeneratorExit):
            self._write_later(meter.log("cancelled"))
            raise
        except Exception:
            self._write_later(meter.log("error", _INTERNAL))
            raise
        await self._write(log)
        yield (Ended(log, failure),)

    async def chat(self, asked: ChatCall) -> ChatAnswer:
        """The whole answer. Raises what is wrong with the call, and what the provider fails with."""
        parts: list[str] = []
        name = ""
        async with aclosing(self.stream_chat(asked)) as batches:
            async for batch in batches:
                for event in batch:
                    match event:
                        case Started(model, _):
                            name = model
                        case Delta(text):
                            parts.append(text)
                        case Ended(log, error):
                            if error is not None:
                                raise error
                            return ChatAnswer("".join(parts), name, log)
        raise AssertionError("a chat ends with Ended")

    async def embed(self, name: str, inputs: Sequence[str]) -> Embeddings:
        """A vector for each input. Raises what is wrong with the call, and what the provider fails with."""
        model, _, own_key = await self._resolve(name, "embedding")
        embedder = self._registry.embedding(model.provider, model.name, model.base_url, own_key)
        meter = _Meter(current_call(), model, "embedding")
        try:
            result = await embedder.embed(inputs, _carried(meter.call))
        except DomainError as error:
            await self._write(meter.log("error", error.reason))
            raise
        except asyncio.CancelledError:
            self._write_later(meter.log("cancelled"))
            raise
        except Exception:
            self._write_later(meter.log("error", _INTERNAL))
            raise
        meter.usage = result.usage
        log = meter.log("success")
        await self._write(log)
        return Embeddings(result.vectors, model.name, log)

    async def _resolve_chat(self, asked: ChatCall) -> tuple[Model, ChatRequest, str | None]:
        model, defaults, own_key = await self._resolve(asked.model, "chat")
        call = current_call()
        ceiling = min(filter(None, (defaults.max_tokens, model.max_tokens)))
        request = ChatRequest(
            model=model.name,
            messages=asked.messages,
            temperature=defaults.temperature if asked.temperature is None else asked.temperature,
            max_tokens=min(asked.max_tokens or ceiling, ceiling),
            stop=asked.stop,
            seed=asked.seed,
            headers=_carried(call),
        )
        return model, request, own_key

    async def _resolve(self, name: str, kind: CallKind) -> tuple[Model, CallDefaults, str | None]:
        """The model that the call names, by name or id, or else the tenant's default one; and the tenant's own key."""
        tenant_id = current_call().caller.tenant_id
        settings = self._settings.model_defaults(tenant_id)
        if name:  # then neither read waits for the other: the first token is what the caller waits for
            told, (model, sealed) = await asyncio.gather(settings, store.find(self._database, tenant_id, name))
            defaults = CallDefaults(*told)
        else:
            defaults = CallDefaults(*await settings)
            named = defaults.model if kind == "chat" else defaults.embedding_model
            if not named:
                raise ModelNotNamed
            model, sealed = await store.find(self._database, tenant_id, named)
        allowed = current_call().caller.allowed_models
        if allowed is not None and model.name not in allowed:
            raise ModelNotAllowed(model=model.name)
        if model.status == "disabled":
            raise ModelDisabled(model.name)
        if model.model_type != kind:
            raise ModelKindMismatch(model.name)
        return model, defaults, None if sealed is None else self._opened(tenant_id, sealed, model.name)

    def _opened(self, tenant_id: UUID, sealed: SealedCredential, model: str) -> str:
        try:
            return self._vault.open(tenant_id, sealed)
        except (InvalidTag, MasterKeyUnknown):
            # Never the server's own key in its place: who brings a key pays with it.
            _log.error("a credential does not open", credential_id=sealed.id, tenant_id=tenant_id)
            raise ModelNotConfigured(model) from None

    async def _write(self, log: CallLog) -> None:
        """Returns when the record is there; it is written even if the caller leaves meanwhile."""
        await asyncio.shield(self._write_later(log))

    def _write_later(self, log: CallLog) -> asyncio.Task[None]:
        return self._background.start(self._add(log), "call log")

    async def _add(self, log: CallLog) -> None:
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            await store.add_log(tx, log)


def _carried(call: Call) -> dict[str, str]:
    """What an upstream call carries on, so that the provider's records can be matched with ours."""
    return {"traceparent": call.traceparent, "x-request-id": call.request_id}


def _size(chunk: ChatChunk) -> int:
    return len(chunk.text)
