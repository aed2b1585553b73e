"""The catalogue of models that every tenant can call, and the records of the calls made to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from server.db.database import Database
from server.kernel.audit import Change, plain
from server.kernel.clock import now
from server.kernel.errors import check_etag
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.llm.port import Message
from server.model.domain import CallLog, Model, NewModel, Price, PriceInThePast, check_base_url, check_reachable
from server.model.ports import AuditLog
from server.model.service.books import Books
from server.model.store import contents, logs
from server.model.store import models as store


class ModelService:
    """What models there are, and what was asked of them."""

    def __init__(self, database: Database, books: Books, audit: AuditLog) -> None:
        self._database = database
        self._books = books
        self._audit = audit

    async def create(self, new: NewModel) -> Model:
        """A model that every tenant can call. Raises ModelNameTaken."""
        check_base_url(new.base_url)
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            model = await store.create(tx, new)
            await store.tell_changed(tx, None)
            await self._audit.record(tx, Change("models.create", "model", model.id, new=described(model)))
        return model

    async def get(self, model_id: UUID) -> Model:
        """Raises ModelNotFound."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return await store.get(tx, model_id)

    async def page(self, request: PageRequest, filters: Mapping[str, Any]) -> Page[Model]:
        """Models, newest first. `filters`: provider, model_type, status."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return await store.page(tx, request, filters)

    async def update(self, model_id: UUID, values: Mapping[str, Any], etag: str) -> Model:
        """Changes the given fields. Raises ModelNotFound, EtagMismatch, ModelReplacementUnknown, InvalidRequest."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            old = await store.lock(tx, model_id)
            check_etag(etag, old.revision, "model")
            check_base_url(values.get("base_url"))
            check_reachable(old.provider, values)
            new = await store.change(tx, model_id, values) if values else old
            await store.tell_changed(tx, None)
            change = Change("models.update", "model", model_id, old=described(old), new=described(new))
            await self._audit.record(tx, change)
        return new

    async def set_price(self, model_id: UUID, price: Price, since: datetime | None) -> Model:
        """What the model costs from then on, from now on where that is None.

        Raises ModelNotFound, PriceInThePast, PriceExists.
        """
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            old = await store.lock(tx, model_id)
            check_price_time(since)
            effective_from = await store.set_price(tx, model_id, price, since)
            await store.tell_changed(tx, None)
            await self._audit.record(tx, priced("models.set_price", "model", old, price, effective_from))
            return await store.get(tx, model_id)

    async def log(self, call_log_id: UUID) -> tuple[CallLog, tuple[Sequence[Message], Message | None] | None]:
        """A call's record, and what was asked and answered where it is kept. Raises CallLogNotFound."""
        tenant_id = current_call().caller.tenant_id
        await self._books.caught_up(tenant_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            return await logs.get(tx, call_log_id), await contents.get(tx, call_log_id)

    async def logs(
        self, request: PageRequest, filters: Mapping[str, Any], since: datetime | None, until: datetime | None
    ) -> Page[CallLog]:
        """The tenant's calls, newest first. `filters`: user_id, api_key_id, model_id, trace_id, status."""
        tenant_id = current_call().caller.tenant_id
        await self._books.caught_up(tenant_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            return await logs.page(tx, request, filters, since, until)


def check_price_time(since: datetime | None) -> None:
    """Raises PriceInThePast: what was called then has been billed."""
    if since is not None and since < now():
        raise PriceInThePast


def priced(action: str, kind: str, old: Model, price: Price, effective_from: datetime) -> Change:
    """What is written down of another price."""
    before = None if old.price is None else plain(asdict(old.price))
    new = {**asdict(price), "effective_from": effective_from.isoformat()}
    return Change(action, kind, old.id, old=before, new=plain(new))


def described(model: Model) -> dict[str, Any]:
    """What is written down of a model."""
    values = asdict(model)
    for name in ("id", "revision", "created_at", "updated_at", "own"):
        del values[name]
    values |= values.pop("price") or {}
    return plain(values)
