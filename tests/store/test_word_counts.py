"""The statistics of words stay what the chunks come to, whoever changes them at once."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database
from server.knowledge.store import bases
from server.knowledge.store.words import add_words, counts_of, drop_words, remove_words
from server.knowledge.words import Counts
from tests.factories.chunks import Shelf

NOT_FOR_EVER = 20.0


@pytest.fixture
async def shelf(admin: Any, database: Database) -> Shelf:
    return await Shelf.make(admin, database, "ada")


async def _kept(admin: Any, base_id: UUID, generation: int = 1) -> Counts:
    of = "WHERE knowledge_base_id = $1 AND generation = $2"
    rows = await admin.fetch(f"SELECT word, chunk_count FROM knowledge_words {of}", base_id, generation)
    totals = await admin.fetchrow(
        f"SELECT chunk_count, word_count FROM knowledge_word_totals {of}", base_id, generation
    )
    return Counts(dict(map(tuple, rows)), *(totals or (0, 0)))


async def test_what_is_removed_is_gone_and_the_rest_is_there(shelf: Shelf, database: Database, admin: Any) -> None:
    base_id = await shelf.base()
    document_id, ids = await shelf.document(base_id, "river river sea", "sea lake")
    await shelf.document(base_id, "sea")

    async with database.tenant_tx(shelf.tenant_id) as tx:
        await remove_words(tx, base_id, 1, await counts_of(tx, base_id, document_id, 1, 1, ids[:1]))

    assert await _kept(admin, base_id) == Counts({"sea": 2, "lake": 1}, 2, 3)


async def test_who_adds_words_waits_for_nobody_who_holds_the_base(shelf: Shelf, database: Database) -> None:
    """Who holds the base may wait for a document, which a reindex holds that adds its words."""
    base_id = await shelf.base()

    async with database.tenant_tx(shelf.tenant_id) as holder:
        await bases.lock_any(holder, base_id)
        async with asyncio.timeout(NOT_FOR_EVER), database.tenant_tx(shelf.tenant_id) as tx:
            await add_words(tx, base_id, 1, Counts({"river": 1}, 1, 1))


async def test_each_generation_has_its_own(shelf: Shelf, database: Database, admin: Any) -> None:
    base_id = await shelf.base()
    await shelf.document(base_id, "river")
    await shelf.document(base_id, "sea", generation=2)

    async with database.tenant_tx(shelf.tenant_id) as tx:
        await drop_words(tx, base_id, 1)

    assert await _kept(admin, base_id) == Counts()
    assert await _kept(admin, base_id, 2) == Counts({"sea": 1}, 1, 1)


async def test_disabled_chunks_are_not_counted(shelf: Shelf, database: Database, admin: Any) -> None:
    base_id = await shelf.base()
    document_id, ids = await shelf.document(base_id, "river", "sea")
    await admin.execute("UPDATE knowledge_chunks SET enabled = false WHERE id = $1", ids[0])

    async with database.tenant_tx(shelf.tenant_id) as tx:
        counts = await counts_of(tx, base_id, document_id, 1, 1)

    assert counts == Counts({"sea": 1}, 1, 1)


async def test_to_remove_what_was_never_there_leaves_none_below_zero(
    shelf: Shelf, database: Database, admin: Any
) -> None:
    base_id = await shelf.base()
    await shelf.document(base_id, "river sea")

    async with database.tenant_tx(shelf.tenant_id) as tx:
        await remove_words(tx, base_id, 1, Counts({"river": 5, "lake": 1}, 5, 50))

    assert await _kept(admin, base_id) == Counts({"sea": 1}, 0, 0)


async def test_those_who_add_and_remove_at_once_wait_for_each_other_and_never_in_a_circle(
    shelf: Shelf, database: Database, admin: Any
) -> None:
    base_id = await shelf.base()
    vocabulary = [f"w{number}" for number in range(200)]

    async def replace(turn: int) -> None:
        new = Counts(dict.fromkeys(vocabulary[turn:], 2), 2, 400)
        async with database.tenant_tx(shelf.tenant_id) as tx:
            await add_words(tx, base_id, 1, new)
            await remove_words(tx, base_id, 1, Counts(dict.fromkeys(reversed(vocabulary[turn:]), 1), 1, 200))

    await asyncio.gather(*(replace(turn) for turn in range(20)))

    kept = await _kept(admin, base_id)
    assert kept == Counts({word: min(number + 1, 20) for number, word in enumerate(vocabulary)}, 20, 4000)


async def test_another_tenant_sees_none_of_them(shelf: Shelf, database: Database, admin: Any) -> None:
    base_id = await shelf.base()
    await shelf.document(base_id, "river")
    other = await Shelf.make(admin, database, "grace")

    async with database.tenant_tx(other.tenant_id) as tx:
        await drop_words(tx, base_id, 1)
        await remove_words(tx, base_id, 1, Counts({"river": 1}, 1, 1))

    assert await _kept(admin, base_id) == Counts({"river": 1}, 1, 1)
