"""The model slice's SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, func, insert, select, true

from server.db.database import Database, Tx
from server.db.errors import constraint_errors
from server.db.statements import HotStatement, Statement
from server.kernel.ids import uuid7, uuid7_floor
from server.kernel.paging import Page, PageRequest
from server.model.domain import CallLog, Model, ModelNameTaken, ModelNotFound, NewModel, Price, SealedCredential
from server.model.tables import model_call_logs, model_prices, models, provider_credentials, tenant_keys

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
    models.c.status,
    models.c.created_at,
    models.c.updated_at,
)
_price = (
    select(model_prices.c.input_cost_per_1k, model_prices.c.output_cost_per_1k, model_prices.c.cached_input_cost_per_1k)
    .where(model_prices.c.model_id == models.c.id, model_prices.c.effective_from <= func.now())
    .order_by(model_prices.c.effective_from.desc())
    .limit(1)
    .lateral("price")
)
_PRICED = select(*_MODEL, *_price.c).select_from(models.outerjoin(_price, true()))

_GET = Statement(_PRICED.where(models.c.id == bindparam("model_id")))
_credential = (
    select(
        provider_credentials.c.id.label("credential_id"),
        provider_credentials.c.ciphertext,
        provider_credentials.c.nonce,
        tenant_keys.c.wrapped_key,
    )
    .join_from(provider_credentials, tenant_keys, tenant_keys.c.tenant_id == provider_credentials.c.tenant_id)
    .where(
        provider_credentials.c.provider == models.c.provider,
        provider_credentials.c.base_url.is_not_distinct_from(models.c.base_url),
    )
    .order_by(provider_credentials.c.id.desc())
    .limit(1)
    .lateral("credential")
)
_REACHED = select(*_MODEL, *_price.c, *_credential.c).select_from(
    models.outerjoin(_price, true()).outerjoin(_credential, true())
)
_FIND = HotStatement(_REACHED.where(models.c.name == bindparam("name")))
_FIND_BY_ID = HotStatement(_REACHED.where(models.c.id == bindparam("model_id")))
_CREATE = Statement(
    insert(models).values(
        {
            name: bindparam(name)
            for name in (
                "id",
                "name",
                "provider",
                "model_type",
                "description",
                "max_tokens",
                "dimensions",
                "supports_streaming",
                "supports_function_calling",
                "base_url",
            )
        }
    )
)
_SET_PRICE = Statement(
    insert(model_prices).values(
        id=bindparam("id"),
        model_id=bindparam("model_id"),
        input_cost_per_1k=bindparam("input"),
        output_cost_per_1k=bindparam("output"),
        cached_input_cost_per_1k=bindparam("cached"),
        effective_from=func.now(),
    )
)

_LOG_FIELDS = (
    "id",
    "user_id",
    "model_id",
    "request_kind",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "total_tokens",
    "total_cost",
    "latency_ms",
    "time_to_first_token_ms",
    "status",
    "error_code",
    "finish_reason",
    "trace_id",
    "request_id",
    "created_at",
)
_LOG = tuple(model_call_logs.c[name] for name in _LOG_FIELDS)
_ADD_LOG = Statement(insert(model_call_logs).values({name: bindparam(name) for name in ("tenant_id", *_LOG_FIELDS)}))


@cache
def _list(filters: tuple[str, ...]) -> Statement:
    statement = _PRICED.where(models.c.id < bindparam("before"))
    for name in filters:
        statement = statement.where(models.c[name] == bindparam(name))
    return Statement(statement.order_by(models.c.id.desc()).limit(bindparam("most")))


@cache
def _list_logs(filters: tuple[str, ...]) -> Statement:
    # A time filter is a range of ids, since an id begins with its time: only the months in it are looked at.
    statement = select(*_LOG).where(model_call_logs.c.id < bindparam("before"))
    for name in filters:
        condition: ColumnElement[bool] = (
            model_call_logs.c.id >= bindparam("from_id")
            if name == "from_id"
            else model_call_logs.c[name] == bindparam(name)
        )
        statement = statement.where(condition)
    return Statement(statement.order_by(model_call_logs.c.id.desc()).limit(bindparam("most")))


async def get(tx: Tx, model_id: UUID) -> Model:
    """Raises ModelNotFound."""
    return _model(await tx.fetchrow(_GET, model_id=model_id), model_id)


async def find(database: Database, tenant_id: UUID, named: str) -> tuple[Model, SealedCredential | None]:
    """The model of that name or id, and the tenant's own key to it, in one round trip. Raises ModelNotFound."""
    try:
        row = await database.hot(tenant_id, _FIND_BY_ID, model_id=UUID(named))
    except ValueError:
        row = await database.hot(tenant_id, _FIND, name=named)
    if row is None:
        raise ModelNotFound(named)
    *model, credential_id, ciphertext, nonce, wrapped_key = row
    sealed = None if credential_id is None else SealedCredential(credential_id, ciphertext, nonce, wrapped_key)
    return _model(model, named), sealed


async def page(tx: Tx, request: PageRequest, filters: Mapping[str, Any]) -> Page[Model]:
    """Models, newest first. `filters`: model_type, provider, status."""
    rows = await tx.fetch(_list(tuple(sorted(filters))), before=request.before, most=request.size + 1, **filters)
    return Page.cut([_model(row, row["id"]) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, new: NewModel) -> Model:
    """A global model with its price from now on. Raises ModelNameTaken."""
    model_id = uuid7()
    with constraint_errors({"uq_models_name": lambda: ModelNameTaken(name=new.name)}):
        await tx.execute(
            _CREATE,
            id=model_id,
            name=new.name,
            provider=new.provider,
            model_type=new.model_type,
            description=new.description,
            max_tokens=new.max_tokens,
            dimensions=new.dimensions,
            supports_streaming=new.supports_streaming,
            supports_function_calling=new.supports_function_calling,
            base_url=new.base_url,
        )
    await tx.execute(
        _SET_PRICE,
        id=uuid7(),
        model_id=model_id,
        input=new.price.input_per_1k,
        output=new.price.output_per_1k,
        cached=new.price.cached_input_per_1k,
    )
    return await get(tx, model_id)


async def add_log(tx: Tx, log: CallLog) -> None:
    values = {name: getattr(log, "kind" if name == "request_kind" else name) for name in _LOG_FIELDS}
    await tx.execute(_ADD_LOG, tenant_id=tx.tenant_id, **values)


async def logs(
    tx: Tx, request: PageRequest, filters: Mapping[str, Any], since: datetime | None, until: datetime | None
) -> Page[CallLog]:
    """Call logs, newest first, from `since` and before `until`. `filters`: user_id, model_id, trace_id, status."""
    conditions = dict(filters)
    if since is not None:
        conditions["from_id"] = uuid7_floor(since)
    before = request.before if until is None else min(request.before, uuid7_floor(until))
    rows = await tx.fetch(_list_logs(tuple(sorted(conditions))), before=before, most=request.size + 1, **conditions)
    return Page.cut([CallLog(*row) for row in rows], [row["id"] for row in rows], request.size)


def _model(row: Any, key: object) -> Model:
    if row is None:
        raise ModelNotFound(key)
    *fields, price_in, price_out, cached = row
    price = None if price_in is None else Price(price_in, price_out, cached)
    return Model(*(*fields, price))
