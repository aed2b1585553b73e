"""Prices of one model that are set at one moment."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from server.db.database import Database
from server.kernel.ids import PLATFORM_TENANT_ID
from server.model.domain import NewModel, Price
from server.model.store import models, tenant_models

_TWO, _THREE = (Price(Decimal(usd), Decimal(usd)) for usd in (2, 3))


@pytest.mark.parametrize("store", [models, tenant_models], ids=["the platform's", "a tenant's own"])
async def test_the_price_that_is_set_last_is_in_force_whoever_began_first(database: Database, store: Any) -> None:
    nothing = dict.fromkeys(("description", "max_tokens", "dimensions", "upstream_name"))
    flags = {"supports_streaming": True, "supports_function_calling": False}
    new = NewModel("ours", "custom", "chat", base_url="https://models.example/v1", price=_TWO, **flags, **nothing)
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        model_id = (await store.create(tx, new)).id

    async with database.tenant_tx(PLATFORM_TENANT_ID) as began_first:
        async with database.tenant_tx(PLATFORM_TENANT_ID) as faster:
            await store.lock(faster, model_id)
            await store.set_price(faster, model_id, _TWO, None)
        await store.lock(began_first, model_id)
        await store.set_price(began_first, model_id, _THREE, None)
        told = (await store.get(began_first, model_id)).price
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        in_force = (await store.get(tx, model_id)).price

    assert told == in_force == _THREE
