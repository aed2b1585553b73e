"""What models cost from a moment on: the platform's and tenants' own, each in a table of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Table, bindparam, func, insert, select

from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.model.domain import Price, PriceExists

COLUMNS = ("input_cost_per_1k", "output_cost_per_1k", "cached_input_cost_per_1k")


def columns_of(price: Price) -> Mapping[str, Decimal | None]:
    """The price by its columns."""
    return dict(zip(COLUMNS, (price.input_per_1k, price.output_per_1k, price.cached_input_per_1k), strict=True))


class Prices:
    """The prices of the models in one table. `in_force`: what stands beside each of its rows in a statement that reads
    them; its columns are NULL where there is none.
    """

    def __init__(self, models: Table, dated: Table, *, once: str) -> None:
        """`dated`: where they are, `once`: the constraint that there is one from any moment on."""
        since = dated.c.effective_from
        self.in_force = (
            select(*(dated.c[name] for name in COLUMNS))
            .where(dated.c.model_id == models.c.id, since <= func.statement_timestamp())
            .order_by(since.desc())
            .limit(1)
            .lateral("in_force")
        )
        self._next = Statement(select(func.min(since)).where(since > func.statement_timestamp()))
        self._of_tenants = "tenant_id" in dated.c
        named = ("tenant_id", "id", "model_id", *COLUMNS) if self._of_tenants else ("id", "model_id", *COLUMNS)
        # Not from when the transaction began: whoever held the model before has set a price since.
        begins = func.coalesce(bindparam("since", type_=since.type), func.clock_timestamp())
        values: dict[str, Any] = {name: bindparam(name) for name in named} | {"effective_from": begins}
        self._set = Statement(insert(dated).values(values).returning(since))
        self._once = once

    async def next(self, tx: Tx) -> datetime | None:
        """When the next one comes into force. Ask it before prices are read: then none that comes between is missed."""
        moment: datetime | None = await tx.fetchval(self._next)
        return moment

    async def set(self, tx: Tx, model_id: UUID, price: Price, since: datetime | None) -> datetime:
        """What a model costs from then on, from now on where that is None: from when that is. Raises PriceExists."""
        values = {"id": uuid7(), "model_id": model_id, "since": since, **columns_of(price)}
        if self._of_tenants:
            values["tenant_id"] = tx.tenant_id
        with constraint_errors({self._once: PriceExists}):
            effective_from: datetime = await tx.fetchval(self._set, **values)
        return effective_from
