"""The only door to the database: what a transaction costs, what it leaves behind, and what goes wrong in it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal

import asyncpg
import pytest
from sqlalchemy import JSON, bindparam, func, insert, literal_column, select, true
from sqlalchemy.dialects.postgresql import JSONB

from server.db.database import Database, Tx
from server.db.errors import DatabaseRefused, constraint_errors
from server.db.statements import HotStatement, Statement
from server.kernel.errors import AlreadyExists, TenantGone
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.tenant.tables import tenant_configs, tenants
from tests.databases import Scratch
from tests.store.line import FOUND, Line, found

SETTING = Statement(select(func.current_setting("app.tenant_id", true())))
SLUGS = Statement(select(tenants.c.slug))
HOT_SLUG = HotStatement(select(tenants.c.slug))
NONSENSE = Statement(select(literal_column("1") / literal_column("0")))


class Taken(AlreadyExists):
    """Taken."""


async def test_a_transaction_sees_its_tenant_and_a_global_one_sees_none(one: Database) -> None:
    ada = await found(one, "ada")
    await found(one, "grace")

    async with one.tenant_tx(ada) as tx:
        assert [row["slug"] for row in await tx.fetch(SLUGS)] == ["ada"]
        assert tx.tenant_id == ada
    async with one.global_tx() as tx:
        assert await tx.fetch(SLUGS) == []


async def test_the_tenant_is_set_for_the_transaction_alone(one: Database) -> None:
    async with one.tenant_tx(PLATFORM_TENANT_ID) as tx:
        assert await tx.fetchval(SETTING) == str(PLATFORM_TENANT_ID)
    async with one.global_tx() as tx:
        assert not await tx.fetchval(SETTING)

    with pytest.raises(ZeroDivisionError):
        async with one.tenant_tx(PLATFORM_TENANT_ID):
            raise ZeroDivisionError
    async with one.global_tx() as tx:
        assert not await tx.fetchval(SETTING)

    assert await one.hot(PLATFORM_TENANT_ID, HOT_SLUG) is not None
    async with one.global_tx() as tx:
        assert not await tx.fetchval(SETTING)


async def test_a_whole_transaction_begins_with_its_first_part_and_needs_one_connection(one: Database) -> None:
    ada = await found(one, "ada")
    begun = []

    async def note(tx: Tx) -> None:
        begun.append(tx.tenant_id)

    async with one.whole_tx(PLATFORM_TENANT_ID, note):
        before = await one.hot(ada, HOT_SLUG), list(begun)
        async with one.tenant_tx(ada) as tx:
            assert [row["slug"] for row in await tx.fetch(SLUGS)] == ["ada"]
            platform = await one.hot(PLATFORM_TENANT_ID, HOT_SLUG)
            assert [row["slug"] for row in await tx.fetch(SLUGS)] == ["ada"]
        during = await one.hot(ada, HOT_SLUG)

    assert (tuple(before[0] or ()), before[1]) == (("ada",), [])
    assert (tuple(platform or ()), tuple(during or ())) == (("platform",), ("ada",))
    assert begun == [PLATFORM_TENANT_ID]


async def test_what_is_only_read_before_a_whole_transaction_begins_is_no_part_of_it(one: Database) -> None:
    """So that what it waits for next is waited for without a connection."""
    begun = []

    async def note(tx: Tx) -> None:
        begun.append(tx.tenant_id)

    async with one.whole_tx(PLATFORM_TENANT_ID, note):
        async with one.tenant_tx(PLATFORM_TENANT_ID, read_only=True) as tx:
            read = await tx.fetch(SLUGS)
        async with asyncio.timeout(20):
            elsewhere = await asyncio.create_task(one.hot(PLATFORM_TENANT_ID, HOT_SLUG))
        assert not begun
        async with one.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await tx.fetch(SLUGS)

    assert [row["slug"] for row in read] == ["platform"]
    assert elsewhere is not None
    assert begun == [PLATFORM_TENANT_ID]


async def test_a_whole_transaction_fails_with_any_of_its_parts(one: Database) -> None:
    async def nothing(_: Tx) -> None: ...

    async def fail() -> None:
        async with one.whole_tx(PLATFORM_TENANT_ID, nothing):
            await found(one, "ada")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    await found(one, "ada")


async def test_it_opens_in_one_round_trip_and_ends_in_one(one: Database, line: Line) -> None:
    async with one.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await tx.fetch(SLUGS)

    await asyncio.sleep(0)  # asyncpg tells of a query when it is over, in the loop's next round
    opening = f"BEGIN; SELECT set_config('app.tenant_id', '{PLATFORM_TENANT_ID}', true)"
    assert line.trips == [opening, SLUGS.sql, "COMMIT"]


async def test_a_hot_read_takes_one_round_trip_in_all(one: Database, line: Line) -> None:
    await one.hot(PLATFORM_TENANT_ID, HOT_SLUG)

    await asyncio.sleep(0)
    assert line.trips == [HOT_SLUG.sql]


async def test_what_raises_is_rolled_back(one: Database) -> None:
    tenant_id = uuid7()

    async def work() -> None:
        async with one.tenant_tx(tenant_id) as tx:
            await tx.execute(FOUND, id=tenant_id, slug="ada")
            await tx.fetch(NONSENSE)

    with pytest.raises(asyncpg.DivisionByZeroError):
        await work()

    async with one.tenant_tx(tenant_id) as tx:
        assert await tx.fetch(SLUGS) == []


async def test_an_error_that_is_caught_inside_is_not_taken_for_a_success(one: Database) -> None:
    async def work() -> None:
        async with one.tenant_tx(PLATFORM_TENANT_ID) as tx:
            with suppress(asyncpg.DivisionByZeroError):
                await tx.fetch(NONSENSE)

    with pytest.raises(RuntimeError, match="rolled back"):
        await work()

    async with one.tenant_tx(PLATFORM_TENANT_ID) as tx:
        assert await tx.fetchval(SLUGS) == "platform"


async def test_a_violated_constraint_is_the_error_that_it_stands_for(one: Database) -> None:
    await found(one, "ada")

    with pytest.raises(Taken), constraint_errors({"uq_tenants_slug": Taken}):
        await found(one, "ada")


async def test_a_violated_constraint_that_stands_for_nothing_stays_what_it_is(one: Database) -> None:
    await found(one, "ada")

    with pytest.raises(asyncpg.UniqueViolationError), constraint_errors({"uq_tenants_name": Taken}):
        await found(one, "ada")


async def test_a_row_of_a_tenant_that_is_not_there_says_so(one: Database) -> None:
    tenant_id = uuid7()
    config = Statement(insert(tenant_configs).values(tenant_id=bindparam("tenant_id")))

    with pytest.raises(TenantGone):
        async with one.tenant_tx(tenant_id) as tx:
            await tx.execute(config, tenant_id=tenant_id)


async def test_a_mistaken_value_is_a_mistake_and_not_an_outage(one: Database) -> None:
    with pytest.raises(asyncpg.DataError):
        async with one.global_tx() as tx:
            await tx.execute(FOUND, id="no uuid", slug="ada")


@pytest.mark.parametrize("kind", [JSON, JSONB])
async def test_json_goes_in_and_comes_out_as_values(kind: type[JSON], one: Database) -> None:
    value = {
        "text": 'a "quoted" \\ 中文',
        "list": [1, 2.5, None, True],
        "id": uuid7(),
        "cost": Decimal("0.1"),
        "nested": {},
    }
    echo = Statement(select(bindparam("value", type_=kind)))

    async with one.global_tx() as tx:
        found = await tx.fetchval(echo, value=value)

    assert found == {**value, "id": str(value["id"]), "cost": "0.1"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\0b", "a\ufffdb"),
        ("\0\0", "\ufffd\ufffd"),
        ("\\\0", "\\\ufffd"),
        ("\\u0000", "\\u0000"),
        ("\\\\u0000\0", "\\\\u0000\ufffd"),
    ],
)
async def test_a_nul_which_the_database_has_no_place_for_becomes_a_sign_for_it(
    one: Database, given: str, kept: str
) -> None:
    echo = Statement(select(bindparam("value", type_=JSONB)))

    async with one.global_tx() as tx:
        found = await tx.fetchval(echo, value={given: [given]})

    assert found == {kept: [kept]}


async def test_what_json_has_no_form_for_is_a_mistake(one: Database) -> None:
    with pytest.raises(asyncpg.DataError):
        async with one.global_tx() as tx:
            await tx.fetchval(Statement(select(bindparam("value", type_=JSONB))), value={"value": object()})


async def test_a_server_that_is_not_there_is_refused_with_what_to_do(scratch: Scratch) -> None:
    away = scratch.settings(database_url="postgresql://atrium_app@127.0.0.1:1/atrium")
    with pytest.raises(DatabaseRefused, match="Cannot connect to ATRIUM_DATABASE_URL"):
        async with Database.open(away):
            pass
