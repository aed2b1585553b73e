"""Streams that can be taken up again, and their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Float, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Database, Tx
from server.db.removal import removal
from server.db.statements import HotStatement, Statement
from server.model.tables import generation_events, generations

LEASE_SECONDS = 5.0
"""A stream whose server has said nothing for so long is lost."""

_THIS = generations.c.id == bindparam("generation_id")


def _in(name: str) -> ColumnElement[datetime]:
    """So many seconds from now."""
    interval: ColumnElement[timedelta] = func.make_interval(0, 0, 0, 0, 0, 0, bindparam(name, type_=Float))
    return func.now() + interval


_CREATE = Statement(
    insert(generations).values(
        tenant_id=bindparam("tenant_id"),
        id=bindparam("generation_id"),
        user_id=bindparam("user_id"),
        kept_until=_in("lease"),
        expires_at=_in("life"),
    )
)
_KEEP = Statement(
    update(generations)
    .where(_THIS)
    .values(kept_until=_in("lease"), ended=bindparam("ended"))
    .returning(generations.c.cancelled)
)
_CANCEL = Statement(
    update(generations)
    .where(_THIS, generations.c.user_id == bindparam("user_id"))
    .values(cancelled=True)
    .returning(generations.c.id)
)
_ADD = Statement(
    upsert(generation_events)
    .values({name: bindparam(name) for name in ("tenant_id", "generation_id", "first_seq", "last_seq", "messages")})
    .on_conflict_do_nothing()
)
_STATE = HotStatement(
    select(
        generations.c.user_id,
        generations.c.ended,
        (~generations.c.ended & (generations.c.kept_until < func.now())).label("lost"),
    ).where(_THIS, generations.c.expires_at > func.now())
)
_EVENTS = Statement(
    select(generation_events.c.first_seq, generation_events.c.messages)
    .where(
        generation_events.c.generation_id == bindparam("generation_id"),
        generation_events.c.last_seq > bindparam("after_seq"),
    )
    .order_by(generation_events.c.last_seq)
    .limit(bindparam("most"))
)
_RUNS = 50

EXPIRED = removal(generations, generations.c.expires_at < func.now())


class State(NamedTuple):
    """Whose stream it is, and whether more will come. `lost`: its server is gone."""

    user_id: UUID
    ended: bool
    lost: bool


async def create(tx: Tx, generation_id: UUID, user_id: UUID, life: float) -> None:
    """`life`: seconds for which it can be read."""
    values = {"generation_id": generation_id, "user_id": user_id, "lease": LEASE_SECONDS, "life": life}
    await tx.execute(_CREATE, tenant_id=tx.tenant_id, **values)


async def add(tx: Tx, generation_id: UUID, first_seq: int, messages: Sequence[bytes]) -> None:
    """Writes a run of events down, once however often it is done. Runs may have events in common."""
    await tx.execute(
        _ADD,
        tenant_id=tx.tenant_id,
        generation_id=generation_id,
        first_seq=first_seq,
        last_seq=first_seq + len(messages) - 1,
        messages=messages,
    )


async def keep(tx: Tx, generation_id: UUID, *, ended: bool) -> bool:
    """Says that its server is there; whether somebody wants it to end."""
    return bool(await tx.fetchval(_KEEP, generation_id=generation_id, lease=LEASE_SECONDS, ended=ended))


async def cancel(tx: Tx, generation_id: UUID, user_id: UUID) -> bool:
    """Has it end; whether it is there, and that user's."""
    return await tx.fetchval(_CANCEL, generation_id=generation_id, user_id=user_id) is not None


async def state(database: Database, tenant_id: UUID, generation_id: UUID) -> State | None:
    row = await database.hot(tenant_id, _STATE, generation_id=generation_id)
    return None if row is None else State(*row)


async def events(tx: Tx, generation_id: UUID, after_seq: int) -> list[tuple[int, list[bytes]]]:
    """Runs of events, each with the number of its first, that have some after that one; not all of them at once."""
    rows: list[Any] = await tx.fetch(_EVENTS, generation_id=generation_id, after_seq=after_seq, most=_RUNS)
    return [(row["first_seq"], row["messages"]) for row in rows]
