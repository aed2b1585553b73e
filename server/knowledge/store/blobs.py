"""Originals of documents, and uploads under way."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import Interval, and_, bindparam, delete, func, insert, select, update

from server.db.database import Tx
from server.db.removal import removal
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.knowledge.documents import Described, DocumentNotFound, Upload, UploadNotFound
from server.knowledge.tables import document_blob_parts as parts
from server.knowledge.tables import document_blobs as blobs

_COLUMNS = (
    *(
        blobs.c[name]
        for name in ("id", "knowledge_base_id", "document_id", "started_by", "started_with", "described", "size")
    ),
    *(blobs.c[name] for name in ("hash", "received", "created_at", "expires_at")),
)
_THIS = blobs.c.id == bindparam("upload_id")
_LIFE = func.now() + bindparam("life", type_=Interval)

_CREATE = Statement(
    insert(blobs)
    .values(
        {
            **{
                name: bindparam(name)
                for name in (
                    "tenant_id",
                    "id",
                    "knowledge_base_id",
                    "started_by",
                    "started_with",
                    "described",
                    "size",
                    "hash",
                )
            },
            "expires_at": _LIFE,
        }
    )
    .returning(*_COLUMNS)
)
_GET = Statement(select(*_COLUMNS).where(_THIS))
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_GROW = Statement(
    update(blobs)
    .where(_THIS, blobs.c.received == bindparam("offset"), blobs.c.document_id.is_(None))
    .values(received=blobs.c.received + bindparam("more"), expires_at=_LIFE)
    .returning(*_COLUMNS)
)
_ADD_PART = Statement(
    insert(parts).values({name: bindparam(name) for name in ("tenant_id", "blob_id", "part", "bytes")})
)
_COMPLETE = Statement(
    update(blobs)
    .where(_THIS)
    .values(document_id=bindparam("document_id"), size=bindparam("size"), hash=bindparam("hash"), expires_at=None)
    .returning(*_COLUMNS)
)
_PART = Statement(
    select(parts.c.bytes).where(parts.c.blob_id == bindparam("upload_id"), parts.c.part == bindparam("part"))
)
_OF_DOCUMENT = Statement(
    select(*_COLUMNS).where(
        and_(
            blobs.c.knowledge_base_id == bindparam("base_id"),
            blobs.c.document_id == bindparam("document_id"),
        )
    )
)
_UNDER_WAY = Statement(select(func.count()).select_from(blobs).where(blobs.c.expires_at.is_not(None)))
_THEIRS = blobs.c.started_by == bindparam("user_id")
_FORGET_PERSON = Statement(delete(blobs).where(_THEIRS, blobs.c.document_id.is_(None)))
_FORGET_MAKER = Statement(update(blobs).where(_THEIRS).values(started_by=None, started_with=None))
_TAKE = Statement(
    update(blobs)
    .where(blobs.c.knowledge_base_id == bindparam("base_id"), blobs.c.document_id == bindparam("document_id"))
    .values(started_by=bindparam("user_id"), started_with=bindparam("api_key_id"))
)

_FETCH_ANEW = Statement(
    update(blobs)
    .where(blobs.c.knowledge_base_id == bindparam("base_id"), blobs.c.document_id == bindparam("document_id"))
    .values(hash=None)
)
_REMOVE = Statement(delete(blobs).where(_THIS))

EXPIRED = removal(blobs, blobs.c.expires_at, func.now())
"""Removes a batch of the uploads that nobody went on with."""


async def create(
    tx: Tx,
    base_id: UUID,
    user_id: UUID | None,
    api_key_id: UUID | None,
    described: Described,
    size: int | None,
    file_hash: str | None,
    life: timedelta,
) -> Upload:
    """An upload that has nothing yet."""
    values = {"started_by": user_id, "started_with": api_key_id, "described": asdict(described), "size": size}
    ids = {"tenant_id": tx.tenant_id, "id": uuid7(), "knowledge_base_id": base_id}
    return _upload(await tx.fetchone(_CREATE, **ids, **values, hash=file_hash, life=life))


async def get(tx: Tx, upload_id: UUID) -> Upload:
    """Raises UploadNotFound."""
    return _found(upload_id, await tx.fetchrow(_GET, upload_id=upload_id))


async def lock(tx: Tx, upload_id: UUID) -> Upload:
    """The same, held until the transaction ends."""
    return _found(upload_id, await tx.fetchrow(_LOCK, upload_id=upload_id))


async def add_part(tx: Tx, upload_id: UUID, offset: int, part: int, data: bytes, life: timedelta) -> Upload | None:
    """Adds the part, which begins at that offset; None where the upload goes on elsewhere by now."""
    row = await tx.fetchrow(_GROW, upload_id=upload_id, offset=offset, more=len(data), life=life)
    if row is None:
        return None
    await tx.execute(_ADD_PART, tenant_id=tx.tenant_id, blob_id=upload_id, part=part, bytes=data)
    return _upload(row)


async def complete(tx: Tx, upload_id: UUID, document_id: UUID, size: int, file_hash: str | None) -> Upload:
    """It is the document's original. `file_hash`: None: that is yet to be fetched."""
    return _upload(
        await tx.fetchone(_COMPLETE, upload_id=upload_id, document_id=document_id, size=size, hash=file_hash)
    )


async def part(tx: Tx, upload_id: UUID, number: int) -> bytes | None:
    """A part's bytes; None behind the last."""
    row = await tx.fetchrow(_PART, upload_id=upload_id, part=number)
    return None if row is None else row["bytes"]


async def of_document(tx: Tx, base_id: UUID, document_id: UUID) -> Upload:
    """The original of a document. Raises DocumentNotFound where that is purged."""
    row = await tx.fetchrow(_OF_DOCUMENT, base_id=base_id, document_id=document_id)
    if row is None:
        raise DocumentNotFound(document_id)
    return _upload(row)


async def take(tx: Tx, base_id: UUID, document_id: UUID, user_id: UUID, api_key_id: UUID | None) -> None:
    """It is they who have the document processed now."""
    await tx.execute(_TAKE, base_id=base_id, document_id=document_id, user_id=user_id, api_key_id=api_key_id)


async def fetch_anew(tx: Tx, base_id: UUID, document_id: UUID) -> None:
    """The document's original is to be fetched again; until then it is what it was."""
    await tx.execute(_FETCH_ANEW, base_id=base_id, document_id=document_id)


async def remove(tx: Tx, upload_id: UUID) -> None:
    await tx.execute(_REMOVE, upload_id=upload_id)


async def under_way(tx: Tx) -> int:
    """How many uploads of the tenant are not complete."""
    return int(await tx.fetchval(_UNDER_WAY))


async def forget_person(tx: Tx, user_id: UUID) -> None:
    """What they were uploading is gone, and nobody uploaded the rest."""
    await tx.execute(_FORGET_PERSON, user_id=user_id)
    await tx.execute(_FORGET_MAKER, user_id=user_id)


def _found(upload_id: UUID, row: Record | None) -> Upload:
    if row is None:
        raise UploadNotFound(upload_id)
    return _upload(row)


def _upload(row: Any) -> Upload:
    values = dict(row)
    return Upload(**{**values, "described": Described(**values["described"])})
