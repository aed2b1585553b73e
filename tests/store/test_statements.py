"""Hot reads on fresh connections: the right tenant's rows on every plan, and nothing left behind."""

from __future__ import annotations

import sys
from datetime import timedelta
from importlib import import_module
from pkgutil import walk_packages
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam, select

import server
from server.db.connect import connect
from server.db.database import Database
from server.db.statements import HotStatement
from server.identity.domain import UserNotFound
from server.identity.store import api_keys, idempotency, roles, sessions, users
from server.identity.store.idempotency import Remembered
from server.identity.tables import users as users_table
from server.kernel.clock import now
from server.kernel.deletion import Deleted
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.model.holds import NO_HOLD, Settlement
from server.model.store import caches, generations, journal
from server.tenant import store as tenant_store
from server.tenant.domain import TenantNotFound
from tests.databases import Cluster, Scratch
from tests.factories.records import make_record

OTHER = UUID("01890a5d-ac96-774b-bcce-b302099a8999")
MANY = 20
"""More than the five executions after which PostgreSQL may turn to a plan without the values."""

NAMES = HotStatement(select(users_table.c.username).where(users_table.c.username == bindparam("name")))


@pytest.fixture(scope="session")
def postgres(each_postgres: Cluster) -> Cluster:
    """Each test runs on every major version at hand."""
    return each_postgres


@pytest.fixture
async def person(database: Database, admin: Any) -> UUID:
    """A user of the platform tenant."""
    await admin.execute("INSERT INTO tenants (id, name, slug) VALUES ($1, 'Grace', 'grace')", OTHER)
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        row = {"tenant_id": PLATFORM_TENANT_ID, "id": uuid7(), "username": "ada", "email": "ada@example.com"}
        return (await users.create(tx, row)).id


@pytest.mark.parametrize("times", [1, MANY])
async def test_a_hot_read_finds_its_tenants_row_and_no_others(times: int, scratch: Scratch, person: UUID) -> None:
    fresh = await connect(scratch.settings())
    for _ in range(times):
        for tenant_id, wanted in ((PLATFORM_TENANT_ID, ["ada"]), (OTHER, [])):
            rows = await fresh.fetch(NAMES.sql, *NAMES.arguments_of(tenant_id, {"name": "ada"}))
            assert [row["username"] for row in rows] == wanted
            assert not await fresh.fetchval("SELECT current_setting('app.tenant_id', true)")
    await fresh.close()


@pytest.mark.parametrize("times", [1, MANY])
async def test_what_a_call_to_a_model_asks_first_is_read_hot(times: int, database: Database) -> None:
    for _ in range(times):
        status = await tenant_store.read_status(database, PLATFORM_TENANT_ID)
        config = await tenant_store.read_config(database, PLATFORM_TENANT_ID)

        assert status == "active"
        assert await tenant_store.read_status(database, OTHER) is None
        assert config.max_tokens_per_request == 4096
        with pytest.raises(TenantNotFound):
            await tenant_store.read_config(database, OTHER)


@pytest.mark.parametrize("times", [1, MANY])
async def test_a_tenants_slug_is_read_hot(times: int, database: Database, person: UUID) -> None:
    for _ in range(times):
        assert await tenant_store.read_slug(database, PLATFORM_TENANT_ID) == "platform"
        assert await tenant_store.read_slug(database, OTHER) == "grace"
        with pytest.raises(TenantNotFound):
            await tenant_store.read_slug(database, uuid7())


async def test_every_hot_read_of_the_server_is_read_here() -> None:
    for module in walk_packages(server.__path__, "server."):
        if ".store" in module.name:
            import_module(module.name)
    found = {
        statement
        for name, module in sys.modules.items()
        if name.startswith("server.") and ".store" in name
        for found in vars(module).values()
        for statement in (found.values() if isinstance(found, dict) else [found])
        if isinstance(statement, HotStatement)
    }

    assert found == {
        *users._GET.values(),
        sessions._ACCESS,
        api_keys._ACCESS,
        roles._STANDING,
        tenant_store._ENTITLEMENT,
        idempotency._RECALL,
        tenant_store._READ_CONFIG,
        tenant_store._READ_RETENTION,
        tenant_store._READ_SLUG,
        tenant_store._READ_STATUS,
        caches._ANSWER,
        generations._STATE,
        journal._NOTED,
    }


@pytest.mark.parametrize("times", [1, MANY])
async def test_what_is_noted_of_calls_is_written_and_read_in_its_tenant_alone(
    times: int, scratch: Scratch, person: UUID
) -> None:
    mine, theirs = set(), set()
    async with Database.open(scratch.settings(pool_size=1)) as fresh:
        for _ in range(times):
            for tenant_id, noted in ((PLATFORM_TENANT_ID, mine), (OTHER, theirs)):
                calls = [Settlement.of(NO_HOLD, [make_record()]) for _ in range(2)]
                await journal.note(fresh, tenant_id, calls)
                noted |= set(map(journal.id_of, calls))
                assert await journal.noted(fresh, tenant_id) == noted
            assert await journal.noted(fresh, uuid7()) == set()


@pytest.mark.parametrize("times", [1, MANY])
async def test_what_is_kept_of_answers_is_read_in_its_tenant_alone(
    times: int, scratch: Scratch, database: Database, person: UUID
) -> None:
    key = generations.Key(PLATFORM_TENANT_ID, person, person)
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await caches.keep_answer(tx, b"question", {"text": "yes"}, 60)
        await generations.create(tx, key, person, b"asked", 60)

    async with Database.open(scratch.settings(pool_size=1)) as fresh:
        for _ in range(times):
            assert await caches.answer(fresh, PLATFORM_TENANT_ID, b"question", 60) == {"text": "yes"}
            assert await caches.answer(fresh, OTHER, b"question", 60) is None
            assert await generations.state(fresh, key) == (person, b"asked", False, False, False)
            assert await generations.state(fresh, key._replace(tenant_id=OTHER)) is None


@pytest.mark.parametrize("times", [1, MANY])
async def test_an_answer_to_a_repeat_is_recalled_in_its_tenant_alone(
    times: int, scratch: Scratch, database: Database, person: UUID
) -> None:
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await idempotency.keep(tx, person, "/s/M", "key", "hash", b"answer")

    async with Database.open(scratch.settings(pool_size=1)) as fresh:
        for _ in range(times):
            found = await idempotency.recall(fresh, PLATFORM_TENANT_ID, person, "/s/M", "key")
            assert found == Remembered("hash", b"answer", running=False)
            assert await idempotency.recall(fresh, OTHER, person, "/s/M", "key") is None


@pytest.mark.parametrize("times", [1, MANY])
async def test_how_long_a_tenant_keeps_what_was_deleted_is_read_hot(times: int, database: Database, admin: Any) -> None:
    await admin.execute(
        "UPDATE tenant_configs SET soft_delete_retention_days = 7 WHERE tenant_id = $1", PLATFORM_TENANT_ID
    )

    for _ in range(times):
        assert await tenant_store.read_retention(database, PLATFORM_TENANT_ID) == 7
        assert await tenant_store.read_retention(database, OTHER) == tenant_store.DEFAULT_RETENTION_DAYS


@pytest.mark.parametrize("deleted", ["exclude", "include"])
@pytest.mark.parametrize("times", [1, MANY])
async def test_a_user_is_read_in_their_tenant_alone(
    times: int, deleted: Deleted, scratch: Scratch, person: UUID
) -> None:
    async with Database.open(scratch.settings(pool_size=1)) as fresh:
        for _ in range(times):
            assert (await users.get(fresh, PLATFORM_TENANT_ID, person, deleted)).username == "ada"
            with pytest.raises(UserNotFound):
                await users.get(fresh, OTHER, person, deleted)


@pytest.mark.parametrize("times", [1, MANY])
async def test_a_session_gives_access_in_its_tenant_alone(
    times: int, scratch: Scratch, database: Database, person: UUID
) -> None:
    session_id = uuid7()
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        until = now() + timedelta(days=1)
        await sessions.create(tx, PLATFORM_TENANT_ID, session_id, person, "hash", until, "127.0.0.1", None)

    async with Database.open(scratch.settings(pool_size=1)) as fresh:
        for _ in range(times):
            access = await sessions.access(fresh, PLATFORM_TENANT_ID, session_id)
            assert access is not None
            assert access.principal.user_id == person
            assert await sessions.access(fresh, OTHER, session_id) is None


KEY_VALUES = {"name": "key", "prefix": "prefix", "secret_hash": "hash", "scopes": ["users:read"]}


async def _key(database: Database, person: UUID) -> UUID:
    key_id = uuid7()
    values = {**KEY_VALUES, "id": key_id, "user_id": person, "allowed_models": None, "expires_at": None}
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await api_keys.create(tx, {**values, "tenant_id": PLATFORM_TENANT_ID})
    return key_id


@pytest.mark.parametrize("times", [1, MANY])
async def test_a_key_gives_access_in_its_tenant_alone(
    times: int, scratch: Scratch, database: Database, person: UUID
) -> None:
    key_id = await _key(database, person)

    async with Database.open(scratch.settings(pool_size=1)) as fresh:
        for _ in range(times):
            access = await api_keys.access(fresh, PLATFORM_TENANT_ID, "prefix", "hash")
            assert access is not None
            assert (access.principal.user_id, access.principal.api_key_id) == (person, key_id)
            assert await api_keys.access(fresh, OTHER, "prefix", "hash") is None
            assert await api_keys.access(fresh, PLATFORM_TENANT_ID, "prefix", "other") is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tenants SET status = 'suspended'",
        "UPDATE users SET status = 'locked'",
        "UPDATE users SET deleted_at = now()",
        "UPDATE api_keys SET revoked_at = now()",
        "UPDATE api_keys SET expires_at = now()",
        "UPDATE api_keys SET secret_hash = 'new', previous_hash = 'hash', previous_valid_until = now()",
    ],
)
async def test_a_key_gives_nothing_once(change: str, database: Database, admin: Any, person: UUID) -> None:
    await _key(database, person)

    await admin.execute(change)

    assert await api_keys.access(database, PLATFORM_TENANT_ID, "prefix", "hash") is None


async def test_what_a_key_gives_is_good_until_its_first_end(database: Database, admin: Any, person: UUID) -> None:
    await _key(database, person)
    await admin.execute(
        "UPDATE api_keys SET secret_hash = 'new', previous_hash = 'hash', previous_valid_until = now() + '1 hour', "
        "expires_at = now() + '2 hours'"
    )

    access = await api_keys.access(database, PLATFORM_TENANT_ID, "prefix", "hash")

    assert access is not None
    assert access.good_until < now() + timedelta(hours=1, seconds=1)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tenants SET status = 'suspended'",
        "UPDATE tenants SET status = 'deleted', deleted_at = now()",
        "UPDATE users SET status = 'inactive'",
        "UPDATE users SET deleted_at = now()",
        "UPDATE sessions SET revoked_at = now()",
        "UPDATE sessions SET expires_at = now()",
    ],
)
async def test_a_session_gives_nothing_once(change: str, database: Database, admin: Any, person: UUID) -> None:
    session_id = uuid7()
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        until = now() + timedelta(days=1)
        await sessions.create(tx, PLATFORM_TENANT_ID, session_id, person, "hash", until, None, None)

    await admin.execute(change)

    assert await sessions.access(database, PLATFORM_TENANT_ID, session_id) is None


@pytest.mark.parametrize(
    ("required", "verified", "unverified"),
    [(False, False, False), (False, True, False), (True, False, True), (True, True, False)],
)
async def test_a_session_says_whether_its_user_must_verify_their_address_first(
    required: bool, verified: bool, unverified: bool, database: Database, admin: Any, person: UUID
) -> None:
    session_id = uuid7()
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        until = now() + timedelta(days=1)
        await sessions.create(tx, PLATFORM_TENANT_ID, session_id, person, "hash", until, None, None)
    await admin.execute(
        "UPDATE tenant_configs SET require_verified_email = $2 WHERE tenant_id = $1", PLATFORM_TENANT_ID, required
    )
    # Another tenant's setting is its own.
    await admin.execute("INSERT INTO tenant_configs (tenant_id, require_verified_email) VALUES ($1, true)", OTHER)
    await admin.execute("UPDATE users SET email_verified = $1", verified)

    access = await sessions.access(database, PLATFORM_TENANT_ID, session_id)

    assert access is not None
    assert access.principal.unverified is unverified
