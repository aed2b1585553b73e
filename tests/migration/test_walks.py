"""Up, down and up again: of an empty database, and of one that people have been using."""

from __future__ import annotations

import asyncio
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
from tests.migration.walk import Trace, walk

REVISIONS = sorted(path.stem[1:5] for path in Path(migrations.versions.__path__[0]).glob("m*.py"))


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


@pytest.fixture(
    scope="module",
    params=[pytest.param(version, marks=pytest.mark.xdist_group(f"walk-{version}")) for version in VERSIONS],
)
def traces(request: pytest.FixtureRequest, clusters: Callable[[int], Cluster]) -> dict[str, Trace]:
    """What became of the rows of each revision but the last, on a server of each version."""
    return asyncio.run(walk(clusters(request.param), REVISIONS[:-1]))


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_what_was_in_the_database_at_a_revision_is_there_at_the_last_and_on_the_way_back(
    traces: dict[str, Trace], revision: str
) -> None:
    trace = traces[revision]

    assert trace.empty == []
    assert trace.lost_above == []
    assert trace.lost_back == []


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
        async with scratch.connect(scratch.owner_url) as owner:  # of some seeds there are rows of the same names
            await owner.execute("DELETE FROM model_prices; DELETE FROM models; DELETE FROM permissions")
        await fill(scratch, SCHEMA_REVISION)
        wanted = await _description(scratch)

        # Each of the last steps by itself, and of the old ones, which no later one can change, every eighth.
        for below in [*reversed(REVISIONS[-9:-1]), *reversed(REVISIONS[:-9:8])]:
            await migrate.down(scratch.admin_url, below)
            await migrate.up(scratch.admin_url)

            assert await _description(scratch) == wanted, below


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
