"""Models, as the API has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from atrium.model.v1 import model_pb2, tenant_model_pb2
from server.kernel.errors import etag_of
from server.model.domain import Deprecated, Model, NewModel, Price
from server.rpc.wire import EnumMap, changes, moment, money, present, timestamp

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
        upstream_name=value.upstream_name if platform or value.own else None,
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


def new_model(request: model_pb2.CreateModelRequest | tenant_model_pb2.CreateTenantModelRequest) -> NewModel:
    return NewModel(
        name=request.name,
        provider=PROVIDERS.word[request.provider],
        model_type=TYPES.word[request.type],
        supports_streaming=request.supports_streaming,
        supports_function_calling=request.supports_function_calling,
        price=price(request.price),
        **present(request, "description", "max_tokens", "dimensions", "base_url", "upstream_name"),
    )


_CHANGEABLE = (
    "description",
    "max_tokens",
    "supports_streaming",
    "supports_function_calling",
    "base_url",
    "upstream_name",
    "state",
    "deprecate_time",
    "replacement",
)


def model_changes(request: model_pb2.UpdateModelRequest) -> dict[str, Any]:
    return _columns(request, changes(request, *_CHANGEABLE))


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


def model_filters(request: model_pb2.ListModelsRequest) -> dict[str, Any]:
    wanted = {
        "provider": PROVIDERS.word.get(request.provider),
        "model_type": TYPES.word.get(request.type),
        "status": STATES.word.get(request.state),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def deprecation(value: Deprecated | None) -> model_pb2.Deprecation | None:
    return None if value is None else model_pb2.Deprecation(model=value.model, replacement=value.replacement)
