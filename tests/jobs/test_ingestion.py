"""Processing a document, step by step: what others do meanwhile, and whatever fails, it is indexed once and whole."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest

from server.db.database import Database
from server.jobs.backlog import Backlog
from server.kernel.errors import DomainError, FailedPrecondition
from server.llm.port import ModelCredentialRefused, ModelRateLimited, ModelRequestRejected, ModelUnavailable
from tests.jobs.ingesting import DIMENSIONS, Ingesting, add_document

LINES = [f"line {number}" for number in range(600)]
TEXT = "\n".join(LINES)
"""Three batches of pieces."""

Tenants = tuple[UUID, UUID]


async def _state(admin: Any, document_id: UUID) -> tuple[str, str | None]:
    row = await admin.fetchrow("SELECT status, error_reason FROM knowledge_documents WHERE id = $1", document_id)
    return row["status"], row["error_reason"]


async def _check_whole(admin: Any, document_id: UUID, lines: list[str] = LINES) -> None:
    """The document is indexed: each piece of it is there once, and no other, and its base counts them."""
    row = await admin.fetchrow("SELECT * FROM knowledge_documents WHERE id = $1", document_id)
    assert (row["status"], row["run_token"], row["error_reason"]) == ("indexed", None, None)
    pieces = await admin.fetch(
        "SELECT * FROM knowledge_chunks WHERE document_id = $1 ORDER BY chunk_index", document_id
    )
    assert [(piece["chunk_index"], piece["content"]) for piece in pieces] == list(enumerate(lines))
    assert {piece["document_revision"] for piece in pieces} == {row["active_revision"]}
    base = await admin.fetchrow("SELECT * FROM knowledge_bases WHERE id = $1", row["knowledge_base_id"])
    assert (row["chunk_count"], base["chunk_count"], base["document_count"]) == (len(lines), len(lines), 1)


@pytest.mark.parametrize("where", ["parsing", "embedding"])
async def test_a_run_that_was_overtaken_takes_nothing_away_from_the_one_that_overtook_it(
    where: str, tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    stopped, active = Ingesting(database, shut=where), Ingesting(database, shut="embedding")
    first = stopped.run(tenants[0], document_id)
    go_on = await getattr(stopped, where).arrival()
    second = active.run(tenants[0], document_id)
    (await active.embedding.arrival()).set()  # its first batch is in the database when it comes by again
    holds = await active.embedding.arrival()

    go_on.set()
    await first
    holds.set()
    (await active.embedding.arrival()).set()
    await second

    await _check_whole(admin, document_id)


async def test_of_many_runs_at_once_the_last_one_indexes_the_document(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)

    for run in [Ingesting(database).run(tenants[0], document_id) for _ in range(6)]:
        await run

    await _check_whole(admin, document_id)


async def test_a_run_that_ends_leaves_alone_what_the_next_one_has_begun(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    await Ingesting(database).run(tenants[0], document_id)
    await admin.execute("UPDATE knowledge_documents SET status = 'pending' WHERE id = $1", document_id)
    active = Ingesting(database, shut="embedding")
    again = active.run(tenants[0], document_id)
    (await active.embedding.arrival()).set()
    holds = await active.embedding.arrival()
    await admin.execute("UPDATE knowledge_documents SET deleted_at = now() WHERE id = $1", document_id)

    await Ingesting(database).run(tenants[0], document_id)  # finds nothing to do

    await admin.execute("UPDATE knowledge_documents SET deleted_at = NULL WHERE id = $1", document_id)
    holds.set()
    (await active.embedding.arrival()).set()
    await again
    await _check_whole(admin, document_id)


@pytest.mark.parametrize("error", [ModelUnavailable(1.0), ModelRateLimited("tokens", 1.0)])
async def test_what_may_be_gone_later_is_tried_again_even_of_one_piece(
    error: DomainError, tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database)
    ingesting.embeddings.answer = lambda text: error if text == LINES[300] else [1.0] * DIMENSIONS

    with pytest.raises(type(error)):
        await ingesting.run(tenants[0], document_id)

    assert await _state(admin, document_id) == ("processing", None)
    await Ingesting(database).run(tenants[0], document_id)
    await _check_whole(admin, document_id)


async def test_what_does_not_go_away_fails_the_document_in_the_end(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database)
    ingesting.embeddings.answer = lambda text: ModelUnavailable(1.0)

    await ingesting.run(tenants[0], document_id, last=True)

    assert await _state(admin, document_id) == ("failed", "MODEL_UNAVAILABLE")
    assert await admin.fetchval("SELECT count(*) FROM knowledge_chunks") == 0


async def test_a_credential_that_is_refused_for_one_batch_fails_the_document(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database)
    refused = ModelCredentialRefused("a-model")
    ingesting.embeddings.answer = lambda text: refused if text == LINES[300] else [1.0] * DIMENSIONS

    await ingesting.run(tenants[0], document_id)

    assert await _state(admin, document_id) == ("failed", "MODEL_CREDENTIAL_REFUSED")
    assert await admin.fetchval("SELECT count(*) FROM knowledge_chunks") == 0


async def test_a_piece_that_the_model_refuses_is_kept_without_a_vector(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database)
    ingesting.embeddings.answer = lambda text: ModelRequestRejected() if text == LINES[300] else [1.0] * DIMENSIONS

    await ingesting.run(tenants[0], document_id)

    await _check_whole(admin, document_id)
    unembedded = await admin.fetch("SELECT chunk_index FROM knowledge_chunks WHERE embedding IS NULL")
    assert [row["chunk_index"] for row in unembedded] == [300]


@pytest.mark.parametrize("most", [1, 100])
async def test_what_never_fits_into_a_limit_at_once_is_embedded_in_parts(
    most: int, tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database)
    ingesting.embeddings.most = most

    await ingesting.run(tenants[0], document_id)

    await _check_whole(admin, document_id)


async def test_what_fits_in_no_part_is_not_asked_for_piece_by_piece(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database)
    ingesting.embeddings.most = 0

    await ingesting.run(tenants[0], document_id, last=True)

    assert await _state(admin, document_id) == ("failed", "MODEL_RATE_LIMITED")
    assert [len(texts) for texts in ingesting.embeddings.asked] == [256, 128, 64, 32, 16, 8, 4, 2, 1]


async def test_a_document_that_harms_its_reader_fails_and_no_other_does(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    heavy, light = await add_document(admin, tenants[0], TEXT), await add_document(admin, tenants[1], "one\ntwo")
    ingesting = Ingesting(database)
    ingesting.offload.too_heavy = {TEXT.encode()}

    for tenant_id, document_id in zip(tenants, (heavy, light), strict=True):
        await ingesting.run(tenant_id, document_id)

    assert await _state(admin, heavy) == ("failed", "DOCUMENT_TOO_HEAVY")
    assert await _state(admin, light) == ("indexed", None)


async def test_vectors_of_another_length_fail_the_document(tenants: Tenants, database: Database, admin: Any) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database)
    ingesting.embeddings.answer = lambda text: [1.0] * (DIMENSIONS + 1)

    await ingesting.run(tenants[0], document_id)

    assert await _state(admin, document_id) == ("failed", "EMBEDDINGS_DIFFER")


async def test_what_is_unforeseen_is_tried_again_and_told_in_the_end(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database)
    ingesting.embeddings.answer = lambda text: 1 / 0

    with pytest.raises(ZeroDivisionError):
        await ingesting.run(tenants[0], document_id)
    once = await _state(admin, document_id)
    with pytest.raises(ZeroDivisionError):
        await ingesting.run(tenants[0], document_id, last=True)

    assert once == ("processing", None)
    assert await _state(admin, document_id) == ("failed", "INTERNAL")


class _Suspended(FailedPrecondition):
    """The tenant {subject} is not active."""


async def test_the_documents_of_a_suspended_tenant_wait_and_cost_nothing(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database)
    ingesting.tenants.wrong = _Suspended("ada")

    with pytest.raises(_Suspended):
        await ingesting.run(tenants[0], document_id)
    waiting = await _state(admin, document_id)
    asked = list(ingesting.embeddings.asked)
    ingesting.tenants.wrong = None
    await ingesting.run(tenants[0], document_id)

    assert (waiting, asked) == (("processing", None), [])
    await _check_whole(admin, document_id)


@pytest.mark.parametrize("where", ["parsing", "embedding"])
@pytest.mark.parametrize("gone", ["knowledge_documents", "knowledge_bases"])
async def test_what_is_purged_in_the_middle_is_gone_whole(
    where: str, gone: str, tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database, shut=where)
    run = ingesting.run(tenants[0], document_id)
    go_on = await getattr(ingesting, where).arrival()

    await admin.execute(f"DELETE FROM {gone}")
    go_on.set()
    await run

    for table in ("knowledge_chunks", "document_blobs", "document_blob_parts", "knowledge_documents"):
        assert await admin.fetchval(f"SELECT count(*) FROM {table}") == 0, table


async def test_a_document_that_is_deleted_in_the_middle_is_indexed_and_not_counted(
    tenants: Tenants, database: Database, admin: Any
) -> None:
    document_id = await add_document(admin, tenants[0], TEXT)
    ingesting = Ingesting(database, shut="parsing")
    run = ingesting.run(tenants[0], document_id)
    go_on = await ingesting.parsing.arrival()

    await admin.execute("UPDATE knowledge_documents SET deleted_at = now()")
    await admin.execute("UPDATE knowledge_bases SET document_count = 0")
    go_on.set()
    await run

    assert await _state(admin, document_id) == ("indexed", None)
    assert await admin.fetchval("SELECT chunk_count FROM knowledge_documents") == len(LINES)
    assert await admin.fetchval("SELECT chunk_count FROM knowledge_bases") == 0


async def test_what_has_no_job_any_more_is_asked_for_anew(tenants: Tenants, database: Database, admin: Any) -> None:
    lost, known, _ = [await add_document(admin, tenants[0], text) for text in ("lost", "known", "fresh")]
    await admin.execute("ALTER TABLE knowledge_documents DISABLE TRIGGER touch")
    old = "UPDATE knowledge_documents SET updated_at = now() - interval '11 minutes' WHERE id = ANY ($1)"
    await admin.execute(old, [lost, known])
    job = "INSERT INTO tenant_jobs (tenant_id, entrypoint, payload, status) VALUES ($1, 'ingest/1', $2, 'aside')"
    await admin.execute(job, tenants[0], orjson.dumps({"document_id": str(known)}).decode())
    ingesting = Ingesting(database)

    found = [await ingesting.ingestion.reconcile(tenants[0], Backlog(share=1)) for _ in range(2)]

    assert found == [1, 0]
    asked = await admin.fetch("SELECT payload FROM tenant_jobs WHERE status <> 'aside'")
    assert [orjson.loads(row["payload"])["document_id"] for row in asked] == [str(lost)]
