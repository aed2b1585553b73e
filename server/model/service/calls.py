"""Calls to models: resolved, made, metered and written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from uuid import UUID

from server.kernel.clock import now
from server.kernel.errors import DomainError, Unavailable
from server.kernel.principal import Call, current_call
from server.llm.port import (
    ChatChunk,
    ChatModel,
    ChatRequest,
    EmbeddingModel,
    EmbeddingResult,
    Message,
    ModelRateLimited,
)
from server.model.attempts import MOST_SWITCHES, Attempts, Began, Plan
from server.model.breakers import Breakers
from server.model.catalogue import Catalogue, Catalogues
from server.model.domain import (
    CallLog,
    CallStatus,
    Model,
    ModelDisabled,
    ModelKindMismatch,
    ModelNotAllowed,
    ModelNotFound,
    ModelNotNamed,
)
from server.model.ledger import Ledger
from server.model.limits import Claim, claims, subject_of
from server.model.meter import Meter
from server.model.relay import relay
from server.model.routes import Retry, Route, shuffled
from server.model.service.books import Books, Entry
from server.model.service.reach import Reach

_RETRY = Retry()
_AROUND_A_TEXT = 16
"""Tokens that a provider's template adds to each message at most."""

_RANDOM = Random()  # noqa: S311 - it spreads load, and keeps no secret

HEARTBEAT_SECONDS = 10.0
_READ_AHEAD_CHARACTERS = 262_144

_INTERNAL = "INTERNAL"
"""What the record says of a mistake of ours, as the caller is told."""


@dataclass(frozen=True, slots=True)
class ChatCall:
    """What a caller asks of a model or route; what is None or empty is the tenant's default."""

    model: str
    messages: Sequence[Message]
    temperature: float | None
    max_tokens: int | None
    stop: Sequence[str]
    seed: int | None
    continue_on_failure: bool = False


@dataclass(frozen=True, slots=True)
class Deprecated:
    """The model should not be used any more; `replacement`: the one to use in its place."""

    model: str
    replacement: str | None


@dataclass(frozen=True, slots=True)
class Started:
    """A model begins to answer. `route`: the alias that was called."""

    model: str
    call_log_id: UUID
    route: str | None
    deprecated: Deprecated | None


@dataclass(frozen=True, slots=True)
class Switched:
    """Another model goes on, since the one before broke off with `failed`."""

    model: str
    call_log_id: UUID
    failed: DomainError


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


ChatEvent = Started | Switched | Delta | Heartbeat | Ended


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A whole answer. `log`: its record."""

    text: str
    model: str
    log: CallLog
    deprecated: Deprecated | None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector an input, in their order."""

    vectors: Sequence[Sequence[float]]
    model: str
    log: CallLog
    deprecated: Deprecated | None


class CallService:
    """Calls models for the tenants. No database connection is held while a model answers."""

    def __init__(
        self,
        catalogues: Catalogues,
        reach: Reach,
        breakers: Breakers,
        ledger: Ledger,
        books: Books,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`heartbeat`: seconds of a model's silence after which a stream says that it is alive."""
        self._catalogues = catalogues
        self._reach = reach
        self._breakers = breakers
        self._ledger = ledger
        self._books = books
        self._heartbeat = heartbeat

    async def stream_chat(self, asked: ChatCall) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """The answer as it is written, in batches of whatever has come: Started, then the rest, then one Ended.

        Raises what is wrong before a model is asked; what goes wrong afterwards is told by Ended. Closed or cancelled
        before its end, it stops the model's work and has the records written with what was used until then.
        """
        attempts, request, route, claims = await self._prepare(asked)
        tenant_id = current_call().caller.tenant_id
        hold = await self._ledger.reserve(tenant_id, claims)
        source = attempts.stream(request)
        try:
            async with relay(source, idle=self._heartbeat, most=_READ_AHEAD_CHARACTERS, size=_size) as batches:
                async for batch in batches:
                    yield tuple(_events(batch, route)) if batch else (Heartbeat(),)
            failure, log = None, attempts.meters[-1].end("success")
        except DomainError as error:
            failure, log = error, attempts.meters[-1].end("error", error.reason)
        except (asyncio.CancelledError, GeneratorExit):
            self._books.enter_later(tenant_id, Entry(_ended(attempts, "cancelled"), hold))
            raise
        except Exception:
            self._books.enter_later(tenant_id, Entry(_ended(attempts, "error", _INTERNAL), hold))
            raise
        await self._books.enter(tenant_id, Entry(_ended(attempts, log.status), hold))
        yield (Ended(log, failure),)

    async def chat(self, asked: ChatCall) -> ChatAnswer:
        """The whole answer. Raises what is wrong with the call, and what the provider fails with."""
        parts: list[str] = []
        async with aclosing(self.stream_chat(asked)) as batches:
            async for batch in batches:
                for event in batch:
                    match event:
                        case Started():
                            started = event
                        case Delta(text):
                            parts.append(text)
                        case Ended(log, error):
                            if error is not None:
                                raise error
                            return ChatAnswer("".join(parts), started.model, log, started.deprecated)
        raise AssertionError("a chat ends with Ended")

    async def embed(self, name: str, inputs: Sequence[str]) -> Embeddings:
        """A vector for each input. Raises what is wrong with the call, and what the provider fails with."""
        tenant_id = current_call().caller.tenant_id
        catalogue = await self._catalogues.of(tenant_id)
        model = catalogue.model(self._named(name or catalogue.settings.default_embedding_model), "embedding")
        embedder = self._reach.embedding(catalogue, model)
        meter = Meter(current_call(), model, "embedding")
        hold = await self._ledger.reserve(tenant_id, _claims(catalogue, lambda: (_most_tokens(inputs), 0), [model]))
        try:
            result = await self._embedded(meter, embedder, inputs)
        except DomainError as error:
            await self._books.enter(tenant_id, Entry([meter.end("error", error.reason)], hold))
            raise
        except asyncio.CancelledError:
            self._books.enter_later(tenant_id, Entry([meter.end("cancelled")], hold))
            raise
        except Exception:
            self._books.enter_later(tenant_id, Entry([meter.end("error", _INTERNAL)], hold))
            raise
        meter.usage = result.usage
        log = meter.end("success")
        await self._books.enter(tenant_id, Entry([log], hold))
        return Embeddings(result.vectors, model.name, log, _deprecated(model))

    async def _embedded(self, meter: Meter, embedder: EmbeddingModel, inputs: Sequence[str]) -> EmbeddingResult:
        while True:
            meter.attempts += 1
            try:
                return await embedder.embed(inputs, _carried(meter.call))
            except (Unavailable, ModelRateLimited) as error:
                if (pause := _RETRY.wait(meter.attempts, error.retry_after, _RANDOM)) is None:
                    raise
            await asyncio.sleep(pause)

    async def _prepare(
        self, asked: ChatCall
    ) -> tuple[Attempts, Callable[[Model], ChatRequest], str | None, Sequence[Claim]]:
        """Who is asked what, the alias that was called, and what the call may use at most."""
        call = current_call()
        catalogue = await self._catalogues.of(call.caller.tenant_id)
        settings = catalogue.settings
        named = self._named(asked.model or settings.default_model)
        route = catalogue.route(named)
        plan = _planned(catalogue, named) if route is None else _routed(catalogue, route, asked)
        alias = None if route is None else route.alias

        def request(model: Model) -> ChatRequest:
            ceiling = min(filter(None, (settings.max_tokens_per_request, model.max_tokens)))
            return ChatRequest(
                model=model.name,
                messages=asked.messages,
                temperature=float(settings.temperature) if asked.temperature is None else asked.temperature,
                max_tokens=min(asked.max_tokens or ceiling, ceiling),
                stop=asked.stop,
                seed=asked.seed,
                headers=_carried(call),
            )

        def metered(model: Model) -> Meter:
            return Meter(call, model, "chat", alias)

        def reach(model: Model) -> ChatModel:
            return self._reach.chat(catalogue, model)

        def most() -> tuple[int, int]:
            answers = 1 + (MOST_SWITCHES if plan.continues else 0)
            prompt = _most_tokens([message.content for message in asked.messages])
            written = max(request(model).max_tokens for model in plan.models)
            # Whoever goes on reads what was written before it too.
            return prompt * answers + written * (answers - 1), written

        return Attempts(plan, reach, metered, self._breakers), request, alias, _claims(catalogue, most, plan.models)

    def _named(self, name: str | None) -> str:
        """What the call goes to. Raises ModelNotNamed, and ModelNotAllowed where its key is for others."""
        if not name:
            raise ModelNotNamed
        allowed = current_call().caller.allowed_models
        if allowed is not None and name not in allowed:
            raise ModelNotAllowed(model=name)
        return name


def _claims(catalogue: Catalogue, most: Callable[[], tuple[int, int]], models: Sequence[Model]) -> Sequence[Claim]:
    """What a call of one of these models may use of the limits that it counts in; `most`: tokens read and written."""
    caller = current_call().caller
    subjects = ("tenant", subject_of(caller.user_id, None), subject_of(None, caller.api_key_id))
    limited = [
        (subject, catalogue.limits[subject]) for subject in dict.fromkeys(subjects) if subject in catalogue.limits
    ]
    if not limited:
        return ()
    read, written = most()
    costs = [model.price.cost(read, written) for model in models if model.price is not None]
    return claims(limited, read + written, max(costs, default=Decimal(0)), now())


def _most_tokens(texts: Sequence[str]) -> int:
    """No tokenizer that providers use makes more tokens than bytes; the rest is what they put around each text."""
    return sum(len(text.encode()) + _AROUND_A_TEXT for text in texts)


def _planned(catalogue: Catalogue, named: str) -> Plan:
    """One model, asked again where it fails for a moment."""
    return Plan(catalogue.tenant_id, [catalogue.model(named, "chat")], {}, _RETRY, cooldown=0, cooldown_after=1)


def _routed(catalogue: Catalogue, route: Route, asked: ChatCall) -> Plan:
    """The route's models. Raises what is wrong with the first where none can be called."""

    def callable_ones(names: Sequence[str]) -> list[Model]:
        found = []
        for name in names:
            with suppress(ModelNotFound, ModelDisabled, ModelKindMismatch):
                found.append(catalogue.model(name, "chat"))
        return found

    order = shuffled(route.targets, _RANDOM)
    fallbacks = {failure: callable_ones(names) for failure, names in route.fallbacks.items()}
    targets = callable_ones(order)
    if not targets and not fallbacks.get("outage"):
        catalogue.model(order[0], "chat")
    return Plan(
        catalogue.tenant_id,
        targets,
        fallbacks,
        route.retry,
        route.cooldown_seconds,
        route.cooldown_after,
        asked.continue_on_failure,
    )


def _events(batch: Sequence[ChatChunk | Began], route: str | None) -> Iterator[ChatEvent]:
    for item in batch:
        match item:
            case Began(meter, None):
                yield Started(meter.model.name, meter.id, route, _deprecated(meter.model))
            case Began(meter, DomainError() as failed):
                yield Switched(meter.model.name, meter.id, failed)
            case ChatChunk(text=text) if text:
                yield Delta(text)


def _ended(attempts: Attempts, status: CallStatus, error_code: str | None = None) -> list[CallLog]:
    """The records of all that were asked."""
    return [meter.end(status, error_code) for meter in attempts.meters]


def _deprecated(model: Model) -> Deprecated | None:
    return Deprecated(model.name, model.replacement) if model.is_deprecated(now()) else None


def _carried(call: Call) -> dict[str, str]:
    """What an upstream call carries on, so that the provider's records can be matched with ours."""
    return {"traceparent": call.traceparent, "x-request-id": call.request_id}


def _size(item: ChatChunk | Began) -> int:
    return len(item.text) if isinstance(item, ChatChunk) else 0
