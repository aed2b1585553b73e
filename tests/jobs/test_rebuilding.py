"""Building a base's next generation, step by step: whatever others do or fails meanwhile, all is found, and once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import pytest

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.identity.store import idempotency
from server.jobs.backlog import Backlog
from server.kernel.errors import DomainError
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal, within
from server.knowledge.searches import SearchQuery
from server.knowledge.service.searching import SearchService
from server.knowledge.service.sight import Sight
from server.knowledge.service.upkeep import KnowledgeUpkeep
from server.llm.port import ModelCredentialRefused, ModelUnavailable
from tests.jobs.ingesting import DIMENSIONS, USER, Ingesting, add_document, ask_anew

LINES = [f"line {number}" for number in range(600)]
"""Three batches of pieces."""

Tenants = tuple[UUID, UUID]


@dataclass(frozen=True)
class Shelf:
    """A base with one document, which is found, and is to be found in a second generation."""

    admin: Any
    database: Database
    tenant_id: UUID
    base_id: UUID
    document_id: UUID

    async def base(self) -> Any:
        return await self.admin.fetchrow("SELECT * FROM knowledge_bases WHERE id = $1", self.base_id)

    async def reindex(self) -> Any:
        of = "WHERE knowledge_base_id = $1 AND generation = 2"
        return await self.admin.fetchrow(f"SELECT * FROM knowledge_generations {of}", self.base_id)

    async def pieces(self, generation: int) -> list[str]:
        """The texts that searches would find in that generation, in their order."""
        rows = await self.admin.fetch(
            """
            SELECT chunk.content FROM knowledge_chunks AS chunk
            JOIN knowledge_documents AS document ON document.id = chunk.document_id
                AND document.active_revision = chunk.document_revision AND document.deleted_at IS NULL
            WHERE chunk.knowledge_base_id = $1 AND chunk.generation = $2 ORDER BY document.id, chunk.chunk_index
            """,
            self.base_id,
            generation,
        )
        return [row["content"] for row in rows]

    async def check_switched(self, lines: list[str] = LINES) -> None:
        """The second generation is searched, and has these pieces and no others."""
        base = await self.base()
        assert (base["active_generation"], base["default_embedding_model"]) == (2, "another-model")
        assert (base["embedding_dimensions"], base["chunk_size"], base["chunk_overlap"]) == (DIMENSIONS + 1, 256, 32)
        assert (base["chunk_count"], await self.pieces(2)) == (len(lines), lines)
        of = "FROM knowledge_chunks WHERE knowledge_base_id = $1 AND generation = 2"
        assert await self.admin.fetchval(f"SELECT count(*) {of}", self.base_id) == len(lines)
        assert (await self.reindex())["status"] == "active"

    async def change(self, values: str) -> None:
        await self.admin.execute(f"UPDATE knowledge_documents SET {values} WHERE id = $1", self.document_id)


def _anew(database: Database, **fields: Any) -> Ingesting:
    """What makes vectors of the second generation's length."""
    made = Ingesting(database, **fields)
    made.embeddings.answer = lambda text: [1.0] * (DIMENSIONS + 1)
    return made


@pytest.fixture
async def shelf(tenants: Tenants, database: Database, admin: Any) -> Shelf:
    document_id = await add_document(admin, tenants[0], "\n".join(LINES))
    await Ingesting(database).run(tenants[0], document_id)
    base_id = await admin.fetchval("SELECT knowledge_base_id FROM knowledge_documents WHERE id = $1", document_id)
    await ask_anew(database, tenants[0], base_id)
    return Shelf(admin, database, tenants[0], base_id, document_id)


async def test_nothing_changes_for_searches_until_all_is_built(shelf: Shelf) -> None:
    building = _anew(shelf.database, shut="embedding")
    run = building.rebuild(shelf.tenant_id, shelf.base_id)
    (await building.embedding.arrival()).set()
    holds = await building.embedding.arrival()  # a first batch is in the database
    meanwhile, found = await shelf.base(), await shelf.pieces(1)

    holds.set()
    (await building.embedding.arrival()).set()
    await run

    assert (meanwhile["active_generation"], meanwhile["default_embedding_model"]) == (1, "a-model")
    assert (meanwhile["chunk_count"], found) == (len(LINES), LINES)
    await shelf.check_switched()
    assert await shelf.pieces(1) == LINES, "it can be gone back to"


async def test_a_run_that_ended_in_the_midst_is_gone_on_with(shelf: Shelf) -> None:
    killed = _anew(shelf.database, shut="embedding")
    run = killed.rebuild(shelf.tenant_id, shelf.base_id)
    (await killed.embedding.arrival()).set()
    await killed.embedding.arrival()
    run.cancel()

    await _anew(shelf.database).rebuild(shelf.tenant_id, shelf.base_id)

    await shelf.check_switched()


async def test_a_run_that_was_overtaken_adds_and_switches_nothing(shelf: Shelf) -> None:
    stopped = _anew(shelf.database, shut="embedding")
    first = stopped.rebuild(shelf.tenant_id, shelf.base_id)
    go_on = await stopped.embedding.arrival()
    active = _anew(shelf.database, shut="embedding")
    second = active.rebuild(shelf.tenant_id, shelf.base_id)
    (await active.embedding.arrival()).set()
    holds = await active.embedding.arrival()

    go_on.set()
    await first
    of_first = await shelf.base()
    holds.set()
    (await active.embedding.arrival()).set()
    await second

    assert of_first["active_generation"] == 1
    await shelf.check_switched()


async def test_a_run_that_was_called_off_leaves_nothing(shelf: Shelf) -> None:
    stopped = _anew(shelf.database, shut="embedding")
    run = stopped.rebuild(shelf.tenant_id, shelf.base_id)
    (await stopped.embedding.arrival()).set()
    go_on = await stopped.embedding.arrival()
    call_off = "UPDATE knowledge_generations SET status = 'discarded', run_token = NULL WHERE knowledge_base_id = $1"
    await shelf.admin.execute(call_off, shelf.base_id)

    go_on.set()
    await run
    await _anew(shelf.database).rebuild(shelf.tenant_id, shelf.base_id)  # finds nothing to build

    assert (await shelf.base())["active_generation"] == 1
    assert await shelf.admin.fetchval("SELECT count(*) FROM knowledge_chunks WHERE generation = 2") == 0
    assert await shelf.admin.fetchval("SELECT count(*) FROM knowledge_builds") == 0
    assert await shelf.pieces(1) == LINES


async def test_a_document_that_is_read_again_meanwhile_is_built_as_it_is_then(shelf: Shelf) -> None:
    building = _anew(shelf.database, shut="embedding")
    run = building.rebuild(shelf.tenant_id, shelf.base_id)
    (await building.embedding.arrival()).set()
    go_on = await building.embedding.arrival()
    await shelf.change("status = 'pending'")
    await Ingesting(shelf.database).run(shelf.tenant_id, shelf.document_id)

    go_on.set()
    await run
    before = await shelf.base()
    await _anew(shelf.database).rebuild(shelf.tenant_id, shelf.base_id)

    assert before["active_generation"] == 1, "something was missing"
    await shelf.check_switched()


async def test_a_document_that_is_deleted_meanwhile_leaves_nothing_in_it(shelf: Shelf) -> None:
    building = _anew(shelf.database, shut="embedding")
    run = building.rebuild(shelf.tenant_id, shelf.base_id)
    (await building.embedding.arrival()).set()
    go_on = await building.embedding.arrival()
    await shelf.change("deleted_at = now()")

    go_on.set()
    await run

    await shelf.check_switched([])
    await shelf.change("deleted_at = NULL")
    assert await shelf.pieces(2) == []
    assert await shelf.admin.fetchval("SELECT chunk_count FROM knowledge_documents") == 0


async def test_half_a_document_that_a_killed_run_left_is_not_searched_where_it_was_deleted(shelf: Shelf) -> None:
    killed = _anew(shelf.database, shut="embedding")
    run = killed.rebuild(shelf.tenant_id, shelf.base_id)
    (await killed.embedding.arrival()).set()
    await killed.embedding.arrival()
    run.cancel()
    await shelf.change("deleted_at = now()")

    await _anew(shelf.database).rebuild(shelf.tenant_id, shelf.base_id)

    await shelf.check_switched([])


async def test_a_document_that_is_being_read_at_the_switch_comes_into_the_new_generation(shelf: Shelf) -> None:
    reading = Ingesting(shelf.database, shut="embedding")
    asked = reading.embeddings.asked
    reading.embeddings.answer = lambda text: [1.0] * (DIMENSIONS + int(len(asked) > 3))  # by the model that is asked
    await shelf.change("status = 'pending'")
    run = reading.run(shelf.tenant_id, shelf.document_id)
    (await reading.embedding.arrival()).set()
    go_on = await reading.embedding.arrival()
    await _anew(shelf.database).rebuild(shelf.tenant_id, shelf.base_id)
    await shelf.check_switched()

    go_on.set()
    for _ in range(1 + 3):  # the last batch for the former generation, and all of them for the other
        (await reading.embedding.arrival()).set()
    await run

    await shelf.check_switched()
    assert await shelf.pieces(1) == []


@pytest.mark.parametrize(
    ("error", "last", "reason"),
    [
        (ModelCredentialRefused("another-model"), False, "MODEL_CREDENTIAL_REFUSED"),
        (ModelUnavailable(1.0), True, "MODEL_UNAVAILABLE"),
    ],
)
async def test_what_fails_leaves_the_generation_of_before_in_use_and_says_why(
    error: DomainError, last: bool, reason: str, shelf: Shelf
) -> None:
    building = _anew(shelf.database)
    building.embeddings.answer = lambda text: error if text == LINES[300] else [1.0] * (DIMENSIONS + 1)

    await building.rebuild(shelf.tenant_id, shelf.base_id, last=last)

    found = await shelf.reindex()
    assert (found["status"], found["error_reason"]) == ("discarded", reason)
    assert found["error_message"] == f"{shelf.document_id}: {error.message}"
    assert found["ended_at"] is not None
    assert (await shelf.base())["active_generation"] == 1
    assert await shelf.admin.fetchval("SELECT count(*) FROM knowledge_chunks WHERE generation = 2") == 0
    assert await shelf.pieces(1) == LINES


async def test_what_may_be_gone_later_is_tried_again(shelf: Shelf) -> None:
    away = _anew(shelf.database)
    away.embeddings.answer = lambda text: ModelUnavailable(1.0)

    with pytest.raises(ModelUnavailable):
        await away.rebuild(shelf.tenant_id, shelf.base_id)

    assert (await shelf.reindex())["status"] == "building"
    await _anew(shelf.database).rebuild(shelf.tenant_id, shelf.base_id)
    await shelf.check_switched()


async def test_the_former_generation_goes_once_its_time_is_over(shelf: Shelf) -> None:
    await _anew(shelf.database).rebuild(shelf.tenant_id, shelf.base_id)
    upkeep = KnowledgeUpkeep(shelf.database, AuditLog(shelf.database), idempotency.forget_about)
    await upkeep.sweep(shelf.tenant_id, 30)
    kept = await shelf.pieces(1)
    await shelf.admin.execute("UPDATE knowledge_generations SET kept_until = now() WHERE status = 'kept'")

    await upkeep.sweep(shelf.tenant_id, 30)

    assert kept == LINES
    assert await shelf.admin.fetchval("SELECT count(*) FROM knowledge_chunks WHERE generation = 1") == 0
    assert await shelf.admin.fetchval("SELECT array_agg(generation) FROM knowledge_generations") == [2]
    assert await shelf.admin.fetchval("SELECT array_agg(generation) FROM knowledge_word_totals") == [2]
    await shelf.check_switched()


async def test_a_reindex_whose_job_was_lost_is_asked_for_again(shelf: Shelf) -> None:
    rebuilding, backlog = _anew(shelf.database).rebuilding, Backlog(1)

    lost = [await rebuilding.reconcile(shelf.tenant_id, backlog) for _ in range(2)]

    assert lost == [1, 0]
    job = await shelf.admin.fetchrow("SELECT entrypoint, payload FROM tenant_jobs")
    assert (job["entrypoint"], orjson.loads(job["payload"])["knowledge_base_id"]) == ("reindex/1", str(shelf.base_id))


async def test_a_search_that_the_switch_comes_into_asks_the_other_model_and_finds_it_all(shelf: Shelf) -> None:
    asking = Ingesting(shelf.database, shut="embedding")
    asked = asking.embeddings.asked
    asking.embeddings.answer = lambda text: [1.0] * (DIMENSIONS + len(asked) - 1)  # by the model that is asked
    service = SearchService(
        shelf.database, Sight(shelf.database), asking.embeddings, asking.offload, asking.tenants, b"key"
    )
    caller = Principal(shelf.tenant_id, USER, None, frozenset({Permission.KNOWLEDGE_BASES_READ}))
    with within(Call("Search", "request-7", "ab" * 16, "cd" * 8, principal=caller)):
        search = asyncio.create_task(service.search(SearchQuery([shelf.base_id], "line", "vector", 5)))
    go_on = await asking.embedding.arrival()
    await _anew(shelf.database).rebuild(shelf.tenant_id, shelf.base_id)

    go_on.set()
    (await asking.embedding.arrival()).set()
    found = await search

    assert len(found.results) == 5
    assert len(asked) == 2
