"""Fetching a document's original, step by step: it is kept once and whole, or not at all."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database
from server.net.fetching import FetchFailed
from tests.jobs.ingesting import Ingesting, add_document

URL = "http://example.com/tides"
LARGE = b"The moon pulls the sea. " * 60_000
"""Two parts of an original, in a line."""

Tenants = tuple[UUID, UUID]


def _ingesting(database: Database, content: bytes = LARGE, **fields: Any) -> Ingesting:
    made = Ingesting(database, **fields)
    made.web.pages[URL] = content
    return made


@pytest.fixture
async def document_id(tenants: Tenants, admin: Any) -> UUID:
    """A document that is to be fetched, and was before."""
    made = await add_document(admin, tenants[0], "What was there before")
    unfetched = "UPDATE knowledge_documents SET source_type = 'url', source_uri = $2, file_hash = NULL WHERE id = $1"
    await admin.execute(unfetched, made, URL)
    return made


async def _check_kept(admin: Any, document_id: UUID, content: bytes) -> None:
    """That is the document's original, and nothing else lies there."""
    row = await admin.fetchrow("SELECT * FROM knowledge_documents WHERE id = $1", document_id)
    assert (row["status"], row["file_size"], row["file_hash"]) == (
        *("indexed", len(content)),
        hashlib.sha256(content).hexdigest(),
    )
    parts = await admin.fetch("SELECT blob_id, bytes FROM document_blob_parts ORDER BY part")
    assert b"".join(part["bytes"] for part in parts) == content
    blob = await admin.fetchrow("SELECT * FROM document_blobs")
    assert {part["blob_id"] for part in parts} == {blob["id"]}
    assert (blob["document_id"], blob["hash"], blob["size"]) == (document_id, row["file_hash"], len(content))
    assert await admin.fetchval("SELECT total_size FROM knowledge_bases") == len(content)


async def test_what_was_there_goes_once_another_is_there_as_a_whole(
    document_id: UUID, tenants: Tenants, database: Database, admin: Any
) -> None:
    await _ingesting(database).run(tenants[0], document_id)

    await _check_kept(admin, document_id, LARGE)


async def test_what_cannot_be_fetched_leaves_what_was_there(
    document_id: UUID, tenants: Tenants, database: Database, admin: Any
) -> None:
    ingesting = _ingesting(database)
    ingesting.web.failure = FetchFailed("its host is not known")

    await ingesting.run(tenants[0], document_id)

    row = await admin.fetchrow("SELECT status, error_reason, error_message FROM knowledge_documents")
    assert tuple(row) == (
        *("failed", "DOCUMENT_NOT_FETCHED"),
        "The document could not be fetched: its host is not known.",
    )
    assert await admin.fetchval("SELECT bytes FROM document_blob_parts") == b"What was there before"


async def test_a_run_that_was_overtaken_while_it_fetched_keeps_nothing_of_it(
    document_id: UUID, tenants: Tenants, database: Database, admin: Any
) -> None:
    stopped = _ingesting(database, b"Too late", shut="fetching")
    first = stopped.run(tenants[0], document_id)
    go_on = await stopped.fetching.arrival()
    await _ingesting(database).run(tenants[0], document_id)

    go_on.set()
    await first

    await admin.execute("DELETE FROM document_blobs WHERE expires_at IS NOT NULL")  # as the upkeep does, in an hour
    await _check_kept(admin, document_id, LARGE)


async def test_what_was_fetched_is_not_fetched_again_where_the_run_ends_behind_it(
    document_id: UUID, tenants: Tenants, database: Database, admin: Any
) -> None:
    killed = _ingesting(database, shut="embedding")
    run = killed.run(tenants[0], document_id)
    await killed.embedding.arrival()
    run.cancel()
    later = Ingesting(database)
    later.web.failure = FetchFailed("its host is not known")

    await later.run(tenants[0], document_id)

    await _check_kept(admin, document_id, LARGE)
