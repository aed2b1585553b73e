"""The migrations make what the code believes in: the tables of every slice, and the rules that follow from them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import schema_doc
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Table
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import migrations.versions
from migrations.versions import m0054_tenant_model_prices
from server.db import migrate
from server.db.base import metadata
from server.db.bootstrap import bootstrap
from server.db.revision import SCHEMA_REVISION
from server.db.rules import all_rules
from tests.databases import Cluster, Scratch
from tests.migration.catalog import describe

TABLES = [table for tables in schema_doc.slices().values() for table in tables]


async def _run_sync(scratch: Scratch, work: Any) -> Any:
    arguments = {"dsn": scratch.owner_url}
    engine = create_async_engine("postgresql+asyncpg://", connect_args=arguments, poolclass=NullPool)
    async with engine.begin() as connection:
        return await connection.run_sync(work)


async def _make_from_tables(scratch: Scratch) -> None:
    """The schema as the code has it, without its migrations but for the functions that defaults and triggers call."""
    await bootstrap(scratch.admin_url)
    await migrate.up(scratch.admin_url, "0001")

    def make(connection: Connection) -> None:
        metadata.create_all(connection)
        for statement in m0054_tenant_model_prices.FUNCTION:
            connection.exec_driver_sql(statement)
        for table in metadata.sorted_tables:
            for rule in all_rules(table):
                connection.exec_driver_sql(rule)

    await _run_sync(scratch, make)


async def test_from_nothing_the_migrations_make_what_the_tables_say(each_postgres: Cluster) -> None:
    async with each_postgres.clone() as migrated, each_postgres.empty() as made:
        await _make_from_tables(made)
        async with migrated.connect() as left, made.connect() as right:
            found, wanted = await describe(left), await describe(right)

    # Functions are no part of tables.py: those of the first migration are in both, the later ones only here, and what
    # one does may have changed since.
    first, every = ({text.partition("AS $function$")[0] for text in each.pop("functions")} for each in (wanted, found))
    assert first <= every
    for kind in wanted:
        assert found[kind] == wanted[kind], kind
        assert len(wanted[kind]) >= 2, f"no {kind} were looked at"


async def test_alembic_finds_nothing_left_to_migrate(each_postgres: Cluster) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
        if kind == "foreign_key_constraint":  # one that leads into months has another for each of them
            return item.referred_table.name not in months
        return not (kind == "table" and name in months)

    def differences(connection: Connection) -> Any:
        options = {"compare_type": True, "compare_server_default": True, "include_object": ours}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with each_postgres.clone() as migrated:
        async with migrated.connect() as connection:
            rows = await connection.fetch("SELECT relname FROM pg_class WHERE relispartition")
            months = {row["relname"] for row in rows} | {"alembic_version"}

        assert await _run_sync(migrated, differences) == []


def test_the_code_needs_the_last_migration() -> None:
    assert migrate.head_revision() == SCHEMA_REVISION


@pytest.mark.parametrize(
    "path", sorted(Path(migrations.versions.__path__[0]).glob("m*.py")), ids=lambda path: path.stem
)
def test_a_migration_reads_nothing_that_may_change_after_it(path: Path) -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported == {"alembic"}


_BESIDE = "0017"
"""From this revision on, a migration is run while servers of the version before it go on."""

_TAKES_AWAY = re.compile(
    r"\b(DROP\s+(?:COLUMN|TABLE|VIEW|FUNCTION|TYPE)|RENAME\s+(?:TO|COLUMN|CONSTRAINT)|SET\s+NOT\s+NULL"
    r"|ALTER\s+COLUMN\s+\w+\s+(?:SET\s+DATA\s+)?TYPE)\b",
    re.IGNORECASE,
)
_NOT_MISSED = {
    "purge": "the view is made again at once, with the new column at its end",
    "former_status": "the view is made again at once, with the new column at its end",
    "likeness": "the view is made again at once, with the new column at its end",
    "prompt_visibility": "the function lists what other tenants made public, which nobody is to see any more",
    "costs_of_a_day": "it is read in sums alone, whose type stays",
}
"""By the name of a migration: why the code before it does not miss what it takes away."""


def _taken_away(source: str) -> list[str]:
    """What a migration's way up takes away, wherever its text stands."""
    tree = ast.parse(source)
    up = [node for node in tree.body if getattr(node, "name", "") != "downgrade"]
    used = {
        node.id
        for part in up
        for node in ast.walk(part)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    texts = [
        node.value
        for part in up
        if not isinstance(part, ast.Assign) or any(getattr(target, "id", None) in used for target in part.targets)
        for node in ast.walk(part)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return [found[0] for text in texts for found in _TAKES_AWAY.finditer(text)]


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(Path(migrations.versions.__path__[0]).glob("m*.py")) if path.stem[1:5] >= _BESIDE],
    ids=lambda path: path.stem,
)
def test_a_migration_leaves_the_code_before_it_what_it_uses(path: Path) -> None:
    assert path.stem[6:] in _NOT_MISSED or _taken_away(path.read_text()) == []


@pytest.mark.parametrize(
    ("up", "found"),
    [
        ("ALTER TABLE users DROP COLUMN locale", ["DROP COLUMN"]),
        ("ALTER TABLE users RENAME TO people", ["RENAME TO"]),
        ("ALTER TABLE users ALTER COLUMN locale SET NOT NULL", ["SET NOT NULL"]),
        ("DROP FUNCTION atrium_find_tenant(text)", ["DROP FUNCTION"]),
        ("ALTER TABLE users ADD COLUMN nickname text; DROP INDEX ix_users_live", []),
    ],
)
def test_what_a_migration_takes_away_is_seen_on_its_way_up_alone(up: str, found: list[str]) -> None:
    source = f"_DOWN = 'DROP TABLE users'\n_UP = ({up!r},)\ndef upgrade(): run(_UP)\ndef downgrade(): run(_DOWN)\n"

    assert _taken_away(source) == found


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE users ADD COLUMN nickname text",
        "ALTER TABLE users ALTER COLUMN locale SET DEFAULT 'en'",
        "ALTER TABLE users ALTER COLUMN locale DROP NOT NULL",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE users DROP CONSTRAINT ck_users_status",
        "ALTER POLICY tenant_isolation ON users USING (true)",
        "ALTER VIEW active_users SET (security_invoker = false)",
        "COMMENT ON COLUMN users.locale IS 'Something else.'",
        "COMMENT ON TABLE users IS NULL",
        "DROP INDEX ix_users_live",
        "DROP TRIGGER revise ON users",
        "GRANT TRUNCATE ON users TO atrium_app",
        "CREATE OR REPLACE VIEW active_users WITH (security_invoker = true) AS SELECT * FROM users",
        "ALTER FUNCTION atrium_find_tenant(text) SECURITY INVOKER",
    ],
)
async def test_the_comparison_sees(change: str, passing: Any) -> None:
    before = await describe(passing)

    await passing.execute(change)

    assert await describe(passing) != before


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_what_raises_a_revision_are_columns_of_the_table(table: Table) -> None:
    assert set(table.info["revised"]) <= set(table.c.keys())
    assert ("revision" in table.c) == bool(table.info["revised"])


def test_the_page_of_the_schema_is_what_the_tables_make() -> None:
    assert schema_doc.PAGE.read_text() == schema_doc.page()


def test_the_page_of_the_schema_names_every_column_with_its_meaning() -> None:
    page = schema_doc.page()

    for table in TABLES:
        assert f"\n### {table.name}\n\n{table.comment}" in page
        for column in table.columns:
            assert f"| `{column.name}` |" in page
            assert f"| {column.comment} |" in page


@pytest.mark.parametrize("module", ["server.app", "server.work"])
def test_a_process_knows_every_table(module: str) -> None:
    """What a purge empties and an export reads: also those of which a process may need no more than their names."""
    code = f"import {module}; from server.db.base import metadata; print(*metadata.tables)"
    known = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert set(known) == {table.name for table in TABLES}
