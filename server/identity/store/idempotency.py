"""Answers that are remembered, so that a call that is sent again is not made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Interval, LargeBinary, Text, any_, bindparam, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Database, Tx
from server.db.statements import HotStatement, Statement
from server.identity.tables import api_keys
from server.identity.tables import idempotency_keys as keys

_LIFE = timedelta(hours=24)
_LEASE = timedelta(seconds=40)
"""Who makes a call says so again and again; it is lost with whoever has not for so long."""

RENEW_SECONDS = 10.0
"""How often."""

_CLAIM = Statement(
    select(func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=Text), literal(0))))
)
_found = select(keys.c.request_hash, keys.c.response, keys.c.status).where(
    keys.c.caller == bindparam("caller"),
    keys.c.method == bindparam("method"),
    keys.c.key == bindparam("key"),
    keys.c.expires_at > func.now(),
)
_FIND = Statement(_found)
_RECALL = HotStatement(_found)
_values = {
    "request_hash": bindparam("request_hash"),
    "response": bindparam("response"),
    "status": bindparam("status"),
    "expires_at": func.now() + bindparam("life", type_=Interval),
    "claim": bindparam("claim"),
}
_claimed = (
    keys.c.caller == bindparam("caller"),
    keys.c.method == bindparam("method"),
    keys.c.key == bindparam("key"),
    keys.c.claim == bindparam("claim"),
)
_RELEASE = Statement(delete(keys).where(*_claimed))
_RENEW = Statement(
    update(keys)
    .where(*_claimed, keys.c.status == "running")
    .values(expires_at=func.now() + bindparam("life", type_=Interval))
)
_FORGET_ABOUT = Statement(
    delete(keys).where(keys.c.response.op("LIKE")(any_(bindparam("texts", type_=ARRAY(LargeBinary)))))
)
_of_caller = select(api_keys.c.id).where(api_keys.c.user_id == bindparam("user_id"))
_FORGET_CALLER = Statement(
    delete(keys).where(or_(keys.c.caller == bindparam("user_id"), keys.c.caller.in_(_of_caller)))
)
_KEY = ("tenant_id", "caller", "method", "key")
_insert = upsert(keys).values({**{name: bindparam(name) for name in _KEY}, **_values})
_KEEP = Statement(_insert.on_conflict_do_update(index_elements=_KEY, set_=_values))
_over = {**_values, "claim": None}
_KEEP_CLAIMED = Statement(
    upsert(keys)
    .values({**{name: bindparam(name) for name in _KEY}, **_over})
    .on_conflict_do_update(
        index_elements=_KEY, set_=_over, where=or_(keys.c.claim == bindparam("claim"), keys.c.expires_at <= func.now())
    )
    .returning(literal(1))
)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A call that was made. `running`: it is not over, and there is no answer yet."""

    request_hash: str
    response: bytes | None
    running: bool


async def claim(tx: Tx, caller: UUID, method: str, key: str) -> bool:
    """Whether this transaction is the one that may make the call, until it ends. It never waits."""
    return bool(await tx.fetchval(_CLAIM, name=f"{tx.tenant_id}/{caller}/{method}/{key}"))


async def find(tx: Tx, caller: UUID, method: str, key: str) -> Remembered | None:
    """The call that was made with the key in the last day, or is being made."""
    return _remembered(await tx.fetchrow(_FIND, caller=caller, method=method, key=key))


async def recall(database: Database, tenant_id: UUID, caller: UUID, method: str, key: str) -> Remembered | None:
    """The same in one round trip, before anything is claimed."""
    return _remembered(await database.hot(tenant_id, _RECALL, caller=caller, method=method, key=key))


def _remembered(row: Any) -> Remembered | None:
    return None if row is None else Remembered(row["request_hash"], row["response"], row["status"] == "running")


async def keep(tx: Tx, caller: UUID, method: str, key: str, request_hash: str, response: bytes) -> None:
    """Remembers the answer."""
    values = {"request_hash": request_hash, "response": response, "status": "done", "life": _LIFE, "claim": None}
    await tx.execute(_KEEP, tenant_id=tx.tenant_id, caller=caller, method=method, key=key, **values)


async def begin(tx: Tx, caller: UUID, method: str, key: str, request_hash: str, claim: UUID) -> None:
    """Remembers that the call is being made, until it is over or was not renewed for too long."""
    values = {"request_hash": request_hash, "response": None, "status": "running", "life": _LEASE, "claim": claim}
    await tx.execute(_KEEP, tenant_id=tx.tenant_id, caller=caller, method=method, key=key, **values)


async def renew(tx: Tx, caller: UUID, method: str, key: str, claim: UUID) -> None:
    """The call is still being made, unless another makes it by now."""
    await tx.execute(_RENEW, caller=caller, method=method, key=key, claim=claim, life=_LEASE)


async def end(tx: Tx, caller: UUID, method: str, key: str, request_hash: str, response: bytes, claim: UUID) -> bool:
    """Remembers the answer; False where another has made the call meanwhile, or does: theirs is the answer then.

    Where the other was taken for dead too, this is it.
    """
    values = {"request_hash": request_hash, "response": response, "status": "done", "life": _LIFE, "claim": claim}
    place = {"tenant_id": tx.tenant_id, "caller": caller, "method": method, "key": key}
    return await tx.fetchrow(_KEEP_CLAIMED, **place, **values) is not None


async def release(tx: Tx, caller: UUID, method: str, key: str, claim: UUID) -> None:
    """Forgets a call that failed, unless another makes it by now."""
    await tx.execute(_RELEASE, caller=caller, method=method, key=key, claim=claim)


async def forget_about(tx: Tx, purged: Sequence[UUID]) -> None:
    """Forgets every answer that names something that is purged."""
    if purged:  # it looks at all answers
        await tx.execute(_FORGET_ABOUT, texts=[f"%{one}%".encode() for one in purged])


async def forget_caller(tx: Tx, user_id: UUID) -> None:
    """Forgets every call of a user who is purged, and of their keys."""
    await tx.execute(_FORGET_CALLER, user_id=user_id)
