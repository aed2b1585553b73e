"""The journal of calls: what is noted of one until it is counted. Its queries are in `journal.sql`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from server.db.database import Database, Tx
from server.db.queries import load
from server.db.statements import HotStatement
from server.model.domain import CallLog
from server.model.holds import Hold, Part, Settlement
from server.model.limits import Claim, Window
from server.model.store import logs
from server.model.tables import call_journal

_QUERIES = load("server.model.store", "journal.sql")
_NOTED = HotStatement(select(func.array_agg(call_journal.c.call_log_id).label("ids")))

_NOT_KNOWN = Decimal("Infinity")
"""The limit itself, which is not noted: whoever claims of it next warns of it."""


def id_of(settlement: Settlement) -> UUID:
    """What the call is noted as. It has a record."""
    return settlement.calls[0].id


async def note(database: Database, tenant_id: UUID, settlements: Sequence[Settlement]) -> None:
    """Notes one or more calls, in a transaction by itself."""
    calls = [
        {
            "call_log_id": id_of(settlement),
            "records": logs.rows(settlement.calls),
            "holds": [part.id for part in settlement.hold.parts],
        }
        for settlement in settlements
    ]
    await database.at_once(_QUERIES["note"], tenant_id=tenant_id, calls=calls)


async def noted(database: Database, tenant_id: UUID) -> set[UUID]:
    """Which calls are noted and not counted."""
    row = await database.hot(tenant_id, _NOTED)
    return set() if row is None else set(row["ids"] or ())


async def read(tx: Tx, ids: Iterable[UUID]) -> list[Settlement]:
    """Those of these that are not counted still, as what they were lent says."""
    ids = list(ids)
    calls: dict[UUID, list[CallLog]] = defaultdict(list)
    parts: dict[UUID, list[Part]] = defaultdict(list)
    for row in await tx.fetch(_QUERIES["records"], ids=ids):
        calls[row["noted_as"]].append(logs.of_columns(row))
    for row in await tx.fetch(_QUERIES["holds"], ids=ids):
        columns = ("window_kinds", "window_starts", "subjects", "kinds")
        windows = [Window(*window) for window in zip(*(row[name] for name in columns), strict=True)]
        # A row names every limit of those that it was made with; of those that are another's it has nothing.
        held = zip(windows, row["amounts"], strict=True)
        claims = [Claim(window, _NOT_KNOWN, amount) for window, amount in held if amount]
        parts[row["noted_as"]].append(Part(row["id"], claims, spare=True))
    return [Settlement.of(Hold(parts[noted_as]), records) for noted_as, records in calls.items()]


async def left(tx: Tx, seconds: float) -> set[UUID]:
    """What dead processes noted, who would have counted it in so many seconds."""
    return {row["call_log_id"] for row in await tx.fetch(_QUERIES["left"], seconds=seconds)}


async def remove(tx: Tx, call_log_id: UUID) -> Any:
    """Gives it up; what was noted of it."""
    return await tx.fetchval(_QUERIES["remove"], call_log_id=call_log_id)
