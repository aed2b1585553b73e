"""What a call comes to: whom it may ask and in which order, what they are asked, and what it may use at most."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import count

import orjson

from server.kernel.clock import now
from server.kernel.principal import Call, current_call
from server.llm.port import NO_PARAMETERS, ChatModel, ChatRequest, Tool, Usage
from server.model.attempts import RANDOM, Attempts, Plan
from server.model.breakers import Breakers
from server.model.catalogue import NOT_CALLABLE, Catalogue, Catalogues
from server.model.chat import ChatCall
from server.model.domain import (
    Model,
    ModelNotAllowed,
    ModelNotNamed,
    ModelWithoutTools,
)
from server.model.limits import Claim, beyond, claims, subjects_of
from server.model.meter import Meter
from server.model.ports import CallSettings
from server.model.routes import Retry, Route, shuffled
from server.model.service.reach import Reach

RETRY = Retry()
"""How a model by itself is tried again."""


_SOME_TOOL = Tool("some", "", NO_PARAMETERS)

_LEAST_ROOM = 8
"""A call that names no limit may write an eighth of the most at least, whatever it reads. How much that is, is known
but about, and an answer of one token is none; a provider without room for so much refuses, and another is asked.
"""

_AROUND_A_TEXT = 16
"""Tokens that a provider's template adds to each message at most."""

_AROUND_A_BUILT_IN_CHAT = 64
"""Tokens that it begins with where nobody says how: SmolLM2's template has 27 of its own."""

_AROUND_CLAUDES_TOOLS = 640
"""Tokens that tell it how to call them: up to 530 (docs.anthropic.com, "Tool use", pricing)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chat that is about to be made. `attempts`: nobody is chosen yet; `question`: all that its answer depends on,
    hashed; None: it is not kept.
    """

    catalogue: Catalogue
    plan: Plan
    attempts: Attempts
    request: Callable[[Model], ChatRequest]
    route: str | None
    claims: Sequence[Claim]
    cache_ttl: int | None
    question: bytes | None


class Planner:
    """Resolves what calls name."""

    def __init__(self, catalogues: Catalogues, reach: Reach, breakers: Breakers) -> None:
        self._catalogues = catalogues
        self._reach = reach
        self._breakers = breakers

    async def catalogue(self) -> Catalogue:
        """What the caller's tenant can call."""
        return await self._catalogues.of(current_call().caller.tenant_id)

    async def meter(self, asked: ChatCall) -> Meter | None:
        """To record a call that comes to nothing: of the model that it would have asked; None where there is none."""
        catalogue = await self.catalogue()
        name = asked.model or catalogue.settings.default_model or ""
        route = catalogue.route(name)
        found = map(catalogue.find, [name] if route is None else route.models)
        model = next((model for model in found if model is not None), None)
        alias = None if route is None else route.alias
        return None if model is None else Meter(current_call(), model, "chat", alias, asked.prompt_version_id)

    async def calls_tools(self, asked: ChatCall) -> bool:
        """Whether tools can go with it. Raises what else is wrong before any model is asked."""
        catalogue = await self.catalogue()
        name = named(catalogue, asked.model or catalogue.settings.default_model)
        try:
            _plan(catalogue, name, replace(asked, tools=[_SOME_TOOL]))
        except ModelWithoutTools:
            return False
        return True

    async def chat(self, asked: ChatCall) -> Prepared:
        """Raises what is wrong before any model is asked."""
        call = current_call()
        catalogue = await self.catalogue()
        settings = catalogue.settings
        name = named(catalogue, asked.model or settings.default_model)
        route = catalogue.route(name)
        plan = _plan(catalogue, name, asked)
        alias = None if route is None else route.alias

        began_at = now()
        read = about_tokens([message.text for message in asked.messages])

        def most_written(model: Model) -> int:
            ceiling = min(filter(None, (settings.max_tokens_per_request, model.max_tokens)))
            # What is read and what is written have the model's context between them.
            room = ceiling if model.max_tokens is None else min(ceiling, model.max_tokens - read)
            return min(asked.max_tokens or max(room, ceiling // _LEAST_ROOM, 1), ceiling)

        def request(model: Model) -> ChatRequest:
            return ChatRequest(
                model=model.upstream,
                label=model.name,
                messages=asked.messages,
                temperature=float(settings.temperature) if asked.temperature is None else asked.temperature,
                max_tokens=most_written(model),
                stop=asked.stop,
                seed=asked.seed,
                tools=asked.tools,
                tool_choice=asked.tool_choice,
                response_format=asked.response_format,
                headers=carried(call),
                streams=model.supports_streaming,
                line=str(plan.tenant_id),
            )

        order = count()

        def metered(model: Model) -> Meter:
            return Meter(call, model, "chat", alias, asked.prompt_version_id, began_at=began_at, order=next(order))

        def reach(model: Model) -> ChatModel:
            return self._reach.chat(catalogue, model)

        def most() -> tuple[int, int]:
            """Of one answer: what another try, or another model, needs beside it is held when it comes to that."""
            return _most_read(asked, plan.models), max(map(most_written, plan.models))

        ttl = asked.cache_ttl or (route.cache_ttl_seconds if route is not None else None)
        reserved = claimed(catalogue, most, plan.models, began_at)
        question = None if ttl is None else _question(plan, asked, settings)
        attempts = Attempts(plan, reach, metered, self._breakers)
        return Prepared(catalogue, plan, attempts, request, alias, reserved, ttl, question)


def named(catalogue: Catalogue, name: str | None) -> str:
    """What the call goes to. Raises ModelNotNamed, and ModelNotAllowed where its key is for others."""
    if not name:
        raise ModelNotNamed
    allowed = current_call().caller.allowed_models
    if allowed is not None and name not in allowed:
        model = catalogue.find(name)  # by its id it is the one that its name means, or another
        if model is None or model.name not in allowed or catalogue.find(model.name) is not model:
            raise ModelNotAllowed(model=name)
    return name


def carried(call: Call) -> dict[str, str]:
    """What an upstream call carries on, so that the provider's records can be matched with ours."""
    return {"traceparent": call.traceparent, "x-request-id": call.request_id}


def claimed(
    catalogue: Catalogue, most: Callable[[], tuple[int, int]], models: Sequence[Model], began_at: datetime
) -> Sequence[Claim]:
    """What a call of one of these models may use of the limits that it counts in; `most`: tokens read and written."""
    if not catalogue.limits:
        return ()
    caller = current_call().caller
    subjects = subjects_of(caller.user_id, caller.api_key_id)
    limited = [(subject, catalogue.limits[subject]) for subject in subjects if subject in catalogue.limits]
    if not limited:
        return ()
    read, written = most()
    costs = [model.price.most(read, written) for model in models if model.price is not None]
    return claims(limited, read + written, max(costs, default=Decimal(0)), began_at)


def further(held: Sequence[Claim], used: Sequence[Meter], model: Model, request: ChatRequest) -> Sequence[Claim]:
    """What a call has yet to claim where the model is asked that too, beside what it holds and has used."""
    if not held:
        return ()
    read, written = _most_read(request, [model]), request.max_tokens
    tokens = sum(meter.usage.prompt_tokens + meter.usage.completion_tokens for meter in used)
    cost = sum((meter.cost or Decimal(0) for meter in used), Decimal(0))
    if model.price is not None:
        cost += model.price.most(read, written)
    return beyond(held, tokens + read + written, cost)


def again(held: Sequence[Claim], wasted: Usage, model: Model, texts: Sequence[str]) -> Sequence[Claim]:
    """What a call for the vectors of these texts has yet to claim where tries for some of them have wasted that."""
    if not held:
        return ()
    read = wasted.prompt_tokens + most_tokens(texts)
    return beyond(held, read, Decimal(0) if model.price is None else model.price.most(read, 0))


def most_tokens(texts: Sequence[str]) -> int:
    """No tokenizer that providers use makes more tokens than bytes; the rest is what they put around each text."""
    return sum(len(text.encode()) + _AROUND_A_TEXT for text in texts)


def about_tokens(texts: Sequence[str]) -> int:
    """What reading these takes, about: a token to three bytes, fewer than most languages have, and a template's own."""
    return sum(len(text.encode()) // 3 + _AROUND_A_TEXT for text in texts)


def _most_read(request: ChatCall | ChatRequest, models: Sequence[Model]) -> int:
    texts = [message.text for message in request.messages]
    texts += [orjson.dumps(part).decode() for part in (request.tools, request.response_format) if part]
    return most_tokens(texts) + max(_around(model, tools=bool(request.tools)) for model in models)


def _around(model: Model, *, tools: bool) -> int:
    """What is read beside the messages, where that is known."""
    if model.provider == "anthropic" and tools:
        return _AROUND_CLAUDES_TOOLS
    return _AROUND_A_BUILT_IN_CHAT if model.provider == "custom" and model.base_url is None else 0


def _plan(catalogue: Catalogue, name: str, asked: ChatCall) -> Plan:
    """Raises what is wrong with what it would go to."""
    route = catalogue.route(name)
    return _planned(catalogue, name, asked) if route is None else _routed(catalogue, route, asked)


def _planned(catalogue: Catalogue, name: str, asked: ChatCall) -> Plan:
    """One model, asked again where it fails for a moment."""
    model = catalogue.model(name, "chat")
    if asked.tools and not model.supports_function_calling:
        raise ModelWithoutTools(model.name)
    return Plan(catalogue.tenant_id, None, [model], {}, RETRY, cooldown=0, cooldown_after=1)


def _routed(catalogue: Catalogue, route: Route, asked: ChatCall) -> Plan:
    """The route's models. Raises what is wrong with the first where none can be called."""

    def callable_ones(names: Sequence[str], *, all_do: bool = not asked.tools) -> list[Model]:
        found = []
        for name in names:
            with suppress(*NOT_CALLABLE):
                model = catalogue.model(name, "chat")
                if all_do or model.supports_function_calling:
                    found.append(model)
        return found

    order = shuffled(route.targets, RANDOM)
    fallbacks = {failure: callable_ones(names) for failure, names in route.fallbacks.items()}
    targets = callable_ones(order)
    if not targets and not fallbacks.get("outage"):
        others = callable_ones([*order, *route.fallbacks.get("outage", ())], all_do=True)
        raise ModelWithoutTools((others[0] if others else catalogue.model(order[0], "chat")).name)
    return Plan(
        catalogue.tenant_id,
        route.id,
        targets,
        fallbacks,
        route.retry,
        route.cooldown_seconds,
        route.cooldown_after,
        asked.continue_on_failure,
    )


def _question(plan: Plan, asked: ChatCall, settings: CallSettings) -> bytes:
    """Who might answer, as they are now, and everything that they are asked, whoever comes first."""
    models = sorted((str(model.id), model.revision) for model in plan.models)
    question = [
        models,
        asked.messages,
        float(settings.temperature) if asked.temperature is None else asked.temperature,
        [asked.max_tokens, settings.max_tokens_per_request],
        asked.stop,
        asked.seed,
        asked.tools,
        asked.tool_choice,
        asked.response_format,
    ]
    return hashlib.sha256(orjson.dumps(question, option=orjson.OPT_SORT_KEYS)).digest()
