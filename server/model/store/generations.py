"""Streams that can be taken up again, and their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Float, and_, bindparam, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Database, Tx
from server.db.removal import removal
from server.db.statements import HotStatement, Statement
from server.model.domain import GenerationLost
from server.model.tables import generation_events, generations

LEASE_SECONDS = 5.0
"""A stream whose server has said nothing for so long is lost."""

CANCELLED = "atrium_generation_cancelled"
"""Tells whose stream is to end, and what they call it."""

_THIS = generations.c.id == bindparam("row_id")
_OVERDUE = and_(~generations.c.ended, generations.c.kept_until <= func.now())
_CALLED = (
    generations.c.user_id == bindparam("user_id"),
    # No COALESCE: PostgreSQL takes it for one that could leak, so that it does not go by an index under row security.
    case((generations.c.called.is_(None), generations.c.id), else_=generations.c.called) == bindparam("called"),
)


def _in(name: str) -> ColumnElement[datetime]:
    """So many seconds from now."""
    interval: ColumnElement[timedelta] = func.make_interval(0, 0, 0, 0, 0, 0, bindparam(name, type_=Float))
    return func.now() + interval


_FREE = Statement(delete(generations).where(*_CALLED, generations.c.expires_at <= func.now()))
_CREATE = Statement(
    upsert(generations)
    .values(
        tenant_id=bindparam("tenant_id"),
        id=bindparam("row_id"),
        user_id=bindparam("user_id"),
        called=bindparam("called"),
        asked=bindparam("asked"),
        kept_until=_in("lease"),
        expires_at=_in("life"),
    )
    .on_conflict_do_nothing()
    .returning(generations.c.id)
)
_REMOVE = Statement(delete(generations).where(_THIS, ~generations.c.ended))
# The row alone says who was first: whoever finds a server late ends its stream for good, and where nobody has, it goes
# on. Late is also a server that has a thousand streams to write, or whose database was away.
_KEEP = Statement(
    update(generations)
    .where(_THIS, ~generations.c.ended)
    .values(kept_until=_in("lease"), ended=bindparam("ended"))
    .returning(generations.c.cancelled)
)
# One whose row is held is being written, or being ended by somebody else.
_LOSE = Statement(
    update(generations)
    .where(
        generations.c.id
        == select(generations.c.id).where(_THIS, _OVERDUE).with_for_update(skip_locked=True).scalar_subquery()
    )
    .values(ended=True, lost=True)
    .returning(generations.c.id)
)
_NEXT_SEQ = Statement(
    select(func.coalesce(func.max(generation_events.c.last_seq), 0) + 1).where(
        generation_events.c.generation_id == bindparam("row_id")
    )
)
_CANCEL = Statement(update(generations).where(*_CALLED).values(cancelled=True).returning(generations.c.id))
_ADD = Statement(
    upsert(generation_events)
    .values(
        generation_id=bindparam("row_id"),
        **{name: bindparam(name) for name in ("tenant_id", "first_seq", "last_seq", "messages")},
    )
    .on_conflict_do_nothing()
)
_STATE = HotStatement(
    select(
        generations.c.id,
        generations.c.asked,
        generations.c.ended,
        generations.c.lost,
        _OVERDUE.label("overdue"),
    ).where(*_CALLED, generations.c.expires_at > func.now())
)
_EVENTS = Statement(
    select(generation_events.c.first_seq, generation_events.c.messages)
    .where(
        generation_events.c.generation_id == bindparam("row_id"),
        generation_events.c.last_seq > bindparam("after_seq"),
    )
    .order_by(generation_events.c.last_seq)
    .limit(bindparam("most"))
)
_REMOVE_ALL = Statement(
    delete(generations).where(generations.c.user_id == bindparam("user_id")).returning(generations.c.id)
)
_RUNS = 50

EXPIRED = removal(generations, generations.c.expires_at, func.now())


class Key(NamedTuple):
    """Whose stream, and what they call it."""

    tenant_id: UUID
    user_id: UUID
    called: UUID


class State(NamedTuple):
    """What is asked for, hashed, and whether more will come. `lost`: it was ended since its server was gone; `overdue`:
    it is to be, for its server counts as gone.
    """

    row_id: UUID
    asked: bytes | None
    ended: bool
    lost: bool
    overdue: bool


async def create(tx: Tx, key: Key, row_id: UUID, asked: bytes, life: float) -> bool:
    """Makes the row; False where there is one of that key already. `life`: seconds for which it can be read."""
    named = {"user_id": key.user_id, "called": key.called}
    await tx.execute(_FREE, **named)
    values = {"row_id": row_id, "asked": asked, "lease": LEASE_SECONDS, "life": life}
    return await tx.fetchval(_CREATE, tenant_id=key.tenant_id, **named, **values) is not None


async def remove(tx: Tx, row_id: UUID) -> None:
    """As if it had never been begun, where it has not ended: that was told."""
    await tx.execute(_REMOVE, row_id=row_id)


async def remove_all(tx: Tx, user_id: UUID) -> int:
    """Removes every stream of the user; how many there were."""
    return len(await tx.fetch(_REMOVE_ALL, user_id=user_id))


async def add(tx: Tx, row_id: UUID, first_seq: int, messages: Sequence[bytes]) -> None:
    """Writes a run of events down, once however often it is done. Runs may have events in common."""
    await tx.execute(
        _ADD,
        tenant_id=tx.tenant_id,
        row_id=row_id,
        first_seq=first_seq,
        last_seq=first_seq + len(messages) - 1,
        messages=messages,
    )


async def keep(tx: Tx, row_id: UUID, *, ended: bool) -> bool:
    """Says that its server is there; whether somebody wants it to end.

    Raises GenerationLost where somebody has ended it since its server counted as gone: what was to be written in this
    transaction is not.
    """
    cancelled: bool | None = await tx.fetchval(_KEEP, row_id=row_id, lease=LEASE_SECONDS, ended=ended)
    if cancelled is None:
        raise GenerationLost
    return cancelled


async def lose(tx: Tx, row_id: UUID) -> int | None:
    """Ends it where its server counts as gone: the number of its last event, which is to be added. None: it is not so,
    or somebody else is at it.
    """
    if await tx.fetchval(_LOSE, row_id=row_id) is None:
        return None
    # By itself, once the row is held: nothing is written any more by whoever held it before.
    seq: int = await tx.fetchval(_NEXT_SEQ, row_id=row_id)
    return seq


async def cancel(tx: Tx, key: Key) -> bool:
    """Has it end, and tells every server; whether it is there."""
    if await tx.fetchval(_CANCEL, user_id=key.user_id, called=key.called) is None:
        return False
    await tx.notify(CANCELLED, "/".join(map(str, key)))
    return True


def read_cancelled(payload: str) -> Key:
    """What is told of on the channel CANCELLED."""
    return Key(*map(UUID, payload.split("/")))


async def state(database: Database, key: Key) -> State | None:
    row = await database.hot(key.tenant_id, _STATE, user_id=key.user_id, called=key.called)
    return None if row is None else State(*row)


async def events(tx: Tx, row_id: UUID, after_seq: int) -> list[tuple[int, list[bytes]]]:
    """Runs of events, each with the number of its first, that have some after that one; not all of them at once."""
    rows: list[Any] = await tx.fetch(_EVENTS, row_id=row_id, after_seq=after_seq, most=_RUNS)
    return [(row["first_seq"], row["messages"]) for row in rows]
