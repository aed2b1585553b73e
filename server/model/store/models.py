"""The models that every tenant can call, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select, true, update

from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.model.domain import (
    Model,
    ModelNameTaken,
    ModelNotFound,
    ModelReplacementUnknown,
    NewModel,
    Price,
)
from server.model.store.prices import Prices
from server.model.tables import model_prices, models

CHANGED = "atrium_models_changed"
"""Tells which tenant's models, routes or credentials changed; with nothing in it, that every tenant's did."""

_replacement = models.alias("replacement")
_MODEL = (
    models.c.id,
    models.c.name,
    models.c.provider,
    models.c.model_type,
    models.c.description,
    models.c.max_tokens,
    models.c.dimensions,
    models.c.supports_streaming,
    models.c.supports_function_calling,
    models.c.base_url,
    models.c.upstream_name,
    models.c.status,
    models.c.deprecates_at,
    _replacement.c.name.label("replacement"),
    models.c.revision,
    models.c.created_at,
    models.c.updated_at,
)
_PRICES = Prices(models, model_prices, once="uq_model_prices_model_id_effective_from")
_PRICED = select(*_MODEL, *_PRICES.in_force.c).select_from(
    models.outerjoin(_PRICES.in_force, true()).outerjoin(
        _replacement, _replacement.c.id == models.c.replacement_model_id
    )
)
_THIS = models.c.id == bindparam("model_id")

_GET = Statement(_PRICED.where(_THIS))
_LOCK = Statement(_PRICED.where(_THIS).with_for_update(of=models))
_ALL = Statement(_PRICED)
_ID = Statement(select(models.c.id).where(models.c.name == bindparam("name")))
DESCRIPTION = (
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
"""Columns that say what a model is, the platform's or a tenant's own, each a field of NewModel."""

_CREATE = Statement(insert(models).values({name: bindparam(name) for name in ("id", *DESCRIPTION)}))


@cache
def _list(filters: tuple[str, ...]) -> Statement:
    statement = _PRICED.where(models.c.id < bindparam("before"))
    for name in filters:
        statement = statement.where(models.c[name] == bindparam(name))
    return Statement(statement.order_by(models.c.id.desc()).limit(bindparam("most")))


@cache
def _change(names: tuple[str, ...]) -> Statement:
    return Statement(update(models).where(_THIS).values({name: bindparam(name) for name in names}))


async def get(tx: Tx, model_id: UUID) -> Model:
    """Raises ModelNotFound."""
    return _found(await tx.fetchrow(_GET, model_id=model_id), model_id)


async def lock(tx: Tx, model_id: UUID) -> Model:
    """The model, held until the transaction ends. Raises ModelNotFound."""
    return _found(await tx.fetchrow(_LOCK, model_id=model_id), model_id)


async def everything(tx: Tx) -> tuple[list[Model], datetime | None]:
    """Every model with its price now, and when the next price comes into force."""
    next_price = await _PRICES.next(tx)
    return [_model(row) for row in await tx.fetch(_ALL)], next_price


async def page(tx: Tx, request: PageRequest, filters: Mapping[str, Any]) -> Page[Model]:
    """Models, newest first. `filters`: model_type, provider, status."""
    rows = await tx.fetch(_list(tuple(sorted(filters))), before=request.before, most=request.size + 1, **filters)
    return Page.cut([_model(row) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, new: NewModel) -> Model:
    """A global model with its price from now on. Raises ModelNameTaken."""
    model_id = uuid7()
    with constraint_errors({"uq_models_name": lambda: ModelNameTaken(name=new.name)}):
        await tx.execute(_CREATE, id=model_id, **{name: getattr(new, name) for name in DESCRIPTION})
    await set_price(tx, model_id, new.price, None)
    return await get(tx, model_id)


async def change(tx: Tx, model_id: UUID, values: Mapping[str, Any]) -> Model:
    """`values`: columns, `replacement` among them by its name. Raises ModelReplacementUnknown."""
    columns = dict(values)
    if "replacement" in columns:
        named = columns.pop("replacement")
        columns["replacement_model_id"] = found = named and await id_of(tx, named)
        if named and found in (None, model_id):
            raise ModelReplacementUnknown
    await tx.execute(_change(tuple(sorted(columns))), model_id=model_id, **columns)
    return await get(tx, model_id)


async def id_of(tx: Tx, name: str) -> UUID | None:
    """The id of the model of that name."""
    found: UUID | None = await tx.fetchval(_ID, name=name)
    return found


set_price = _PRICES.set
"""What a model costs from then on."""


async def tell_changed(tx: Tx, tenant_id: UUID | None) -> None:
    """Has every process read anew what this tenant's calls go by, or (None) what every tenant's do."""
    await tx.notify(CHANGED, str(tenant_id or ""))


def _found(row: Any, key: object) -> Model:
    if row is None:
        raise ModelNotFound(key)
    return _model(row)


def _model(row: Any) -> Model:
    *fields, price_in, price_out, cached = row
    price = None if price_in is None else Price(price_in, price_out, cached)
    return Model(*(*fields, price))
