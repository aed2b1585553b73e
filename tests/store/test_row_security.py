"""Row security, table by table, as the role that serves: no context no rows, and of another tenant none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import schema_doc

from server.db.revision import SCHEMA_REVISION
from tests.databases import Cluster, Scratch
from tests.migration.rows import TENANT, fill, rows_up_to

OTHER = "01890a5d-ac96-774b-bcce-b302099a8999"
TABLES = {
    table.name: "id" if table.info["scope"] == "root" else "tenant_id"
    for tables in schema_doc.slices().values()
    for table in tables
    if table.info["scope"] != "global"
}


@pytest.fixture(scope="session")
def postgres(each_postgres: Cluster) -> Cluster:
    """Each test runs on every major version at hand."""
    return each_postgres


@pytest.fixture(scope="module")
def filled(shared: Scratch) -> Scratch:
    """A database with a row of one tenant in every table, and another tenant with none."""
    asyncio.run(_fill(shared))
    return shared


async def _fill(scratch: Scratch) -> None:
    async with scratch.connect() as admin:
        await admin.execute("DELETE FROM model_prices; DELETE FROM models; DELETE FROM permissions")
        await fill(scratch, SCHEMA_REVISION)
        await admin.execute("INSERT INTO tenants (id, name, slug) VALUES ($1, 'Grace', 'grace')", OTHER)


@asynccontextmanager
async def _serving(scratch: Scratch, tenant: str | None) -> AsyncIterator[Any]:
    """A connection of the serving role, in a transaction of the tenant that is rolled back at its end."""
    async with scratch.connect(scratch.url) as app:
        transaction = app.transaction()
        await transaction.start()
        if tenant is not None:
            await app.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
        yield app
        await transaction.rollback()


def test_every_tenant_table_is_looked_at() -> None:
    of_tenants = {
        table for table, row in rows_up_to(SCHEMA_REVISION).items() if TENANT in (row.get("tenant_id"), row.get("id"))
    }
    assert set(TABLES) == of_tenants


@pytest.mark.parametrize("table", TABLES)
async def test_a_table_shows_its_rows_to_their_tenant_alone(table: str, filled: Scratch) -> None:
    seen = {}
    for tenant in (TENANT, OTHER, "", None):
        async with _serving(filled, tenant) as app:
            rows = await app.fetch(f"SELECT {TABLES[table]} AS tenant FROM {table}")
            seen[tenant] = {str(row["tenant"]) for row in rows}

    own = {OTHER} if table == "tenants" else set()
    assert seen == {TENANT: {TENANT}, OTHER: own, "": set(), None: set()}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("tenant", [OTHER, "", None], ids=["another", "empty", "none"])
async def test_a_row_of_another_tenant_cannot_be_written(table: str, tenant: str | None, filled: Scratch) -> None:
    async with filled.connect() as admin:
        row = await admin.fetchrow(f"SELECT to_jsonb(t)::text AS row FROM {table} t WHERE {TABLES[table]} = $1", TENANT)
        columns = await admin.fetch(
            "SELECT attname FROM pg_attribute "
            "WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
            table,
        )
    listed = ", ".join(f'"{column["attname"]}"' for column in columns)

    async with _serving(filled, tenant) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await app.execute(
                f"INSERT INTO {table} ({listed}) SELECT {listed} FROM jsonb_populate_record(NULL::{table}, $1::jsonb)",
                row["row"],
            )


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_of_another_tenant_cannot_be_changed_or_removed(table: str, filled: Scratch) -> None:
    async with filled.connect() as admin:
        may = {
            verb: await admin.fetchval("SELECT has_table_privilege('atrium_app', $1::regclass, $2)", table, verb)
            for verb in ("UPDATE", "DELETE")
        }

    column = TABLES[table]
    async with _serving(filled, OTHER) as app:
        if may["UPDATE"]:
            assert (
                await app.execute(f"UPDATE {table} SET {column} = {column} WHERE {column} = $1", TENANT) == "UPDATE 0"
            )
        if may["DELETE"]:
            assert await app.execute(f"DELETE FROM {table} WHERE {column} = $1", TENANT) == "DELETE 0"

    async with filled.connect() as admin:
        assert await admin.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", TENANT) == 1


async def test_a_row_cannot_be_given_to_another_tenant(filled: Scratch) -> None:
    async with _serving(filled, TENANT) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await app.execute("UPDATE model_routes SET tenant_id = $1", OTHER)


async def test_a_row_cannot_even_refer_to_another_tenants(filled: Scratch) -> None:
    user = rows_up_to(SCHEMA_REVISION)["users"]["id"]
    async with _serving(filled, OTHER) as app:
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await app.execute(
                "INSERT INTO sessions (tenant_id, user_id, refresh_hash, expires_at) VALUES ($1, $2, 'hash', now())",
                OTHER,
                user,
            )


async def test_a_view_of_live_rows_is_under_the_same_security(filled: Scratch) -> None:
    async with _serving(filled, OTHER) as app:
        assert await app.fetch("SELECT * FROM active_users") == []
    async with _serving(filled, TENANT) as app:
        assert len(await app.fetch("SELECT * FROM active_users")) == 1


async def test_the_role_that_serves_deletes_no_tenant(filled: Scratch) -> None:
    async with _serving(filled, TENANT) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("DELETE FROM tenants")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_logs SET action = 'other'",
        "DELETE FROM audit_logs",
        "UPDATE prompt_template_versions SET content = '\"other\"'",
        "DELETE FROM prompt_template_versions",
    ],
)
async def test_what_happened_and_what_a_prompt_said_is_only_added_to(change: str, filled: Scratch) -> None:
    async with _serving(filled, TENANT) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(change)
