"""Between the model slice's protos and its domain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, credential_pb2, model_pb2, route_pb2, tenant_model_pb2
from atrium.model.v1 import model_service_pb2 as pb
from server.kernel.clock import now
from server.kernel.errors import etag_of
from server.kernel.masks import masked
from server.llm.port import Message
from server.model.breakers import Health
from server.model.domain import CallLog, Credential, Model, NewCredential, NewModel, Price
from server.model.routes import (
    BACKOFF_SECONDS,
    COOLDOWN_AFTER,
    COOLDOWN_SECONDS,
    FAILURES,
    MAX_ATTEMPTS,
    Failure,
    NewRoute,
    Retry,
    Target,
)
from server.model.service.calls import (
    ChatAnswer,
    ChatCall,
    ChatEvent,
    Delta,
    Deprecated,
    Embeddings,
    Ended,
    Heartbeat,
    Started,
    Switched,
)
from server.model.service.routes import RouteWithHealth
from server.rpc.wire import (
    EnumMap,
    changes,
    duration_ms,
    moment,
    money,
    present,
    timestamp,
    uuid_or_none,
)

PROVIDERS = EnumMap(
    {
        "openai": model_pb2.Model.PROVIDER_OPENAI,
        "anthropic": model_pb2.Model.PROVIDER_ANTHROPIC,
        "custom": model_pb2.Model.PROVIDER_CUSTOM,
    }
)
TYPES = EnumMap({"chat": model_pb2.Model.TYPE_CHAT, "embedding": model_pb2.Model.TYPE_EMBEDDING})
STATES = EnumMap(
    {
        "active": model_pb2.Model.STATE_ACTIVE,
        "deprecated": model_pb2.Model.STATE_DEPRECATED,
        "disabled": model_pb2.Model.STATE_DISABLED,
    }
)
KINDS = EnumMap({"chat": call_log_pb2.CallLog.KIND_CHAT, "embedding": call_log_pb2.CallLog.KIND_EMBEDDING})
STATUSES = EnumMap(
    {
        "success": call_log_pb2.CallLog.STATUS_SUCCESS,
        "error": call_log_pb2.CallLog.STATUS_ERROR,
        "cancelled": call_log_pb2.CallLog.STATUS_CANCELLED,
    }
)
ROLES = EnumMap(
    {
        "system": chat_pb2.ChatMessage.ROLE_SYSTEM,
        "user": chat_pb2.ChatMessage.ROLE_USER,
        "assistant": chat_pb2.ChatMessage.ROLE_ASSISTANT,
    }
)
_FINISH = {
    None: chat_pb2.FINISH_REASON_UNSPECIFIED,
    "stop": chat_pb2.FINISH_REASON_STOP,
    "length": chat_pb2.FINISH_REASON_LENGTH,
    "content_filter": chat_pb2.FINISH_REASON_CONTENT_FILTER,
}


def model(value: Model, *, platform: bool) -> model_pb2.Model:
    """`platform`: for the platform's administrators, who alone see where a model is reached."""
    return model_pb2.Model(
        id=str(value.id),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        name=value.name,
        provider=PROVIDERS.number[value.provider],
        type=TYPES.number[value.model_type],
        state=STATES.number[value.status],
        description=value.description,
        max_tokens=value.max_tokens,
        dimensions=value.dimensions,
        supports_streaming=value.supports_streaming,
        supports_function_calling=value.supports_function_calling,
        base_url=value.base_url if platform or value.own else None,
        price=None if value.price is None else _price(value.price),
        etag=etag_of(value.revision),
        deprecate_time=timestamp(value.deprecates_at),
        replacement=value.replacement,
    )


def _price(value: Price) -> model_pb2.ModelPrice:
    return model_pb2.ModelPrice(
        input_cost_per_1k=money(value.input_per_1k),
        output_cost_per_1k=money(value.output_per_1k),
        cached_input_cost_per_1k=money(value.cached_input_per_1k),
    )


def price(value: model_pb2.ModelPrice) -> Price:
    cached = Decimal(value.cached_input_cost_per_1k) if value.HasField("cached_input_cost_per_1k") else None
    return Price(Decimal(value.input_cost_per_1k), Decimal(value.output_cost_per_1k), cached)


def new_model(request: pb.CreateModelRequest | tenant_model_pb2.CreateTenantModelRequest) -> NewModel:
    return NewModel(
        name=request.name,
        provider=PROVIDERS.word[request.provider],
        model_type=TYPES.word[request.type],
        supports_streaming=request.supports_streaming,
        supports_function_calling=request.supports_function_calling,
        price=price(request.price),
        **present(request, "description", "max_tokens", "dimensions", "base_url"),
    )


_CHANGEABLE = ("description", "max_tokens", "supports_function_calling", "base_url", "state", "deprecate_time")


def model_changes(request: pb.UpdateModelRequest) -> dict[str, Any]:
    return _columns(request, changes(request, *_CHANGEABLE, "replacement"))


def tenant_model_changes(request: tenant_model_pb2.UpdateTenantModelRequest) -> dict[str, Any]:
    values = _columns(request, changes(request, *_CHANGEABLE, "price"))
    if "price" in values:
        values["price"] = price(request.price)
    return values


def _columns(request: Any, values: dict[str, Any]) -> dict[str, Any]:
    if "state" in values:
        values["status"] = STATES.word[values.pop("state")]
    if "deprecate_time" in values:
        del values["deprecate_time"]
        values["deprecates_at"] = moment(request, "deprecate_time")
    return values


def model_filters(request: pb.ListModelsRequest) -> dict[str, Any]:
    wanted = {
        "provider": PROVIDERS.word.get(request.provider),
        "model_type": TYPES.word.get(request.type),
        "status": STATES.word.get(request.state),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def chat_call(request: pb.ChatRequest | pb.StreamChatRequest) -> ChatCall:
    return ChatCall(
        model=request.model,
        messages=[Message(ROLES.word[message.role], message.content) for message in request.messages],
        stop=list(request.stop),
        continue_on_failure=isinstance(request, pb.StreamChatRequest) and request.continue_on_failure,
        **present(request, "temperature", "max_tokens", "seed"),
    )


def usage(log: CallLog) -> chat_pb2.Usage:
    return chat_pb2.Usage(
        prompt_tokens=log.prompt_tokens,
        completion_tokens=log.completion_tokens,
        cached_tokens=log.cached_tokens,
        total_tokens=log.total_tokens,
        cost_usd=money(log.total_cost),
    )


def finish_reason(log: CallLog) -> Any:
    return _FINISH.get(log.finish_reason, chat_pb2.FINISH_REASON_OTHER)


def chat_answer(value: ChatAnswer) -> pb.ChatResponse:
    return pb.ChatResponse(
        message=chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_ASSISTANT, content=value.text),
        finish_reason=finish_reason(value.log),
        usage=usage(value.log),
        model=value.model,
        latency=duration_ms(value.log.latency_ms),
        call_log_id=str(value.log.id),
        deprecation=_deprecation(value.deprecated),
        route=value.log.route,
    )


def _deprecation(value: Deprecated | None) -> model_pb2.Deprecation | None:
    return None if value is None else model_pb2.Deprecation(model=value.model, replacement=value.replacement)


def chat_events(event: ChatEvent, seq: int) -> Sequence[pb.StreamChatResponse]:
    """The event's messages, numbered from `seq`: the end is two, what was used and how it ended."""
    match event:
        case Delta(text):
            return (pb.StreamChatResponse(seq=seq, delta=pb.StreamChatResponse.Delta(text=text)),)
        case Started(name, log_id, route, deprecated):
            started = pb.StreamChatResponse.Started(
                model=name, call_log_id=str(log_id), route=route or "", deprecation=_deprecation(deprecated)
            )
            return (pb.StreamChatResponse(seq=seq, started=started),)
        case Switched(name, log_id, error):
            switched = pb.StreamChatResponse.Switched(model=name, call_log_id=str(log_id), reason=reason(error.reason))
            return (pb.StreamChatResponse(seq=seq, switched=switched),)
        case Heartbeat():
            return (pb.StreamChatResponse(seq=seq, heartbeat=pb.StreamChatResponse.Heartbeat()),)
        case Ended(log, error):
            used = pb.StreamChatResponse(seq=seq, usage=usage(log))
            if error is None:
                completed = pb.StreamChatResponse.Completed(
                    finish_reason=finish_reason(log),
                    latency=duration_ms(log.latency_ms),
                    time_to_first_token=duration_ms(log.time_to_first_token_ms),
                )
                return used, pb.StreamChatResponse(seq=seq + 1, completed=completed)
            failed = pb.StreamChatResponse.Failed(reason=reason(error.reason), message=error.message)
            return used, pb.StreamChatResponse(seq=seq + 1, failed=failed)


def reason(name: str | None) -> Any:
    """The enum value of a domain error's reason."""
    if name is None:
        return error_reason_pb2.ERROR_REASON_UNSPECIFIED
    return error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{name}")


def embeddings(value: Embeddings) -> pb.EmbedResponse:
    return pb.EmbedResponse(
        embeddings=[pb.EmbedResponse.Embedding(values=vector) for vector in value.vectors],
        usage=usage(value.log),
        model=value.model,
        latency=duration_ms(value.log.latency_ms),
        call_log_id=str(value.log.id),
        deprecation=_deprecation(value.deprecated),
    )


def call_log(value: CallLog) -> call_log_pb2.CallLog:
    return call_log_pb2.CallLog(
        id=str(value.id),
        create_time=timestamp(value.created_at),
        user_id=str(value.user_id or ""),
        model_id=str(value.model_id),
        kind=KINDS.number[value.kind],
        status=STATUSES.number[value.status],
        error_reason=reason(value.error_code),
        finish_reason=finish_reason(value),
        usage=usage(value),
        latency=duration_ms(value.latency_ms),
        time_to_first_token=duration_ms(value.time_to_first_token_ms),
        trace_id=value.trace_id,
        request_id=value.request_id,
        route=value.route or "",
        attempts=value.attempts,
        api_key_id=str(value.api_key_id or ""),
    )


def log_filters(request: pb.ListCallLogsRequest) -> dict[str, Any]:
    wanted = {
        "user_id": uuid_or_none(request.user_id),
        "model_id": uuid_or_none(request.model_id),
        "trace_id": request.trace_id or None,
        "status": STATUSES.word.get(request.status),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def log_window(request: pb.ListCallLogsRequest) -> dict[str, Any]:
    return {"since": moment(request, "create_time_from"), "until": moment(request, "create_time_until")}


def new_credential(request: credential_pb2.CreateCredentialRequest) -> NewCredential:
    return NewCredential(PROVIDERS.word[request.provider], request.name, request.base_url or None)


def credential(value: Credential) -> credential_pb2.Credential:
    return credential_pb2.Credential(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        provider=PROVIDERS.number[value.provider],
        name=value.name,
        base_url=value.base_url or "",
        last_four=value.last_four,
    )


_HEALTH = {
    "healthy": route_pb2.TargetHealth.STATE_HEALTHY,
    "cooling": route_pb2.TargetHealth.STATE_COOLING,
    "trial": route_pb2.TargetHealth.STATE_TRIAL,
}


def new_route(request: route_pb2.CreateRouteRequest) -> NewRoute:
    return NewRoute(
        alias=request.alias,
        targets=_targets(request),
        fallbacks=_fallbacks(request.fallbacks),
        retry=_retry(request.retry),
        cooldown_seconds=_seconds(request, "cooldown", COOLDOWN_SECONDS),
        cooldown_after=request.cooldown_after or COOLDOWN_AFTER,
        cache_ttl_seconds=_seconds(request, "cache_ttl", None),
    )


def route_changes(request: route_pb2.UpdateRouteRequest) -> dict[str, Any]:
    """The fields to change; one that the mask names and that is unset becomes what it is by default."""
    given = present(request, "alias", "fallbacks", "retry", "cooldown", "cooldown_after", "cache_ttl")
    given["targets"] = request.targets or None
    values = {
        "alias": request.alias,
        "targets": _targets(request),
        "fallbacks": _fallbacks(request.fallbacks),
        "retry": _retry(request.retry),
        "cooldown": _seconds(request, "cooldown", COOLDOWN_SECONDS),
        "cooldown_after": request.cooldown_after or COOLDOWN_AFTER,
        "cache_ttl": _seconds(request, "cache_ttl", None),
    }
    columns = {"cooldown": "cooldown_seconds", "cache_ttl": "cache_ttl_seconds"}
    return {columns.get(name, name): values[name] for name in masked(given, request.update_mask.paths)}


def _targets(request: route_pb2.CreateRouteRequest | route_pb2.UpdateRouteRequest) -> list[Target]:
    return [Target(target.model, target.weight or 1, target.priority) for target in request.targets]


def _fallbacks(value: route_pb2.RouteFallbacks) -> dict[Failure, Sequence[str]]:
    return {failure: list(names) for failure in FAILURES if (names := getattr(value, failure))}


def _retry(value: route_pb2.RouteRetry) -> Retry:
    backoff = value.backoff.ToTimedelta().total_seconds() if value.HasField("backoff") else BACKOFF_SECONDS
    return Retry(value.max_attempts or MAX_ATTEMPTS, backoff)


def _seconds(request: Any, field: str, default: Any) -> Any:
    """Whole seconds of a duration, at least one where it is any."""
    if not request.HasField(field):
        return default
    duration = getattr(request, field)
    return duration.seconds or int(duration.nanos > 0)


def route(value: RouteWithHealth) -> route_pb2.Route:
    said, health = value
    return route_pb2.Route(
        id=str(said.id),
        etag=etag_of(said.revision),
        create_time=timestamp(said.created_at),
        update_time=timestamp(said.updated_at),
        alias=said.alias,
        targets=[
            route_pb2.RouteTarget(model=target.model, weight=target.weight, priority=target.priority)
            for target in said.targets
        ],
        fallbacks=route_pb2.RouteFallbacks(**{str(failure): names for failure, names in said.fallbacks.items()}),
        retry=route_pb2.RouteRetry(max_attempts=said.retry.max_attempts, backoff=timedelta(seconds=said.retry.backoff)),
        cooldown=timedelta(seconds=said.cooldown_seconds),
        cooldown_after=said.cooldown_after,
        cache_ttl=None if said.cache_ttl_seconds is None else timedelta(seconds=said.cache_ttl_seconds),
        health=[_health(name, found) for name, found in health.items()],
    )


def _health(model: str, value: Health) -> route_pb2.TargetHealth:
    return route_pb2.TargetHealth(
        model=model,
        state=_HEALTH[value.state],
        failures=value.failures,
        cooling_until=timestamp(now() + timedelta(seconds=value.cooling)) if value.cooling else None,
    )
