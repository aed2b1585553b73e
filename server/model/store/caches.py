"""Answers and vectors that may be given again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Float, LargeBinary, Table, Uuid, bindparam, column, func, select, true
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Database, Tx
from server.db.removal import removal
from server.db.statements import HotStatement, Statement
from server.model.tables import embedding_cache, response_cache

_life = func.make_interval(0, 0, 0, 0, 0, 0, bindparam("seconds", type_=Float))
_until = func.now() + _life


def _young(table: Table) -> ColumnElement[bool]:
    """Young enough for whoever kept it, and for whoever asks."""
    return (table.c.expires_at > func.now()) & (table.c.created_at > func.now() - _life)


_ANSWER = HotStatement(
    select(response_cache.c.answer).where(
        response_cache.c.question_hash == bindparam("question"), _young(response_cache)
    )
)
_keep = upsert(response_cache).values(
    tenant_id=bindparam("tenant_id"),
    question_hash=bindparam("question"),
    answer=bindparam("answer"),
    expires_at=_until,
)
_KEEP_ANSWER = Statement(
    _keep.on_conflict_do_update(
        constraint="pk_response_cache",
        set_={
            "answer": _keep.excluded.answer,
            "created_at": func.now(),
            # Whoever wanted one for longer still has one for as long.
            "expires_at": func.greatest(response_cache.c.expires_at, _keep.excluded.expires_at),
        },
    )
)
_asked = (
    func.unnest(bindparam("hashes", type_=ARRAY(LargeBinary)))
    .table_valued(column("content_hash", LargeBinary))
    .render_derived(name="asked")
)
# Each by itself, which OFFSET 0 sees to: together PostgreSQL 16 may look for them among all of the model's.
_found = (
    select(embedding_cache.c.content_hash, embedding_cache.c.vector)
    .where(
        embedding_cache.c.model_id == bindparam("model_id"),
        embedding_cache.c.content_hash == _asked.c.content_hash,
        _young(embedding_cache),
    )
    .offset(0)
    .lateral("found")
)
_VECTORS = Statement(select(_found.c.content_hash, _found.c.vector).select_from(_asked.join(_found, true())))
_rows = (
    func.unnest(bindparam("hashes", type_=ARRAY(LargeBinary)), bindparam("vectors", type_=ARRAY(LargeBinary)))
    .table_valued(column("content_hash", LargeBinary), column("vector", LargeBinary))
    .render_derived(name="added")
)
_keep_vectors = upsert(embedding_cache).from_select(
    ["tenant_id", "model_id", "content_hash", "vector", "expires_at"],
    select(
        bindparam("tenant_id", type_=Uuid),
        bindparam("model_id", type_=Uuid),
        _rows.c.content_hash,
        _rows.c.vector,
        _until,
    ).order_by(_rows.c.content_hash),
)
_KEEP_VECTORS = Statement(
    _keep_vectors.on_conflict_do_update(
        constraint="pk_embedding_cache",
        set_={
            "vector": _keep_vectors.excluded.vector,
            "created_at": func.now(),
            "expires_at": func.greatest(embedding_cache.c.expires_at, _keep_vectors.excluded.expires_at),
        },
    )
)

EXPIRED = tuple(removal(table, table.c.expires_at, func.now()) for table in (response_cache, embedding_cache))


async def answer(database: Database, tenant_id: UUID, question: bytes, seconds: float) -> dict[str, Any] | None:
    """The answer to that question that may be given again, and is no older than that."""
    row = await database.hot(tenant_id, _ANSWER, question=question, seconds=seconds)
    return None if row is None else row["answer"]


async def keep_answer(tx: Tx, question: bytes, answer: Mapping[str, Any], seconds: float) -> None:
    await tx.execute(_KEEP_ANSWER, tenant_id=tx.tenant_id, question=question, answer=answer, seconds=seconds)


async def vectors(tx: Tx, model_id: UUID, hashes: Sequence[bytes], seconds: float) -> dict[bytes, bytes]:
    """Those of the model's vectors that may be given again, and are no older than that, by the hash of their text."""
    rows = await tx.fetch(_VECTORS, model_id=model_id, hashes=hashes, seconds=seconds)
    return {row["content_hash"]: row["vector"] for row in rows}


async def keep_vectors(tx: Tx, model_id: UUID, found: Mapping[bytes, bytes], seconds: float) -> None:
    await tx.execute(
        _KEEP_VECTORS,
        tenant_id=tx.tenant_id,
        model_id=model_id,
        hashes=list(found),
        vectors=list(found.values()),
        seconds=seconds,
    )
