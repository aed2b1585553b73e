"""Routes, as the API has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from atrium.model.v1 import route_pb2
from server.kernel.clock import now
from server.kernel.errors import etag_of
from server.kernel.masks import masked
from server.model.breakers import Health
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
from server.model.service.routes import RouteWithHealth
from server.rpc.wire import present, timestamp, whole_seconds

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
        cooldown_seconds=_cooldown(request),
        cooldown_after=request.cooldown_after or COOLDOWN_AFTER,
        cache_ttl_seconds=whole_seconds(request, "cache_ttl"),
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
        "cooldown": _cooldown(request),
        "cooldown_after": request.cooldown_after or COOLDOWN_AFTER,
        "cache_ttl": whole_seconds(request, "cache_ttl"),
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


def _cooldown(request: Any) -> int:
    found = whole_seconds(request, "cooldown")
    return COOLDOWN_SECONDS if found is None else found


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
