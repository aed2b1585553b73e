"""Knowledge bases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, get_args
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ARRAY, Uuid, and_, any_, bindparam, delete, func, insert, literal_column, or_, select, update

from server.db.base import among
from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.removal import PURGED_AT_ONCE, forgetting_deleters, long_deleted
from server.db.statements import Statement
from server.kernel.deletion import Deleted
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.knowledge.domain import KnowledgeBase, KnowledgeBaseNameTaken, KnowledgeBaseNotFound
from server.knowledge.tables import knowledge_bases as bases
from server.knowledge.tables import knowledge_documents as documents

_COLUMNS = (
    bases.c.id,
    bases.c.tenant_id,
    bases.c.owner_user_id,
    bases.c.name,
    bases.c.description,
    bases.c.visibility_scope,
    bases.c.default_embedding_model,
    bases.c.embedding_dimensions,
    bases.c.chunk_size,
    bases.c.chunk_overlap,
    bases.c.search_top_k,
    bases.c.search_threshold,
    bases.c.active_generation,
    bases.c.status,
    bases.c.former_status,
    bases.c.document_count,
    bases.c.chunk_count,
    bases.c.total_size,
    bases.c.created_by,
    bases.c.updated_by,
    bases.c.revision,
    bases.c.created_at,
    bases.c.updated_at,
    bases.c.deleted_at,
    bases.c.deleted_by,
)
_THIS = bases.c.id == bindparam("base_id")
_LIVE = bases.c.deleted_at.is_(None)
_SHARED = bases.c.visibility_scope != "personal"
_PUBLIC = bases.c.visibility_scope == "public"
_OWN = bases.c.owner_user_id == bindparam("member_id", type_=Uuid)

_GET = {
    deleted: Statement(select(*_COLUMNS).where(_THIS, *among(bases.c.deleted_at, deleted)))
    for deleted in get_args(Deleted)
}
_GET_PUBLIC = Statement(select(*_COLUMNS).where(_THIS, _LIVE, _PUBLIC))
# Not from who adds what belongs to it: a reindex holds a document by then, for which others wait who hold the base.
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update(key_share=True))
_MANY = Statement(select(*_COLUMNS).where(bases.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))), _LIVE))
_COUNT = Statement(select(func.count()).select_from(bases).where(_LIVE))
_SAID = (
    *("tenant_id", "id", "owner_user_id", "name", "description", "visibility_scope", "default_embedding_model"),
    *("embedding_dimensions", "chunk_size", "chunk_overlap", "search_top_k", "search_threshold", "created_by"),
)
_CREATE = Statement(insert(bases).values({name: bindparam(name) for name in _SAID}).returning(*_COLUMNS))
_DELETE = Statement(
    update(bases)
    .where(_THIS)
    .values(status="deleted", former_status=bases.c.status, deleted_at=func.now(), deleted_by=bindparam("deleted_by"))
    .returning(*_COLUMNS)
)
_RESTORE = Statement(
    update(bases)
    .where(_THIS)
    .values(status=bases.c.former_status, former_status=None, deleted_at=None, deleted_by=None)
    .returning(*_COLUMNS)
)
_BEGIN_PURGE = Statement(update(bases).where(_THIS).values(former_status=None))
_some = select(documents.c.id).where(documents.c.knowledge_base_id == bindparam("base_id"))
_EMPTY = Statement(
    delete(documents)
    .where(documents.c.id.in_(_some.limit(literal_column(str(PURGED_AT_ONCE)))))
    .returning(documents.c.id)
)
_PURGE = Statement(delete(bases).where(_THIS))
_LONG_DELETED = long_deleted(bases)
_OF_OWNER = bases.c.owner_user_id == bindparam("user_id")
_PURGE_PERSONAL = Statement(delete(bases).where(_OF_OWNER, ~_SHARED).returning(bases.c.id))
_DISOWN = Statement(update(bases).where(_OF_OWNER).values(owner_user_id=None).returning(bases.c.id))
_FORGET_DELETERS = forgetting_deleters(bases)
_FORGET_MAKERS = Statement(
    update(bases)
    .where(or_(bases.c.created_by == bindparam("person"), bases.c.updated_by == bindparam("person")))
    .values(
        created_by=func.nullif(bases.c.created_by, bindparam("person")),
        updated_by=func.nullif(bases.c.updated_by, bindparam("person")),
    )
)
_ADD_COUNTS = Statement(
    update(bases)
    .where(_THIS)
    .values({name: bases.c[name] + bindparam(name) for name in ("document_count", "chunk_count", "total_size")})
    .returning(*_COLUMNS)
)

_FILTERS = {
    "visibility": bases.c.visibility_scope == bindparam("visibility"),
    "status": bases.c.status == bindparam("status"),
    "owner_user_id": bases.c.owner_user_id == bindparam("owner_user_id"),
}


@cache
def _list(filters: tuple[str, ...], deleted: Deleted = "exclude", *, personal: bool = False) -> Statement:
    conditions = and_(
        *among(bases.c.deleted_at, deleted),
        bases.c.id < bindparam("before"),
        *(() if personal else (or_(_SHARED, _OWN),)),
        *(_FILTERS[name] for name in filters),
    )
    return Statement(select(*_COLUMNS).where(conditions).order_by(bases.c.id.desc()).limit(bindparam("most")))


@cache
def _update(names: tuple[str, ...]) -> Statement:
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(update(bases).where(_THIS).values(values).returning(*_COLUMNS))


async def get(tx: Tx, base_id: UUID, deleted: Deleted = "exclude") -> KnowledgeBase | None:
    """None where there is none."""
    row = await tx.fetchrow(_GET[deleted], base_id=base_id)
    return None if row is None else KnowledgeBase(*row)


async def get_public(tx: Tx, base_id: UUID) -> KnowledgeBase | None:
    """The live public one; None where there is none."""
    row = await tx.fetchrow(_GET_PUBLIC, base_id=base_id)
    return None if row is None else KnowledgeBase(*row)


async def lock_any(tx: Tx, base_id: UUID) -> KnowledgeBase:
    """The base, live or deleted, held until the transaction ends. Raises KnowledgeBaseNotFound."""
    return _found(base_id, await tx.fetchrow(_LOCK, base_id=base_id))


async def lock(tx: Tx, base_id: UUID) -> KnowledgeBase:
    """The live base, held until the transaction ends. Raises KnowledgeBaseNotFound."""
    base = await lock_any(tx, base_id)
    if base.deleted_at is not None:
        raise KnowledgeBaseNotFound(base_id)
    return base


async def many(tx: Tx, ids: Sequence[UUID]) -> list[KnowledgeBase]:
    """Those of them that are live."""
    return [KnowledgeBase(*row) for row in await tx.fetch(_MANY, ids=ids)]


async def page(
    tx: Tx,
    request: PageRequest,
    member_id: UUID | None,
    filters: Mapping[str, Any],
    deleted: Deleted = "exclude",
    *,
    personal: bool = False,
) -> Page[KnowledgeBase]:
    """What is shared and what is this member's, newest first. `personal`: the personal ones of others too."""
    statement = _list(tuple(sorted(filters)), deleted, personal=personal)
    own = {} if personal else {"member_id": member_id}
    rows = await tx.fetch(statement, before=request.before, most=request.size + 1, **own, **filters)
    return Page.cut([KnowledgeBase(*row) for row in rows], [row["id"] for row in rows], request.size)


async def count(tx: Tx) -> int:
    """How many live bases the tenant has."""
    return int(await tx.fetchval(_COUNT))


async def create(tx: Tx, values: Mapping[str, Any]) -> KnowledgeBase:
    """Raises KnowledgeBaseNameTaken."""
    given = {name: values.get(name) for name in _SAID}
    with _taken(values["name"]):
        return KnowledgeBase(*await tx.fetchone(_CREATE, **{**given, "tenant_id": tx.tenant_id, "id": uuid7()}))


async def change(tx: Tx, base: KnowledgeBase, values: Mapping[str, Any]) -> KnowledgeBase:
    """Raises KnowledgeBaseNameTaken."""
    with _taken(values.get("name", base.name)):
        return KnowledgeBase(*await tx.fetchone(_update(tuple(sorted(values))), base_id=base.id, **values))


async def mark_deleted(tx: Tx, base_id: UUID, by: UUID | None) -> KnowledgeBase:
    return KnowledgeBase(*await tx.fetchone(_DELETE, base_id=base_id, deleted_by=by and str(by)))


async def restore(tx: Tx, base: KnowledgeBase) -> KnowledgeBase:
    """As it was before it was deleted. Raises KnowledgeBaseNameTaken."""
    with _taken(base.name):
        return KnowledgeBase(*await tx.fetchone(_RESTORE, base_id=base.id))


async def begin_purge(tx: Tx, base_id: UUID) -> None:
    """It cannot be restored from now on."""
    await tx.execute(_BEGIN_PURGE, base_id=base_id)


async def empty(tx: Tx, base_id: UUID) -> list[UUID]:
    """Removes a batch of a base's documents, with their originals and their chunks; which those were."""
    return [row["id"] for row in await tx.fetch(_EMPTY, base_id=base_id)]


async def purge(tx: Tx, base_id: UUID) -> None:
    """Removes the base with all that is in it."""
    await tx.execute(_PURGE, base_id=base_id)


async def deleted_before(tx: Tx, days: int) -> list[UUID]:
    """At most PURGED_AT_ONCE bases that were deleted longer ago than that."""
    return [row["id"] for row in await tx.fetch(_LONG_DELETED, days=days)]


async def disown(tx: Tx, user_id: UUID) -> tuple[list[UUID], list[UUID]]:
    """Removes what was this user's alone; what they shared stays, and is nobody's. Which those were, and these. Nor did
    anybody make, change or delete what they did.
    """
    await tx.execute(_FORGET_DELETERS, deleters=[str(user_id)])
    await tx.execute(_FORGET_MAKERS, person=str(user_id))
    removed = [row["id"] for row in await tx.fetch(_PURGE_PERSONAL, user_id=user_id)]
    return removed, [row["id"] for row in await tx.fetch(_DISOWN, user_id=user_id)]


async def add_counts(tx: Tx, base_id: UUID, documents: int = 0, chunks: int = 0, size: int = 0) -> KnowledgeBase:
    """Adds to what it counts, or takes away; the base as it is now. Whoever counts for the same base waits until the
    transaction ends: it comes last in it. Raises KnowledgeBaseNotFound.
    """
    values = {"document_count": documents, "chunk_count": chunks, "total_size": size}
    return _found(base_id, await tx.fetchrow(_ADD_COUNTS, base_id=base_id, **values))


def _found(base_id: UUID, row: Record | None) -> KnowledgeBase:
    if row is None:
        raise KnowledgeBaseNotFound(base_id)
    return KnowledgeBase(*row)


def _taken(name: str) -> Any:
    return constraint_errors({key: lambda: KnowledgeBaseNameTaken(name=name) for key in _UNIQUE})


_UNIQUE = ("uq_knowledge_bases_name", "uq_knowledge_bases_own_name")
