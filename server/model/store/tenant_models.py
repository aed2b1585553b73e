"""Tenants' own models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select, update

from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.model.domain import Model, ModelNameTaken, ModelNotFound, NewModel, Price
from server.model.tables import tenant_models

_DESCRIPTION = (
    "name",
    "provider",
    "model_type",
    "description",
    "max_tokens",
    "dimensions",
    "supports_streaming",
    "supports_function_calling",
    "base_url",
    "upstream_name",
)
_PRICE = ("input_cost_per_1k", "output_cost_per_1k", "cached_input_cost_per_1k")
_COLUMNS = tuple(
    tenant_models.c[name]
    for name in ("id", *_DESCRIPTION, "status", "deprecates_at", "revision", "created_at", "updated_at", *_PRICE)
)
_THIS = tenant_models.c.id == bindparam("model_id")

_GET = Statement(select(*_COLUMNS).where(_THIS))
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_ALL = Statement(select(*_COLUMNS))
_LIST = Statement(
    select(*_COLUMNS)
    .where(tenant_models.c.id < bindparam("before"))
    .order_by(tenant_models.c.id.desc())
    .limit(bindparam("most"))
)
_CREATE = Statement(
    insert(tenant_models)
    .values({name: bindparam(name) for name in ("tenant_id", "id", *_DESCRIPTION, *_PRICE)})
    .returning(*_COLUMNS)
)
_REMOVE = Statement(delete(tenant_models).where(_THIS))


@cache
def _change(names: tuple[str, ...]) -> Statement:
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(update(tenant_models).where(_THIS).values(values).returning(*_COLUMNS))


async def get(tx: Tx, model_id: UUID) -> Model:
    """Raises ModelNotFound."""
    return _found(await tx.fetchrow(_GET, model_id=model_id), model_id)


async def lock(tx: Tx, model_id: UUID) -> Model:
    """The model, held until the transaction ends. Raises ModelNotFound."""
    return _found(await tx.fetchrow(_LOCK, model_id=model_id), model_id)


async def everything(tx: Tx) -> list[Model]:
    """Every model of the tenant's own."""
    return [_model(row) for row in await tx.fetch(_ALL)]


async def page(tx: Tx, request: PageRequest) -> Page[Model]:
    """Models, newest first."""
    rows = await tx.fetch(_LIST, before=request.before, most=request.size + 1)
    return Page.cut([_model(row) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, new: NewModel) -> Model:
    """Raises ModelNameTaken."""
    described = {name: getattr(new, name) for name in _DESCRIPTION}
    with constraint_errors({"uq_tenant_models_name": lambda: ModelNameTaken(name=new.name)}):
        row = await tx.fetchone(_CREATE, tenant_id=tx.tenant_id, id=uuid7(), **described, **_priced(new.price))
    return _model(row)


async def change(tx: Tx, model_id: UUID, values: Mapping[str, Any]) -> Model:
    """`values`: columns, and `price`, a Price."""
    columns = dict(values)
    if "price" in columns:
        columns |= _priced(columns.pop("price"))
    return _model(await tx.fetchone(_change(tuple(sorted(columns))), model_id=model_id, **columns))


async def remove(tx: Tx, model_id: UUID) -> None:
    await tx.execute(_REMOVE, model_id=model_id)


def _priced(price: Price) -> dict[str, Any]:
    return dict(zip(_PRICE, (price.input_per_1k, price.output_per_1k, price.cached_input_per_1k), strict=True))


def _found(row: Any, key: object) -> Model:
    if row is None:
        raise ModelNotFound(key)
    return _model(row)


def _model(row: Any) -> Model:
    *described, revision, created_at, updated_at, price_in, price_out, cached = row
    price = Price(price_in, price_out, cached)
    return Model(*(*described, None, revision, created_at, updated_at, price, True))
