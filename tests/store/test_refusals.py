"""What the server refuses to start on, each with a sentence that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from server.db import migrate
from server.db.connect import check
from server.db.database import Database
from server.db.errors import DatabaseRefused
from server.db.revision import SCHEMA_REVISION
from server.embedded.postgres import as_role
from tests.databases import Cluster, Scratch


async def _opens(url: str, scratch: Scratch) -> None:
    async with Database.open(scratch.settings(database_url=url)):
        pass


async def test_the_serving_role_on_a_migrated_database_is_taken(each_postgres: Cluster) -> None:
    async with each_postgres.clone() as scratch:
        await _opens(scratch.url, scratch)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("ALTER ROLE {stranger} SUPERUSER", "may bypass row security"),
        ("ALTER ROLE {stranger} BYPASSRLS", "may bypass row security"),
        ("GRANT atrium_owner TO {stranger}", "owns tables, or is a member of a role that does"),
        (
            "ALTER ROLE {stranger} NOINHERIT; GRANT atrium_owner TO {stranger}",
            "owns tables, or is a member of a role that does",
        ),
        ("ALTER TABLE sessions OWNER TO {stranger}", "owns tables, or is a member of a role that does"),
        ("ALTER VIEW active_users OWNER TO {stranger}", "owns tables, or is a member of a role that does"),
    ],
)
async def test_a_role_that_row_security_does_not_bind_is_refused(
    made: str, reason: str, scratch: Scratch, admin: Any, stranger: str
) -> None:
    await admin.execute(f"GRANT atrium_app TO {stranger}")
    await _opens(as_role(scratch.admin_url, stranger), scratch)

    await admin.execute(made.format(stranger=stranger))

    with pytest.raises(DatabaseRefused, match=f"connects as {stranger}, which {reason}.*connect as atrium_app"):
        await _opens(as_role(scratch.admin_url, stranger), scratch)
    await admin.execute(f"REASSIGN OWNED BY {stranger} TO atrium_owner")


async def test_the_serving_role_itself_is_told_to_be_bound_again() -> None:
    facts = {"postgres": 18, "version": "18.1", "vector": "0.8.0", "role": "atrium_app", "unbound": True, "owns": False}
    server: Any = Answering(facts)

    with pytest.raises(
        DatabaseRefused, match=r"as atrium_app, which may bypass row security.*: take that away from it"
    ):
        await check(server)


async def test_a_role_that_may_read_nothing_is_refused(scratch: Scratch, stranger: str) -> None:
    with pytest.raises(DatabaseRefused, match=f"connects as {stranger}, which may not read.*connect as atrium_app"):
        await _opens(as_role(scratch.admin_url, stranger), scratch)


async def test_the_owner_and_the_superuser_are_refused(scratch: Scratch) -> None:
    with pytest.raises(DatabaseRefused, match="owns tables"):
        await _opens(scratch.owner_url, scratch)
    with pytest.raises(DatabaseRefused, match="may bypass row security"):
        await _opens(scratch.admin_url, scratch)


async def test_a_database_without_pgvector_is_refused(postgres: Cluster) -> None:
    async with postgres.empty() as scratch:
        with pytest.raises(DatabaseRefused, match="has no pgvector: install it"):
            await _opens(scratch.url, scratch)


async def test_an_older_pgvector_is_refused(scratch: Scratch, admin: Any) -> None:
    await admin.execute("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")

    with pytest.raises(DatabaseRefused, match=r"pgvector 0\.7\.4.*ALTER EXTENSION vector UPDATE"):
        await _opens(scratch.url, scratch)


async def test_a_newer_pgvector_is_taken(scratch: Scratch, admin: Any) -> None:
    await admin.execute("UPDATE pg_extension SET extversion = '0.10.0' WHERE extname = 'vector'")

    await _opens(scratch.url, scratch)


async def test_another_isolation_is_refused_with_what_sets_it_right(scratch: Scratch, admin: Any) -> None:
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")

    with pytest.raises(DatabaseRefused, match=r"as repeatable read.*give the role atrium_app the setting default_tr"):
        await _opens(scratch.url, scratch)

    await admin.execute(
        f"ALTER ROLE atrium_app IN DATABASE {name} SET default_transaction_isolation = 'read committed'"
    )
    await _opens(scratch.url, scratch)


async def test_a_database_without_a_schema_is_refused(postgres: Cluster) -> None:
    async with postgres.empty() as scratch, scratch.connect() as admin:
        await admin.execute("CREATE EXTENSION vector")

        with pytest.raises(DatabaseRefused, match=r"is not there.*atrium migrate up"):
            await _opens(scratch.url, scratch)


async def test_an_older_schema_is_refused(scratch: Scratch) -> None:
    await migrate.down(scratch.admin_url, "0007")

    with pytest.raises(DatabaseRefused, match=f"at revision 0007.*needs {SCHEMA_REVISION}.*atrium migrate up"):
        await _opens(scratch.url, scratch)


async def test_a_newer_schema_is_taken_since_migrations_work_beside_the_code_before_them(
    scratch: Scratch, admin: Any
) -> None:
    await admin.execute("UPDATE alembic_version SET version_num = '9999'")

    await _opens(scratch.url, scratch)


class Answering:
    """A connection to a server that is not at hand, or must not become so for others."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts

    async def fetchrow(self, query: str) -> dict[str, Any]:
        return self._facts


async def test_an_older_postgresql_is_refused() -> None:
    facts = {"postgres": 14, "version": "14.12", "vector": "0.8.0", "unbound": False, "owns": False}
    server: Any = Answering(facts)

    with pytest.raises(DatabaseRefused, match=r"PostgreSQL 14\.12.*15 or newer: upgrade the server"):
        await check(server)
