"""Documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, get_args
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ARRAY, Uuid, and_, any_, bindparam, delete, func, insert, select, update

from server.db.base import among
from server.db.bounded import bounded, page_of
from server.db.database import Tx
from server.db.removal import forgetting_deleters, long_deleted
from server.db.statements import Statement
from server.kernel.deletion import Deleted
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.knowledge.documents import Document, DocumentNotFound
from server.knowledge.tables import knowledge_documents as documents

_COLUMNS = (
    *(documents.c[name] for name in ("id", "tenant_id", "knowledge_base_id", "title", "author", "source_type")),
    *(documents.c[name] for name in ("source_uri", "file_name", "file_size", "file_mime_type", "file_hash")),
    *(documents.c[name] for name in ("version", "status", "error_reason", "error_message", "chunk_count")),
    *(documents.c[name] for name in ("uploaded_by", "processed_at", "active_revision", "metadata", "revision")),
    *(documents.c[name] for name in ("created_at", "updated_at", "deleted_at", "deleted_by")),
)
_THIS = documents.c.id == bindparam("document_id")
_LIVE = documents.c.deleted_at.is_(None)
_OF_BASE = documents.c.knowledge_base_id == bindparam("base_id")

_GET = {
    deleted: Statement(select(*_COLUMNS).where(_THIS, *among(documents.c.deleted_at, deleted)))
    for deleted in get_args(Deleted)
}
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update(key_share=True))
_SAME = Statement(select(documents.c.id).where(_OF_BASE, documents.c.file_hash == bindparam("file_hash"), _LIVE))
_SAID = (
    *("tenant_id", "id", "knowledge_base_id", "title", "author", "source_type", "source_uri", "file_name"),
    *("file_size", "file_mime_type", "file_hash", "version", "uploaded_by", "metadata"),
)
_CREATE = Statement(insert(documents).values({name: bindparam(name) for name in _SAID}).returning(*_COLUMNS))
_DELETE = Statement(
    update(documents)
    .where(_THIS)
    .values(deleted_at=func.now(), deleted_by=bindparam("deleted_by"))
    .returning(*_COLUMNS)
)
_RESTORE = Statement(update(documents).where(_THIS).values(deleted_at=None, deleted_by=None).returning(*_COLUMNS))
_PURGE = Statement(delete(documents).where(_THIS))
_LONG_DELETED = long_deleted(documents)
_AGAIN = Statement(
    update(documents)
    .where(_THIS)
    .values(status="pending", error_reason=None, error_message=None, run_token=None)
    .returning(*_COLUMNS)
)
_BEGIN = Statement(
    update(documents)
    .where(_THIS, _LIVE, documents.c.status.in_(("pending", "processing")))
    .values(status="processing", run_token=bindparam("run_token"))
    .returning(*_COLUMNS)
)
_MINE = documents.c.run_token == bindparam("run_token")
_WAITING = Statement(
    select(documents.c.id)
    .where(
        _LIVE,
        documents.c.status.in_(("pending", "processing")),
        documents.c.updated_at < func.now() - func.make_interval(0, 0, 0, 0, 0, 10),
    )
    .order_by(documents.c.updated_at)
    .limit(1_000)
)
_HOLD = Statement(
    select(*_COLUMNS)
    .where(_THIS, documents.c.run_token.is_not_distinct_from(bindparam("run_token", type_=Uuid)))
    .with_for_update(key_share=True)
)
_HOLD_LIVE = Statement(select(*_COLUMNS).where(_THIS, _LIVE).with_for_update(key_share=True))
_INDEXED = Statement(
    update(documents)
    .where(_THIS, _MINE)
    .values(
        status="indexed",
        run_token=None,
        processed_at=func.now(),
        active_revision=bindparam("active_revision"),
        chunk_count=bindparam("chunk_count"),
        title=func.coalesce(documents.c.title, bindparam("title")),
        author=func.coalesce(documents.c.author, bindparam("author")),
    )
    .returning(*_COLUMNS)
)
_FETCHED = Statement(
    update(documents)
    .where(_THIS, _MINE)
    .values({name: bindparam(name) for name in ("file_name", "file_size", "file_mime_type", "file_hash")})
    .returning(*_COLUMNS)
)
_FAILED = Statement(
    update(documents)
    .where(_THIS, _MINE)
    .values(
        status="failed",
        run_token=None,
        processed_at=func.now(),
        error_reason=bindparam("error_reason"),
        error_message=bindparam("error_message"),
    )
    .returning(*_COLUMNS)
)
_MANY = Statement(select(*_COLUMNS).where(documents.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))), _LIVE))
_FORGET_DELETERS = forgetting_deleters(documents)
_FORGET_ADDERS = Statement(
    update(documents).where(documents.c.uploaded_by == bindparam("person")).values(uploaded_by=None)
)

_FILTERS = {
    "status": documents.c.status == bindparam("status"),
    "file_hash": documents.c.file_hash == bindparam("file_hash"),
}


@cache
def _list(filters: tuple[str, ...], deleted: Deleted = "exclude") -> Statement:
    conditions = and_(
        _OF_BASE,
        *among(documents.c.deleted_at, deleted),
        documents.c.id < bindparam("before"),
        *(_FILTERS[name] for name in filters),
    )
    listed = select(*_COLUMNS).where(conditions).order_by(documents.c.id.desc()).limit(bindparam("most"))
    return Statement(bounded(listed, documents.c.metadata))


@cache
def _update(names: tuple[str, ...]) -> Statement:
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(update(documents).where(_THIS).values(values).returning(*_COLUMNS))


async def get(tx: Tx, document_id: UUID, deleted: Deleted = "exclude") -> Document | None:
    """None where there is none."""
    return _or_none(await tx.fetchrow(_GET[deleted], document_id=document_id))


async def lock_any(tx: Tx, document_id: UUID) -> Document:
    """The document, live or deleted, held until the transaction ends. Raises DocumentNotFound."""
    found = _or_none(await tx.fetchrow(_LOCK, document_id=document_id))
    if found is None:
        raise DocumentNotFound(document_id)
    return found


async def many(tx: Tx, ids: Sequence[UUID]) -> list[Document]:
    """Those of them that are live."""
    return [Document(*row) for row in await tx.fetch(_MANY, ids=ids)]


async def page(
    tx: Tx, base_id: UUID, request: PageRequest, filters: Mapping[str, Any], deleted: Deleted = "exclude"
) -> Page[Document]:
    """Those of the base, newest first. `filters`: status, file_hash."""
    statement = _list(tuple(sorted(filters)), deleted)
    rows = await tx.fetch(statement, base_id=base_id, before=request.before, most=request.size + 1, **filters)
    return page_of(rows, request.size, lambda row: Document(**row))


async def same(tx: Tx, base_id: UUID, file_hash: str | None) -> UUID | None:
    """The live document of the base with that content; None: there is none, nor is one of what is yet to be fetched."""
    row = await tx.fetchrow(_SAME, base_id=base_id, file_hash=file_hash)
    return None if row is None else row["id"]


async def create(tx: Tx, values: Mapping[str, Any]) -> Document:
    """Adds one to a base that is held, and which has no other with that content."""
    given = {name: values.get(name) for name in _SAID}
    return Document(*await tx.fetchone(_CREATE, **{**given, "tenant_id": tx.tenant_id, "id": uuid7()}))


async def change(tx: Tx, document_id: UUID, values: Mapping[str, Any]) -> Document:
    return Document(*await tx.fetchone(_update(tuple(sorted(values))), document_id=document_id, **values))


async def mark_deleted(tx: Tx, document_id: UUID, by: UUID | None) -> Document:
    return Document(*await tx.fetchone(_DELETE, document_id=document_id, deleted_by=by and str(by)))


async def restore(tx: Tx, document_id: UUID) -> Document:
    """Brings it back into a base that is held, and which has no other with that content."""
    return Document(*await tx.fetchone(_RESTORE, document_id=document_id))


async def purge(tx: Tx, document_id: UUID) -> None:
    """Removes the document with its original and its chunks."""
    await tx.execute(_PURGE, document_id=document_id)


async def deleted_before(tx: Tx, days: int) -> list[UUID]:
    """At most PURGED_AT_ONCE documents that were deleted longer ago than that."""
    return [row["id"] for row in await tx.fetch(_LONG_DELETED, days=days)]


async def again(tx: Tx, document_id: UUID) -> Document:
    """It is to be processed once more; whoever is at it now is too late."""
    return Document(*await tx.fetchone(_AGAIN, document_id=document_id))


async def begin(tx: Tx, document_id: UUID, run_token: UUID) -> Document | None:
    """A run has begun: whoever was at it before is too late. None where there is nothing to do any more."""
    return _or_none(await tx.fetchrow(_BEGIN, document_id=document_id, run_token=run_token))


async def waiting(tx: Tx) -> list[UUID]:
    """Live ones that are to be processed, and that nothing was done with for ten minutes: a thousand at most."""
    return [row["id"] for row in await tx.fetch(_WAITING)]


async def held(tx: Tx, document_id: UUID, run_token: UUID | None) -> Document | None:
    """The document, where it is that run's, or nobody's: no other begins until the transaction ends."""
    return _or_none(await tx.fetchrow(_HOLD, document_id=document_id, run_token=run_token))


async def held_live(tx: Tx, document_id: UUID) -> Document | None:
    """The document, held until the transaction ends; None where it is not live."""
    return _or_none(await tx.fetchrow(_HOLD_LIVE, document_id=document_id))


async def indexed(tx: Tx, document_id: UUID, run_token: UUID, **values: Any) -> Document | None:
    """The run is done: its revision is what is searched from now on. None where it is another's by now. `values`:
    active_revision, chunk_count, title, author.
    """
    return _or_none(await tx.fetchrow(_INDEXED, document_id=document_id, run_token=run_token, **values))


async def fetched(tx: Tx, document_id: UUID, run_token: UUID, **values: Any) -> Document | None:
    """The run has fetched it. None where it is another's by now. `values`: file_name, file_size, file_mime_type,
    file_hash.
    """
    return _or_none(await tx.fetchrow(_FETCHED, document_id=document_id, run_token=run_token, **values))


async def failed(tx: Tx, document_id: UUID, run_token: UUID, reason: str, message: str) -> Document | None:
    """The run has failed for good. None where it is another's by now."""
    values = {"error_reason": reason, "error_message": message}
    return _or_none(await tx.fetchrow(_FAILED, document_id=document_id, run_token=run_token, **values))


async def forget_person(tx: Tx, user_id: UUID) -> None:
    """Nobody added or deleted what they did."""
    await tx.execute(_FORGET_DELETERS, deleters=[str(user_id)])
    await tx.execute(_FORGET_ADDERS, person=str(user_id))


def _or_none(row: Record | None) -> Document | None:
    return None if row is None else Document(*row)
