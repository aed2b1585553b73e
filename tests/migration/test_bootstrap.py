"""Roles, the extension and the log of changes to the schema: what stands before the first migration."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from server.db import migrate, versions
from server.db.bootstrap import bootstrap
from server.db.errors import DatabaseRefused
from server.db.partitions import ensure_months
from server.db.revision import SCHEMA_REVISION
from server.embedded.postgres import as_role
from tests.databases import Cluster, Scratch


async def _log(admin: Any) -> list[tuple[str, str | None]]:
    rows = await admin.fetch("SELECT command_tag, object_identity FROM ddl_audit_logs ORDER BY id")
    return [(row["command_tag"], row["object_identity"]) for row in rows]


async def test_it_may_be_run_again(each_postgres: Cluster) -> None:
    async with each_postgres.empty() as scratch:
        first = await bootstrap(scratch.admin_url)

        assert await bootstrap(scratch.admin_url) == first
        assert len(first) == 2


async def test_an_older_postgresql_is_refused_before_anything_is_made(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MIN_POSTGRES", 99)
    async with postgres.empty() as scratch, scratch.connect() as admin:
        with pytest.raises(DatabaseRefused, match=r"PostgreSQL .*Atrium needs 99 or newer: upgrade the server"):
            await bootstrap(scratch.admin_url)

        assert await _made(admin) == (False, False)


@pytest.mark.parametrize("there", [False, True], ids=["to be installed", "installed"])
async def test_an_older_pgvector_is_refused_before_anything_is_made(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(versions, "MIN_VECTOR", (99, 1))
    async with postgres.empty() as scratch, scratch.connect() as admin:
        if there:
            await admin.execute("CREATE EXTENSION vector")

        with pytest.raises(
            DatabaseRefused, match=r"has pgvector 0\.\d+\.\d+, and Atrium needs 99\.1 or newer: install it"
        ):
            await bootstrap(scratch.admin_url)

        assert await _made(admin) == (there, False)


async def test_another_encoding_is_refused_before_anything_is_made(postgres: Cluster) -> None:
    options = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    async with postgres.empty(options) as scratch, scratch.connect() as admin:
        with pytest.raises(DatabaseRefused, match="is in SQL_ASCII, and Atrium needs UTF8: make another"):
            await bootstrap(scratch.admin_url)

        assert await _made(admin) == (False, False)


async def _made(admin: Any) -> tuple[bool, bool]:
    """Whether the database has the extension, and the schema of jobs."""
    return tuple(
        await admin.fetchrow(
            "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector'), to_regnamespace('jobs') IS NOT NULL"
        )
    )


@pytest.mark.parametrize("statement", ["CREATE TABLE stray (id int)", "CREATE TEMPORARY TABLE stray (id int)"])
async def test_the_role_that_serves_makes_nothing(statement: str, postgres: Cluster) -> None:
    async with postgres.empty() as scratch:
        await bootstrap(scratch.admin_url)

        async with scratch.connect(scratch.url) as app:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)


async def test_several_databases_of_a_cluster_may_be_prepared_at_once(postgres: Cluster) -> None:
    async with AsyncExitStack() as made:
        databases = [await made.enter_async_context(postgres.empty()) for _ in range(3)]

        answers = await asyncio.gather(*(bootstrap(database.admin_url) for database in databases for _ in range(2)))

    assert answers == [answers[0]] * 6


async def test_the_roles_can_log_in_and_no_more(admin: Any) -> None:
    roles = await admin.fetch(
        "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication "
        "FROM pg_roles WHERE rolname IN ('atrium_app', 'atrium_owner') ORDER BY rolname"
    )

    assert [tuple(role) for role in roles] == [("atrium_app", True, False), ("atrium_owner", True, False)]


async def test_without_a_superuser_it_says_what_was_skipped_and_migrations_record_their_own_changes(
    postgres: Cluster, stranger: str
) -> None:
    async with postgres.empty() as scratch, scratch.connect() as admin:
        await admin.execute(f"GRANT atrium_owner TO {stranger}")
        await admin.execute(f"ALTER DATABASE {await admin.fetchval('SELECT current_database()')} OWNER TO {stranger}")
        await admin.execute("CREATE EXTENSION vector")
        owner = as_role(scratch.admin_url, stranger)

        sentences = await bootstrap(owner)
        await migrate.up(owner)

        assert "skipped" in sentences[-1]
        recorded = await admin.fetch('SELECT command_tag, command, "session_user" FROM ddl_audit_logs')
        created = [row["command"] for row in recorded if row["command_tag"] == "CREATE TABLE"]
        assert any("CREATE TABLE users" in command for command in created)
        assert {row["session_user"] for row in recorded} == {stranger}
        assert (
            await admin.fetchval("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'users'")
            == "atrium_owner"
        )
        await admin.execute(f"ALTER DATABASE {await admin.fetchval('SELECT current_database()')} OWNER TO postgres")
        await admin.execute(f"REASSIGN OWNED BY {stranger} TO postgres; DROP OWNED BY {stranger}")


async def test_a_role_that_may_not_prepare_the_database_is_told_who_can(postgres: Cluster, stranger: str) -> None:
    async with postgres.empty() as scratch:
        with pytest.raises(DatabaseRefused, match="once as a superuser"):
            await bootstrap(as_role(scratch.admin_url, stranger))


async def test_a_database_that_was_not_prepared_is_refused_though_the_cluster_has_the_roles(postgres: Cluster) -> None:
    async with postgres.empty() as scratch:
        with pytest.raises(DatabaseRefused, match="is not prepared: run `atrium migrate bootstrap` first"):
            await migrate.up(scratch.admin_url)


@pytest.mark.parametrize("work", [migrate.up, migrate.status, ensure_months], ids=["up", "status", "months"])
async def test_a_role_that_may_not_become_the_owner_is_refused(work: Any, scratch: Scratch, stranger: str) -> None:
    with pytest.raises(DatabaseRefused, match="may not act as atrium_owner"):
        await work(as_role(scratch.admin_url, stranger))


@pytest.mark.parametrize("work", [bootstrap, migrate.up, ensure_months], ids=["bootstrap", "up", "months"])
async def test_a_server_that_is_not_there_is_named_so(work: Any) -> None:
    with pytest.raises(DatabaseRefused, match="Cannot connect to ATRIUM_ADMIN_DATABASE_URL"):
        await work("postgresql://postgres@127.0.0.1:1/atrium")


async def test_every_change_to_the_schema_is_on_record_whoever_makes_it(
    scratch: Scratch, admin: Any, stranger: str
) -> None:
    await admin.execute(f"GRANT CREATE ON SCHEMA public TO {stranger}")
    before = len(await _log(admin))

    async with scratch.connect(as_role(scratch.admin_url, stranger)) as theirs:
        await theirs.execute("CREATE TABLE stray (id uuid PRIMARY KEY)")
        await theirs.execute("COMMENT ON TABLE stray IS 'Which changes nothing that runs.'")
        await theirs.execute("CREATE TEMPORARY TABLE passing (id int)")
        await theirs.execute("DROP TABLE stray")

    assert (await _log(admin))[before:] == [
        ("CREATE TABLE", "public.stray"),
        ("CREATE INDEX", "public.stray_pkey"),
        ("DROP TABLE", "public.stray"),
    ]
    last = await admin.fetchrow("SELECT * FROM ddl_audit_logs ORDER BY id DESC LIMIT 1")
    assert (last["session_user"], last["command"]) == (stranger, "DROP TABLE stray")
    await admin.execute(f"REVOKE CREATE ON SCHEMA public FROM {stranger}")


async def test_a_migration_is_on_record(scratch: Scratch, admin: Any) -> None:
    await migrate.down(scratch.admin_url, "0006")

    await migrate.up(scratch.admin_url)

    assert ("CREATE TABLE", "public.ddl_audit_logs") in await _log(admin)
    assert (await migrate.status(scratch.admin_url))[0] == SCHEMA_REVISION
