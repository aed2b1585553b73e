"""Answers that are remembered, so that a call that is sent again is not made again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Interval, Text, bindparam, cast, func, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Tx
from server.db.statements import Statement
from server.identity.tables import idempotency_keys as keys

_LIFE = cast(literal(timedelta(hours=24)), Interval)

_CLAIM = Statement(
    select(func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=Text), literal(0))))
)
_FIND = Statement(
    select(keys.c.request_hash, keys.c.response).where(
        keys.c.caller == bindparam("caller"),
        keys.c.method == bindparam("method"),
        keys.c.key == bindparam("key"),
        keys.c.expires_at > func.now(),
    )
)
_values = {
    "request_hash": bindparam("request_hash"),
    "response": bindparam("response"),
    "status": "done",
    "expires_at": func.now() + _LIFE,
}
_KEEP = Statement(
    upsert(keys)
    .values(
        tenant_id=bindparam("tenant_id"),
        caller=bindparam("caller"),
        method=bindparam("method"),
        key=bindparam("key"),
        **_values,
    )
    .on_conflict_do_update(index_elements=["tenant_id", "caller", "method", "key"], set_=_values)
)


async def claim(tx: Tx, caller: UUID, method: str, key: str) -> bool:
    """Whether this transaction is the one that may make the call, until it ends. It never waits."""
    return bool(await tx.fetchval(_CLAIM, name=f"{tx.tenant_id}/{caller}/{method}/{key}"))


async def find(tx: Tx, caller: UUID, method: str, key: str) -> tuple[str, bytes] | None:
    """The hash of the request that was answered, and the answer; None where there was none in the last day."""
    row = await tx.fetchrow(_FIND, caller=caller, method=method, key=key)
    return None if row is None else (row["request_hash"], row["response"])


async def keep(tx: Tx, caller: UUID, method: str, key: str, request_hash: str, response: bytes) -> None:
    """Remembers the answer."""
    values = {"request_hash": request_hash, "response": response}
    await tx.execute(_KEEP, tenant_id=tx.tenant_id, caller=caller, method=method, key=key, **values)
