"""Tenants' routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select, update

from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.model.routes import NewRoute, Retry, Route, RouteAliasTaken, RouteNotFound, Target
from server.model.tables import model_routes

_SAID = ("alias", "targets", "fallbacks", "retry", "cooldown_seconds", "cooldown_after", "cache_ttl_seconds")
_COLUMNS = tuple(model_routes.c[name] for name in (*_SAID, "id", "revision", "created_at", "updated_at"))
_THIS = model_routes.c.id == bindparam("route_id")

_GET = Statement(select(*_COLUMNS).where(_THIS))
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_ALL = Statement(select(*_COLUMNS))
_LIST = Statement(
    select(*_COLUMNS)
    .where(model_routes.c.id < bindparam("before"))
    .order_by(model_routes.c.id.desc())
    .limit(bindparam("most"))
)
_CREATE = Statement(
    insert(model_routes).values({name: bindparam(name) for name in ("tenant_id", "id", *_SAID)}).returning(*_COLUMNS)
)
_REMOVE = Statement(delete(model_routes).where(_THIS))


@cache
def _change(names: tuple[str, ...]) -> Statement:
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(update(model_routes).where(_THIS).values(values).returning(*_COLUMNS))


async def get(tx: Tx, route_id: UUID) -> Route:
    """Raises RouteNotFound."""
    return _found(await tx.fetchrow(_GET, route_id=route_id), route_id)


async def lock(tx: Tx, route_id: UUID) -> Route:
    """The route, held until the transaction ends. Raises RouteNotFound."""
    return _found(await tx.fetchrow(_LOCK, route_id=route_id), route_id)


async def everything(tx: Tx) -> list[Route]:
    """Every route of the tenant's."""
    return [_route(row) for row in await tx.fetch(_ALL)]


async def page(tx: Tx, request: PageRequest) -> Page[Route]:
    """Routes, newest first."""
    rows = await tx.fetch(_LIST, before=request.before, most=request.size + 1)
    return Page.cut([_route(row) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, new: NewRoute) -> Route:
    """Raises RouteAliasTaken."""
    values = _plain({name: getattr(new, name) for name in _SAID})
    with constraint_errors({"uq_model_routes_alias": lambda: RouteAliasTaken(alias=new.alias)}):
        return _route(await tx.fetchone(_CREATE, tenant_id=tx.tenant_id, id=uuid7(), **values))


async def change(tx: Tx, route_id: UUID, values: Mapping[str, Any]) -> Route:
    """`values`: fields of a NewRoute. Raises RouteAliasTaken."""
    statement = _change(tuple(sorted(values)))
    with constraint_errors({"uq_model_routes_alias": lambda: RouteAliasTaken(alias=values["alias"])}):
        return _route(await tx.fetchone(statement, route_id=route_id, **_plain(values)))


async def remove(tx: Tx, route_id: UUID) -> None:
    await tx.execute(_REMOVE, route_id=route_id)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are kept."""
    plain = dict(values)
    if "targets" in plain:
        plain["targets"] = [asdict(target) for target in plain["targets"]]
    if "retry" in plain:
        plain["retry"] = asdict(plain["retry"])
    return plain


def _found(row: Any, key: object) -> Route:
    if row is None:
        raise RouteNotFound(key)
    return _route(row)


def _route(row: Any) -> Route:
    values = dict(row)
    values["targets"] = [Target(**target) for target in values["targets"]]
    values["fallbacks"] = values["fallbacks"] or {}
    values["retry"] = Retry(**(values["retry"] or {}))
    return Route(**values)
