"""The catalogue of models, and the records of the calls made to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from server.db.database import Database
from server.kernel.audit import Change, plain
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.model import store
from server.model.domain import CallLog, Model, NewModel
from server.model.ports import AuditLog


class ModelService:
    """What models there are, and what was asked of them."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def create(self, new: NewModel) -> Model:
        """A model that every tenant can call. Raises ModelNameTaken."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            model = await store.create(tx, new)
            values = asdict(new)
            values |= values.pop("price")
            await self._audit.record(tx, Change("models.create", "model", model.id, new=plain(values)))
        return model

    async def get(self, model_id: UUID) -> Model:
        """Raises ModelNotFound."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return await store.get(tx, model_id)

    async def page(self, request: PageRequest, filters: Mapping[str, Any]) -> Page[Model]:
        """Models, newest first. `filters`: provider, model_type, status."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return await store.page(tx, request, filters)

    async def logs(
        self, request: PageRequest, filters: Mapping[str, Any], since: datetime | None, until: datetime | None
    ) -> Page[CallLog]:
        """The tenant's calls, newest first. `filters`: user_id, model_id, trace_id, status."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return await store.logs(tx, request, filters, since, until)
