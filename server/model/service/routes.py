"""Names behind which several models stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change
from server.kernel.errors import InvalidRequest, check_etag
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.model.breakers import Breakers, Health
from server.model.catalogue import Catalogue, Catalogues
from server.model.ports import AuditLog
from server.model.routes import NewRoute, Route, RouteTargetUnknown
from server.model.store import models
from server.model.store import routes as store

RouteWithHealth = tuple[Route, Mapping[str, Health]]
"""A route, and how each of its models is doing, by name."""


class RouteService:
    """Creates, changes and removes the routes of the caller's tenant."""

    def __init__(self, database: Database, catalogues: Catalogues, breakers: Breakers, audit: AuditLog) -> None:
        self._database = database
        self._catalogues = catalogues
        self._breakers = breakers
        self._audit = audit

    async def create(self, new: NewRoute) -> RouteWithHealth:
        """Raises RouteAliasTaken, RouteTargetUnknown."""
        tenant_id = current_call().caller.tenant_id
        catalogue = await self._check(tenant_id, asdict(new))
        async with self._database.tenant_tx(tenant_id) as tx:
            route = await store.create(tx, new)
            await models.tell_changed(tx, tenant_id)
            await self._record(tx, "routes.create", route.id, new=route)
        return self._with_health(catalogue, route)

    async def get(self, route_id: UUID) -> RouteWithHealth:
        """Raises RouteNotFound."""
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
            route = await store.get(tx, route_id)
        return self._with_health(await self._catalogues.of(tenant_id), route)

    async def page(self, request: PageRequest) -> Page[RouteWithHealth]:
        """Routes, newest first."""
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
            page = await store.page(tx, request)
        catalogue = await self._catalogues.of(tenant_id)
        return Page([self._with_health(catalogue, route) for route in page.items], page.next_cursor)

    async def update(self, route_id: UUID, values: Mapping[str, Any], etag: str) -> RouteWithHealth:
        """Changes the given fields. Raises RouteNotFound, EtagMismatch, RouteAliasTaken, RouteTargetUnknown."""
        tenant_id = current_call().caller.tenant_id
        catalogue = await self._check(tenant_id, values)
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock(tx, route_id)
            check_etag(etag, old.revision, "route")
            route = await store.change(tx, route_id, values) if values else old
            await models.tell_changed(tx, tenant_id)
            await self._record(tx, "routes.update", route_id, old=old, new=route)
        return self._with_health(catalogue, route)

    async def delete(self, route_id: UUID, etag: str) -> None:
        """Raises RouteNotFound, EtagMismatch."""
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock(tx, route_id)
            check_etag(etag, old.revision, "route")
            await store.remove(tx, route_id)
            await models.tell_changed(tx, tenant_id)
            await self._record(tx, "routes.delete", route_id, old=old)

    async def _check(self, tenant_id: UUID, values: Mapping[str, Any]) -> Catalogue:
        """What the tenant can call, which has to be read before anything is held.

        Raises RouteTargetUnknown, which names each model that is none or does not chat, and InvalidRequest for one that
        is a target twice, by its name and by its id.
        """
        catalogue = await self._catalogues.of(tenant_id)
        named = [
            (f"targets[{place}].model", target["model"] if isinstance(target, dict) else target.model)
            for place, target in enumerate(values.get("targets") or ())
        ]
        for failure, names in (values.get("fallbacks") or {}).items():
            named += [(f"fallbacks.{failure}[{place}]", name) for place, name in enumerate(names)]
        unknown = [
            (field, "is no chat model that can be called")
            for field, name in named
            if (model := catalogue.find(name)) is None or model.model_type != "chat"
        ]
        if unknown:
            raise RouteTargetUnknown(unknown)
        targets = [catalogue.find(name) for field, name in named if field.startswith("targets")]
        if twice := [place for place, model in enumerate(targets) if model in targets[:place]]:
            raise InvalidRequest([(f"targets[{place}].model", "is a target already") for place in twice])
        return catalogue

    def _with_health(self, catalogue: Catalogue, route: Route) -> RouteWithHealth:
        found = {name: catalogue.find(name) for name in route.models}
        return route, {
            name: self._breakers.health(route.id, model.id) for name, model in found.items() if model is not None
        }

    async def _record(
        self, tx: Tx, action: str, route_id: UUID, *, old: Route | None = None, new: Route | None = None
    ) -> None:
        await self._audit.record(tx, Change(action, "route", route_id, old=_values(old), new=_values(new)))


def _values(route: Route | None) -> dict[str, Any] | None:
    if route is None:
        return None
    values = asdict(route)
    return {field.name: values[field.name] for field in fields(NewRoute)}
