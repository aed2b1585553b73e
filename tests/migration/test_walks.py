"""Up, down and up again: of an empty database, and of one that people have been using."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import migrations.versions
from server.db import migrate
from server.db.bootstrap import bootstrap
from server.db.errors import DatabaseRefused
from server.db.partitions import ensure_months
from server.db.revision import SCHEMA_REVISION
from tests.databases import VERSIONS, Cluster, Scratch
from tests.migration.catalog import describe
from tests.migration.rows import ROWS, fill, rows_up_to

REVISIONS = sorted(path.stem[1:5] for path in Path(migrations.versions.__path__[0]).glob("m*.py"))


Rows = dict[str, list[dict[str, Any]]]


async def _rows(scratch: Scratch, revision: str) -> Rows:
    async with scratch.connect() as admin:
        return {
            table: [json.loads(row[0]) for row in await admin.fetch(f"SELECT to_jsonb(t)::text FROM {table} t")]
            for table in rows_up_to(revision)
        }


def _lost(before: Rows, after: Rows) -> list[tuple[str, dict[str, Any]]]:
    """The rows that are not there afterwards, whatever columns they have gained."""
    return [
        (table, row)
        for table, rows in before.items()
        for row in rows
        if row not in [{name: found.get(name) for name in row} for found in after[table]]
    ]


async def _description(scratch: Scratch) -> Any:
    async with scratch.connect() as admin:
        return await describe(admin)


def test_the_rows_fill_every_revision_and_every_table() -> None:
    assert list(ROWS) == REVISIONS
    made = "\n".join(path.read_text() for path in Path(migrations.versions.__path__[0]).glob("m*.py"))
    assert sorted(rows_up_to(SCHEMA_REVISION)) == sorted(re.findall(r"CREATE TABLE (\w+)\b(?!\.)", made))


async def test_down_and_up_again_makes_the_same(each_postgres: Cluster) -> None:
    async with each_postgres.clone() as scratch:
        before = await _description(scratch)

        await migrate.down(scratch.admin_url, "base")
        below = await _description(scratch)
        await migrate.up(scratch.admin_url)

        assert [below[kind] for kind in ("tables", "columns", "constraints", "indexes", "views", "triggers")] == [
            []
        ] * 6
        assert [function for function in below["functions"] if "atrium_log_ddl" not in function] == []
        assert await _description(scratch) == before


@pytest.fixture
def cluster(request: pytest.FixtureRequest, clusters: Callable[[int], Cluster]) -> Cluster:
    """A server of that version."""
    return clusters(request.param)


@pytest.mark.parametrize(
    ("cluster", "revision"),
    [
        *((VERSIONS[0], revision) for revision in REVISIONS[:-1]),
        # What a migration does to rows is the same SQL on the other: of the old ones, every fourth.
        *((VERSIONS[1], revision) for revision in [*REVISIONS[:-9:4], *REVISIONS[-9:-1]]),
    ],
    indirect=["cluster"],
)
async def test_what_was_in_the_database_at_a_revision_is_there_at_the_last_and_on_the_way_back(
    cluster: Cluster, revision: str
) -> None:
    async with cluster.empty() as scratch:
        await bootstrap(scratch.admin_url)
        await migrate.up(scratch.admin_url, revision)
        await _fill_beside_the_seeds(scratch, revision)
        filled = await _rows(scratch, revision)

        await migrate.up(scratch.admin_url)
        above = await _rows(scratch, revision)
        await migrate.down(scratch.admin_url, revision)
        back = await _rows(scratch, revision)

    assert [table for table, rows in filled.items() if not rows] == []
    assert _lost(filled, above) == []
    assert _lost(filled, back) == []


async def test_models_that_were_made_before_somebody_looked_go_on_streaming(postgres: Cluster) -> None:
    made = "('x', 'custom', 'chat'), ('y', 'custom', 'embedding')"
    async with postgres.clone() as scratch:
        await migrate.down(scratch.admin_url, "0028")
        async with scratch.connect(scratch.owner_url) as owner:
            await owner.execute(f"INSERT INTO models (name, provider, model_type) VALUES {made}")

            await migrate.up(scratch.admin_url)

            rows = await owner.fetch("SELECT supports_streaming FROM models WHERE name IN ('x', 'y') ORDER BY name")
    assert [row[0] for row in rows] == [True, False]


async def test_what_is_gone_down_can_be_gone_up_again_with_rows_in_every_table(postgres: Cluster) -> None:
    async with postgres.clone() as scratch:
        await _fill_beside_the_seeds(scratch, SCHEMA_REVISION)
        wanted = await _description(scratch)

        # Each of the last steps by itself, and of the old ones, which no later one can change, every eighth.
        for below in [*reversed(REVISIONS[-9:-1]), *reversed(REVISIONS[:-9:8])]:
            await migrate.down(scratch.admin_url, below)
            await migrate.up(scratch.admin_url)

            assert await _description(scratch) == wanted, below


async def _fill_beside_the_seeds(scratch: Scratch, revision: str) -> None:
    """Among the seeds there are rows of the same names."""
    if revision >= "0008":
        async with scratch.connect(scratch.owner_url) as owner:
            await owner.execute("DELETE FROM model_prices; DELETE FROM models; DELETE FROM permissions")
    await fill(scratch, revision)


async def test_of_two_migrations_at_once_one_waits_for_the_other(postgres: Cluster) -> None:
    async with postgres.empty() as scratch, postgres.clone() as wanted:
        await bootstrap(scratch.admin_url)

        await asyncio.gather(*(migrate.up(scratch.admin_url) for _ in range(3)))

        assert await migrate.status(scratch.admin_url) == (SCHEMA_REVISION, SCHEMA_REVISION)
        assert await _description(scratch) == await _description(wanted)


async def test_a_table_that_somebody_holds_ends_a_migration_with_a_sentence_and_nothing_of_it(
    scratch: Scratch, admin: Any
) -> None:
    before = await _description(scratch)
    async with admin.transaction():
        await admin.execute("LOCK TABLE model_routes IN ACCESS SHARE MODE")

        with pytest.raises(DatabaseRefused, match="given up, so as not to hold up others"):
            await migrate.down(scratch.admin_url, "0012")

    found, _ = await migrate.status(scratch.admin_url)
    await migrate.up(scratch.admin_url)
    assert found == "0013"
    assert await _description(scratch) == before


async def test_months_are_made_once_by_however_many_at_once(scratch: Scratch, admin: Any) -> None:
    await admin.execute(
        "DO $$ DECLARE part regclass; BEGIN FOR part IN SELECT inhrelid FROM pg_inherits "
        "WHERE inhparent = 'audit_logs'::regclass LOOP EXECUTE 'DROP TABLE ' || part; END LOOP; END $$"
    )

    made = await asyncio.gather(*(ensure_months(scratch.admin_url) for _ in range(3)))

    assert sorted(map(len, made)) == [0, 0, 4]


async def test_the_status_of_a_database_without_a_schema_is_none(postgres: Cluster) -> None:
    async with postgres.empty() as scratch:
        assert await migrate.status(scratch.admin_url) == (None, SCHEMA_REVISION)
