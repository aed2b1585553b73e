"""Tenants' own models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, case, delete, func, insert, select, true, update

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
from server.model.store import models as shared
from server.model.store.prices import COLUMNS, Prices, columns_of
from server.model.tables import models, tenant_model_prices, tenant_models

_own = tenant_models.alias("own")
_PRICES = Prices(tenant_models, tenant_model_prices, once="uq_tenant_model_prices_effective_from")
_dated = _PRICES.in_force.c
_MODEL = select(
    *(tenant_models.c[name] for name in ("id", *shared.DESCRIPTION, "status", "deprecates_at")),
    # The tenant's own or the platform's; what it named and is gone is named no more.
    func.coalesce(_own.c.name, models.c.name).label("replacement"),
    *(tenant_models.c[name] for name in ("revision", "created_at", "updated_at")),
    # It was made with a price, and has another one from the first moment on that has come.
    *(case((_dated[COLUMNS[0]].is_(None), tenant_models.c[name]), else_=_dated[name]) for name in COLUMNS),
).select_from(
    tenant_models.outerjoin(_own, _own.c.id == tenant_models.c.replacement_model_id)
    .outerjoin(models, models.c.id == tenant_models.c.replacement_model_id)
    .outerjoin(_PRICES.in_force, true())
)
_THIS = tenant_models.c.id == bindparam("model_id")

_GET = Statement(_MODEL.where(_THIS))
_LOCK = Statement(_MODEL.where(_THIS).with_for_update(of=tenant_models))
_ALL = Statement(_MODEL)
_LIST = Statement(
    _MODEL.where(tenant_models.c.id < bindparam("before")).order_by(tenant_models.c.id.desc()).limit(bindparam("most"))
)
_CREATE = Statement(
    insert(tenant_models).values({name: bindparam(name) for name in ("tenant_id", "id", *shared.DESCRIPTION, *COLUMNS)})
)
_NAMED = Statement(select(tenant_models.c.id).where(tenant_models.c.name == bindparam("name")))
_REMOVE = Statement(delete(tenant_models).where(_THIS))


@cache
def _change(names: tuple[str, ...]) -> Statement:
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(update(tenant_models).where(_THIS).values(values))


async def get(tx: Tx, model_id: UUID) -> Model:
    """Raises ModelNotFound."""
    return _found(await tx.fetchrow(_GET, model_id=model_id), model_id)


async def lock(tx: Tx, model_id: UUID) -> Model:
    """The model, held until the transaction ends. Raises ModelNotFound."""
    return _found(await tx.fetchrow(_LOCK, model_id=model_id), model_id)


async def everything(tx: Tx) -> tuple[list[Model], datetime | None]:
    """Every model of the tenant's own with its price now, and when the next price comes into force."""
    next_price = await _PRICES.next(tx)
    return [_model(row) for row in await tx.fetch(_ALL)], next_price


async def page(tx: Tx, request: PageRequest) -> Page[Model]:
    """Models, newest first."""
    rows = await tx.fetch(_LIST, before=request.before, most=request.size + 1)
    return Page.cut([_model(row) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, new: NewModel) -> Model:
    """Raises ModelNameTaken."""
    model_id = uuid7()
    described = {name: getattr(new, name) for name in shared.DESCRIPTION}
    with constraint_errors({"uq_tenant_models_name": lambda: ModelNameTaken(name=new.name)}):
        await tx.execute(_CREATE, tenant_id=tx.tenant_id, id=model_id, **described, **columns_of(new.price))
    return await get(tx, model_id)


async def change(tx: Tx, model_id: UUID, values: Mapping[str, Any]) -> Model:
    """`values`: columns, `price`, a Price, and `replacement` by its name. Raises ModelReplacementUnknown."""
    columns = dict(values)
    if "price" in columns:
        columns |= columns_of(columns.pop("price"))  # a trigger notes from when on
    if "replacement" in columns:
        named = columns.pop("replacement")
        columns["replacement_model_id"] = found = named and (
            await tx.fetchval(_NAMED, name=named) or await shared.id_of(tx, named)
        )
        if named and found in (None, model_id):
            raise ModelReplacementUnknown("the tenant")
    await tx.execute(_change(tuple(sorted(columns))), model_id=model_id, **columns)
    return await get(tx, model_id)


set_price = _PRICES.set
"""What a model costs from then on."""


async def remove(tx: Tx, model_id: UUID) -> None:
    await tx.execute(_REMOVE, model_id=model_id)


def _found(row: Any, key: object) -> Model:
    if row is None:
        raise ModelNotFound(key)
    return _model(row)


def _model(row: Any) -> Model:
    *described, price_in, price_out, cached = row
    return Model(*(*described, Price(price_in, price_out, cached), True))
