"""How a document's original is fetched from its address, by the job that processes it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from server.db.database import Database
from server.jobs.runs import Overtaken
from server.knowledge.documents import PART_BYTES, Described, Document, DocumentExists, Upload
from server.knowledge.errors import DocumentNotFetched
from server.knowledge.parsing.types import charset_of, detect_fetched
from server.knowledge.ports import Fetch
from server.knowledge.store import bases, blobs, documents
from server.net.fetching import Fetched, FetchFailed, Head

_LIFE = timedelta(hours=1)
"""How long what a run fetched lies there that came to no end."""


class Fetching:
    """Fetches originals. The one of before stays the document's until another is there as a whole."""

    def __init__(self, database: Database, fetch: Fetch) -> None:
        self._database = database
        self._fetch = fetch

    async def __call__(self, document: Document, blob: Upload, token: UUID) -> tuple[Document, Upload]:
        """The document with what was fetched. `blob`: its original so far; `token`: by which it is the run's.

        Raises DocumentNotFetched, DocumentTypeUnsupported, DocumentExists, and Overtaken.
        """
        asked = blob.described

        def wanted(head: Head) -> None:
            _type(asked, head)

        try:
            fetched = await self._fetch(document.source_uri, wanted)
        except FetchFailed as error:
            raise DocumentNotFetched(str(error)) from None
        return await self._keep(document, blob, fetched, token)

    async def _keep(self, document: Document, blob: Upload, fetched: Fetched, token: UUID) -> tuple[Document, Upload]:
        content, asked = fetched.content, blob.described
        said = replace(asked, charset=charset_of(asked.media_type) or charset_of(fetched.head.media_type))
        file_hash = hashlib.sha256(content).hexdigest()
        values = {
            "file_name": asked.file_name or fetched.head.file_name,
            "file_size": len(content),
            "file_mime_type": _type(asked, fetched.head),
            "file_hash": file_hash,
        }
        base_id = document.knowledge_base_id
        async with self._database.tenant_tx(document.tenant_id) as tx:
            by = blob.started_by, blob.started_with
            made = await blobs.create(tx, base_id, *by, said, None, None, _LIFE)
        for offset in range(0, len(content), PART_BYTES):
            part = content[offset : offset + PART_BYTES]
            async with self._database.tenant_tx(document.tenant_id) as tx:
                await blobs.add_part(tx, made.id, offset, offset // PART_BYTES, part, _LIFE)
        async with self._database.tenant_tx(document.tenant_id) as tx:
            await bases.lock_any(tx, base_id)
            old = await documents.held(tx, document.id, token)
            if old is None:
                raise Overtaken
            known = await documents.same(tx, base_id, file_hash)
            if known not in (None, document.id) and old.deleted_at is None:
                raise DocumentExists(document_id=known)
            new = await documents.fetched(tx, document.id, token, **values)
            assert new is not None, "it is held"
            await blobs.remove(tx, (await blobs.of_document(tx, base_id, document.id)).id)
            kept = await blobs.complete(tx, made.id, document.id, new.file_size, new.file_hash)
            if new.deleted_at is None:
                await bases.add_counts(tx, base_id, size=new.file_size - old.file_size)
        return new, kept


def _type(asked: Described, head: Head) -> str:
    """Raises DocumentTypeUnsupported."""
    return detect_fetched(asked.file_name or head.file_name, asked.media_type or head.media_type, head.begin)
