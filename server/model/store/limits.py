"""The limits of users and API keys."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.model.limits import Limits, LimitsNotFound, LimitSubjectUnknown, SubjectLimits
from server.model.tables import model_limits

_LIMITS = tuple(field.name for field in fields(Limits))
_COLUMNS = tuple(
    model_limits.c[name] for name in ("id", "user_id", "api_key_id", *_LIMITS, "revision", "created_at", "updated_at")
)
_SUBJECT = model_limits.c.user_id.is_not_distinct_from(
    bindparam("user_id", type_=model_limits.c.user_id.type)
) & model_limits.c.api_key_id.is_not_distinct_from(bindparam("api_key_id", type_=model_limits.c.api_key_id.type))
_THIS = model_limits.c.id == bindparam("limits_id")

_FIND = Statement(select(*_COLUMNS).where(_SUBJECT))
_LOCK = Statement(select(*_COLUMNS).where(_SUBJECT).with_for_update())
_LOCK_BY_ID = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_ALL = Statement(select(*_COLUMNS))
_LIST = Statement(
    select(*_COLUMNS)
    .where(model_limits.c.id < bindparam("before"))
    .order_by(model_limits.c.id.desc())
    .limit(bindparam("most"))
)
_PUT = Statement(
    upsert(model_limits)
    .values({name: bindparam(name) for name in ("tenant_id", "id", "user_id", "api_key_id", *_LIMITS)})
    .on_conflict_do_update(constraint="uq_model_limits_subject", set_={name: bindparam(name) for name in _LIMITS})
    .returning(*_COLUMNS)
)
_REMOVE = Statement(delete(model_limits).where(_THIS))


async def find(tx: Tx, user_id: UUID | None, api_key_id: UUID | None) -> SubjectLimits | None:
    row = await tx.fetchrow(_FIND, user_id=user_id, api_key_id=api_key_id)
    return None if row is None else _limits(row)


async def lock(tx: Tx, user_id: UUID | None, api_key_id: UUID | None) -> SubjectLimits | None:
    """The same, held until the transaction ends."""
    row = await tx.fetchrow(_LOCK, user_id=user_id, api_key_id=api_key_id)
    return None if row is None else _limits(row)


async def lock_by_id(tx: Tx, limits_id: UUID) -> SubjectLimits:
    """The limits, held until the transaction ends. Raises LimitsNotFound."""
    row = await tx.fetchrow(_LOCK_BY_ID, limits_id=limits_id)
    if row is None:
        raise LimitsNotFound(limits_id)
    return _limits(row)


async def everything(tx: Tx) -> dict[str, Limits]:
    """All limits of the tenant's users and keys, by the ledger's name for each."""
    return {found.subject: found.limits for found in map(_limits, await tx.fetch(_ALL))}


async def page(tx: Tx, request: PageRequest) -> Page[SubjectLimits]:
    """Limits, newest first."""
    rows = await tx.fetch(_LIST, before=request.before, most=request.size + 1)
    return Page.cut([_limits(row) for row in rows], [row["id"] for row in rows], request.size)


async def put(tx: Tx, user_id: UUID | None, api_key_id: UUID | None, limits: Limits) -> SubjectLimits:
    """These limits in place of whatever there were. Raises LimitSubjectUnknown."""
    unknown = {
        "fk_model_limits_tenant_id_user_id": lambda: LimitSubjectUnknown(user_id),
        "fk_model_limits_tenant_id_api_key_id": lambda: LimitSubjectUnknown(api_key_id),
    }
    with constraint_errors(unknown):
        row = await tx.fetchone(
            _PUT, tenant_id=tx.tenant_id, id=uuid7(), user_id=user_id, api_key_id=api_key_id, **asdict(limits)
        )
    return _limits(row)


async def remove(tx: Tx, limits_id: UUID) -> None:
    await tx.execute(_REMOVE, limits_id=limits_id)


def _limits(row: Any) -> SubjectLimits:
    limits_id, user_id, api_key_id, *limits, revision, created_at, updated_at = row
    return SubjectLimits(limits_id, user_id, api_key_id, Limits(*limits), revision, created_at, updated_at)
