"""Usage and limits, as the API has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from atrium.model.v1 import usage_pb2 as pb
from server.model.limits import Limits, SubjectLimits
from server.model.service.usage import LimitUse
from server.model.usage import Dimension, Usage, UsagePage
from server.rpc.wire import average_ms, days, money, present, timestamp, uuid_or_none

_MOST = 1000
_DIMENSIONS: dict[Any, Dimension] = {
    pb.USAGE_DIMENSION_DAY: "day",
    pb.USAGE_DIMENSION_MODEL: "model",
    pb.USAGE_DIMENSION_USER: "user",
    pb.USAGE_DIMENSION_API_KEY: "api_key",
    pb.USAGE_DIMENSION_PROMPT_VERSION: "prompt_version",
}
_KINDS = {
    ("minute", "requests"): pb.LimitUsage.KIND_REQUESTS_PER_MINUTE,
    ("minute", "tokens"): pb.LimitUsage.KIND_TOKENS_PER_MINUTE,
    ("month", "tokens"): pb.LimitUsage.KIND_MONTHLY_TOKENS,
    ("month", "cost"): pb.LimitUsage.KIND_MONTHLY_COST,
    ("none", "parallel"): pb.LimitUsage.KIND_PARALLEL_CALLS,
}
_LIMITS = ("requests_per_minute", "tokens_per_minute", "monthly_tokens", "monthly_cost_usd", "parallel_calls")


def subject(request: pb.SetModelLimitsRequest | pb.GetModelLimitsRequest) -> tuple[UUID | None, UUID | None]:
    return uuid_or_none(request.user_id), uuid_or_none(request.api_key_id)


def limits(request: pb.SetModelLimitsRequest) -> Limits:
    given = present(request, *_LIMITS)
    if given["monthly_cost_usd"] is not None:
        given["monthly_cost_usd"] = Decimal(given["monthly_cost_usd"])
    return Limits(**given)


def subject_limits(value: SubjectLimits) -> pb.ModelLimits:
    said = value.limits
    return pb.ModelLimits(
        id=str(value.id),
        etag=value.etag,
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        user_id=str(value.user_id or ""),
        api_key_id=str(value.api_key_id or ""),
        requests_per_minute=said.requests_per_minute,
        tokens_per_minute=said.tokens_per_minute,
        monthly_tokens=said.monthly_tokens,
        monthly_cost_usd=money(said.monthly_cost_usd),
        parallel_calls=said.parallel_calls,
    )


def limits_in_use(value: SubjectLimits | None, uses: Sequence[LimitUse]) -> pb.GetModelLimitsResponse:
    return pb.GetModelLimitsResponse(
        limits=None if value is None else subject_limits(value),
        usage=[
            pb.LimitUsage(
                kind=_KINDS[window.kind, window.measure],
                limit=money(limit),
                used=money(balance.used),
                reserved=money(balance.reserved),
            )
            for window, limit, balance in uses
        ],
    )


def usage_asked(
    request: pb.GetModelUsageRequest, cursor: bytes | None
) -> tuple[list[Dimension], date, date, dict[str, Any], int, list[str] | None]:
    """By what, from which day, before which day, of which calls, how many sums at most, and behind which."""
    since, until = days(request)
    filters = {
        "model_id": uuid_or_none(request.model_id),
        "user_id": uuid_or_none(request.user_id),
        "api_key_id": uuid_or_none(request.api_key_id),
        "prompt_template_version_id": uuid_or_none(request.prompt_version_id),
    }
    return (
        [_DIMENSIONS[dimension] for dimension in request.group_by],
        since,
        until,
        {name: value for name, value in filters.items() if value is not None},
        request.limit or _MOST,
        None if cursor is None else cursor.decode().split(),
    )


def usage_cursor(page: UsagePage) -> bytes | None:
    """Behind which sum the next page begins."""
    return None if page.follows is None else " ".join(page.follows).encode()


def model_usage(value: Usage) -> pb.ModelUsage:
    by = {name: str(found) for name, found in value.by.items()}
    return pb.ModelUsage(
        day=by.get("day"),
        model_id=by.get("model"),
        user_id=by.get("user"),
        api_key_id=by.get("api_key"),
        prompt_version_id=by.get("prompt_version"),
        calls=value.calls,
        errors=value.errors,
        prompt_tokens=value.prompt_tokens,
        completion_tokens=value.completion_tokens,
        cached_tokens=value.cached_tokens,
        reasoning_tokens=value.reasoning_tokens,
        cost_usd=money(value.cost),
        average_latency=average_ms(value.latency_ms, value.calls),
    )
