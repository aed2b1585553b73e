"""Models of a tenant's own, which hide the platform's of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from server.db.database import Database
from server.kernel.audit import Change
from server.kernel.errors import check_etag
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.model.domain import Model, ModelAddressRefused, NewModel, Price, check_base_url, check_reachable
from server.model.ports import AuditLog
from server.model.service.models import check_price_time, described, priced
from server.model.store import models
from server.model.store import tenant_models as store
from server.net.addresses import AddressRefused, check_literal


class TenantModelService:
    """Creates, changes and removes the models of the caller's tenant."""

    def __init__(self, database: Database, audit: AuditLog, *, private_addresses: bool) -> None:
        """`private_addresses`: whether they may be on this machine and in private networks."""
        self._database = database
        self._audit = audit
        self._private_addresses = private_addresses

    async def create(self, new: NewModel) -> Model:
        """Raises ModelNameTaken, ModelAddressRefused, InvalidRequest."""
        self._check_address(new.base_url)
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            model = await store.create(tx, new)
            await models.tell_changed(tx, tenant_id)
            change = Change("tenant_models.create", "tenant_model", model.id, new=described(model))
            await self._audit.record(tx, change)
        return model

    async def get(self, model_id: UUID) -> Model:
        """Raises ModelNotFound."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return await store.get(tx, model_id)

    async def page(self, request: PageRequest) -> Page[Model]:
        """Models, newest first."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return await store.page(tx, request)

    async def update(self, model_id: UUID, values: Mapping[str, Any], etag: str) -> Model:
        """Changes the given fields. Raises ModelNotFound, EtagMismatch, ModelAddressRefused, ModelReplacementUnknown,
        InvalidRequest.
        """
        self._check_address(values.get("base_url"))
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock(tx, model_id)
            check_etag(etag, old.revision, "model")
            check_reachable(old.provider, values)
            new = await store.change(tx, model_id, values) if values else old
            await models.tell_changed(tx, tenant_id)
            change = Change("tenant_models.update", "tenant_model", model_id, old=described(old), new=described(new))
            await self._audit.record(tx, change)
        return new

    async def set_price(self, model_id: UUID, price: Price, since: datetime | None) -> Model:
        """What the model costs from then on, from now on where that is None.

        Raises ModelNotFound, PriceInThePast, PriceExists.
        """
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock(tx, model_id)
            check_price_time(since)
            effective_from = await store.set_price(tx, model_id, price, since)
            await models.tell_changed(tx, tenant_id)
            change = priced("tenant_models.set_price", "tenant_model", old, price, effective_from)
            await self._audit.record(tx, change)
            return await store.get(tx, model_id)

    async def delete(self, model_id: UUID, etag: str) -> None:
        """Raises ModelNotFound, EtagMismatch."""
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock(tx, model_id)
            check_etag(etag, old.revision, "model")
            await store.remove(tx, model_id)
            await models.tell_changed(tx, tenant_id)
            change = Change("tenant_models.delete", "tenant_model", model_id, old=described(old))
            await self._audit.record(tx, change)

    def _check_address(self, base_url: str | None) -> None:
        """Says at once what each call would find: names are looked at then, since they may change."""
        check_base_url(base_url)
        if base_url is None or self._private_addresses:
            return
        try:
            check_literal(urlsplit(base_url).hostname or "")
        except AddressRefused:
            raise ModelAddressRefused from None
