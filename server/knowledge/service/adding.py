"""How documents come in: a text at once, and a file in parts that can be gone on with."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.jobs.backlog import Backlog
from server.kernel.audit import Change
from server.kernel.principal import current_call
from server.knowledge.documents import (
    PART_BYTES,
    Described,
    Document,
    DocumentExists,
    TooManyUploads,
    Upload,
    UploadDiffers,
    UploadIncomplete,
    UploadNotFound,
    UploadOffsetTaken,
    UploadTooLarge,
)
from server.knowledge.domain import KnowledgeBase
from server.knowledge.errors import DocumentUrlRefused
from server.knowledge.parsing.types import detect
from server.knowledge.ports import AuditLog, Embeddings
from server.knowledge.service.bases import check_key, open_base
from server.knowledge.service.ingestion import asked_for
from server.knowledge.service.values import document_values, upload_values
from server.knowledge.store import bases, blobs, documents
from server.net.fetching import UrlRefused, check_url

_LIFE = timedelta(days=1)
_MOST_UNDER_WAY = 200

_BROKEN_OFF_SECONDS = 0.2
"""A stream that its client breaks off ends like any other, and that it was is known a moment later, 10 ms at most on a
busy machine: nothing that is not said to be whole, by its size or its hash, is taken for that before."""


class AddingService:
    """Adds documents to the bases of the caller's tenant, and has them processed."""

    def __init__(
        self,
        database: Database,
        embeddings: Embeddings,
        backlog: Backlog,
        audit: AuditLog,
        most_bytes: int,
        *,
        private_addresses: bool,
    ) -> None:
        """`most_bytes`: of one document. `private_addresses`: whether documents are fetched from those too."""
        self._database = database
        self._embeddings = embeddings
        self._backlog = backlog
        self._audit = audit
        self._most_bytes = most_bytes
        self._private_addresses = private_addresses

    async def text(self, base_id: UUID, described: Described, text: str) -> Document:
        """A document that is this text.

        Raises KnowledgeBaseNotFound, KnowledgeBaseDeleted, KnowledgeBaseArchived, PermissionMissing, DocumentExists,
        UploadTooLarge, and what is wrong with its type, or with the caller's key.
        """
        caller, data = current_call().caller, text.encode()
        self._check_size(len(data), described)
        media_type = detect(described.file_name, described.media_type, data[:PART_BYTES])
        await check_key(self._database, self._embeddings, base_id)
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            base = await open_base(tx, base_id)
            upload = await self._begin(tx, base, replace(described, media_type=media_type), len(data), None)
            for offset in range(0, len(data), PART_BYTES):
                part = data[offset : offset + PART_BYTES]
                await blobs.add_part(tx, upload.id, offset, offset // PART_BYTES, part, _LIFE)
            return await self._finish(tx, base, upload, media_type, len(data), hashlib.sha256(data).hexdigest())

    async def url(self, base_id: UUID, described: Described, url: str) -> Document:
        """A document that is to be fetched from that address.

        Raises KnowledgeBaseNotFound, KnowledgeBaseDeleted, KnowledgeBaseArchived, PermissionMissing,
        DocumentUrlRefused, and what is wrong with the caller's key.
        """
        try:
            check_url(url, guarded=not self._private_addresses)
        except UrlRefused as error:
            raise DocumentUrlRefused(str(error)) from None
        await check_key(self._database, self._embeddings, base_id)
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            base = await open_base(tx, base_id)
            upload = await self._begin(tx, base, replace(described, source_uri=url), None, None)
            return await self._finish(tx, base, upload, None, 0, None)

    async def start(self, base_id: UUID, described: Described, size: int | None, file_hash: str | None) -> Upload:
        """An upload, which is good for a day after the last part of it came.

        Raises KnowledgeBaseNotFound, KnowledgeBaseDeleted, KnowledgeBaseArchived, PermissionMissing, TooManyUploads,
        UploadTooLarge, and what is wrong with the caller's key.
        """
        self._check_size(size or 0, described)
        await check_key(self._database, self._embeddings, base_id)
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            base = await open_base(tx, base_id)
            if await blobs.under_way(tx) >= _MOST_UNDER_WAY:
                raise TooManyUploads("uploads", most=_MOST_UNDER_WAY)
            upload = await self._begin(tx, base, described, size, file_hash)
            await self._audit.record(tx, Change("uploads.start", "upload", upload.id, new=upload_values(upload)))
        return upload

    async def upload(self, upload_id: UUID) -> Upload:
        """One that the caller started. Raises UploadNotFound."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return _own(await blobs.get(tx, upload_id))

    async def receive(self, upload_id: UUID, offset: int, data: AsyncIterator[bytes]) -> Document:
        """What comes of the upload from that offset on, a multiple of PART_BYTES, to its end. What came before it broke
        off is kept. An upload that is complete gives its document.

        Raises UploadNotFound, UploadOffsetTaken, UploadTooLarge, UploadIncomplete, UploadDiffers, DocumentExists,
        KnowledgeBaseNotFound, KnowledgeBaseDeleted, KnowledgeBaseArchived, and what is wrong with its type.
        """
        upload = await self.upload(upload_id)
        if upload.document_id is not None:
            return await self._complete(upload, "")
        if offset != upload.received:
            raise UploadOffsetTaken(received=upload.received)
        most = self._most_bytes if upload.size is None else upload.size
        if upload.received % PART_BYTES:  # its last part came before, and what it came to was refused
            most = upload.received
        hashed = await self._hashed(upload)
        unsaid = upload.size is None and upload.hash is None
        async for part in _parts(data, _BROKEN_OFF_SECONDS if unsaid else 0.0):
            if upload.received + len(part) > most:
                if upload.size is None and most == self._most_bytes:
                    raise UploadTooLarge("upload", most=most)
                raise UploadDiffers(str(upload_id))
            if len(part) < PART_BYTES and upload.size is not None and upload.received + len(part) < upload.size:
                break  # only a last part is shorter
            upload = await self._add(upload, part)
            hashed.update(part)
        if upload.size is not None and upload.received < upload.size:
            raise UploadIncomplete(str(upload_id), received=upload.received, size=upload.size)
        if upload.hash is not None and upload.hash != hashed.hexdigest():
            raise UploadDiffers(str(upload_id))
        return await self._complete(upload, hashed.hexdigest())

    def _check_size(self, size: int, described: Described) -> None:
        if size > self._most_bytes:
            raise UploadTooLarge(described.source_type, most=self._most_bytes)

    async def _begin(
        self, tx: Tx, base: KnowledgeBase, described: Described, size: int | None, file_hash: str | None
    ) -> Upload:
        caller = current_call().caller
        return await blobs.create(tx, base.id, caller.user_id, caller.api_key_id, described, size, file_hash, _LIFE)

    async def _add(self, upload: Upload, part: bytes) -> Upload:
        """No connection is held while the client is waited for: each part is a transaction of its own."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            grown = await blobs.add_part(tx, upload.id, upload.received, upload.received // PART_BYTES, part, _LIFE)
            if grown is None:
                raise UploadOffsetTaken(received=(await blobs.get(tx, upload.id)).received)
        return grown

    async def _hashed(self, upload: Upload) -> Any:
        """The hash of what came before."""
        hashed = hashlib.sha256()
        for number in range(ceil(upload.received / PART_BYTES)):
            async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
                hashed.update(await blobs.part(tx, upload.id, number) or b"")
        return hashed

    async def _complete(self, upload: Upload, file_hash: str) -> Document:
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            base = await open_base(tx, upload.knowledge_base_id)
            found = _own(await blobs.lock(tx, upload.id))
            if found.document_id is not None:
                return await documents.lock_any(tx, found.document_id)
            if found.received != upload.received:  # another went on behind what is complete for this one
                raise UploadOffsetTaken(received=found.received)
            begin = await blobs.part(tx, upload.id, 0) or b""
            described = upload.described
            media_type = detect(described.file_name, described.media_type, begin)
            return await self._finish(tx, base, upload, media_type, upload.received, file_hash)

    async def _finish(
        self, tx: Tx, base: KnowledgeBase, upload: Upload, media_type: str | None, size: int, file_hash: str | None
    ) -> Document:
        """The upload is a document, which is to be processed. None of type and hash: to be fetched before."""
        known = await documents.same(tx, base.id, file_hash)
        if known is not None:
            raise DocumentExists(document_id=known)
        caller, described = current_call().caller, upload.described
        said = {
            "knowledge_base_id": base.id,
            "title": described.title,
            "author": described.author,
            "source_type": described.source_type,
            "source_uri": described.source_uri or f"blob:{file_hash}",
            "file_name": described.file_name,
            "file_size": size,
            "file_mime_type": media_type,
            "file_hash": file_hash,
            "version": described.version,
            "uploaded_by": caller.member_id and str(caller.member_id),
            "metadata": described.metadata,
        }
        document = await documents.create(tx, said)
        await blobs.complete(tx, upload.id, document.id, size, file_hash)
        await bases.add_counts(tx, base.id, documents=1, size=size)
        change = Change("documents.create", "document", document.id, new=document_values(document))
        await self._audit.record(tx, change)
        await self._backlog.add(tx, *asked_for(document, current_call()))
        return document


def _own(upload: Upload) -> Upload:
    """The same. Raises UploadNotFound where another started it."""
    if upload.started_by != current_call().caller.user_id:
        raise UploadNotFound(upload.id)
    return upload


async def _parts(data: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """What comes, in parts of PART_BYTES and a last one, which comes so many seconds later."""
    waiting = bytearray()
    async for piece in data:
        waiting += piece
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    await asyncio.sleep(seconds)
    if waiting:
        yield bytes(waiting)
