"""The only door to the database: what a transaction costs, what it leaves behind, and what goes wrong in it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import JSON, bindparam, func, insert, literal_column, select, true, update
from sqlalchemy.dialects.postgresql import JSONB

from server.db.connect import connect
from server.db.database import Database, Tx
from server.db.errors import DatabaseRefused, constraint_errors
from server.db.pool import Connection, Pool
from server.db.statements import HotStatement, Statement
from server.kernel.errors import AlreadyExists, DatabaseUnavailable
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.model.tables import model_routes
from server.settings import Settings
from server.tenant.tables import tenants
from tests.databases import Scratch

SETTING = Statement(select(func.current_setting("app.tenant_id", true())))
SLUGS = Statement(select(tenants.c.slug))
HOT_SLUG = HotStatement(select(tenants.c.slug))
FOUND = Statement(insert(tenants).values(id=bindparam("id"), name=bindparam("slug"), slug=bindparam("slug")))
SLEEP = Statement(select(func.pg_sleep(30)))
HOT_SLEEP = HotStatement(select(func.pg_sleep(30)))
NAP = Statement(select(func.pg_sleep(bindparam("seconds"))))
NONSENSE = Statement(select(literal_column("1") / literal_column("0")))
PID = Statement(select(func.pg_backend_pid()))
END = Statement(select(func.pg_terminate_backend(func.pg_backend_pid())))

SLEEPING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event = 'PgSleep' AND query LIKE '%pg_sleep(30)%' AND datname = current_database()
"""


class Line:
    """The one connection of a pool, watched: whatever a use leaves behind, the next one gets."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.trips: list[str] = []
        self.lost = asyncio.Event()

    async def open(self) -> Connection:
        connection = await connect(self._settings)
        connection.add_query_logger(lambda query: self.trips.append(query.query))
        connection.add_termination_listener(lambda _: self.lost.set())
        return connection


@pytest.fixture
def line(scratch: Scratch) -> Line:
    return Line(scratch.settings())


@pytest.fixture
async def one(line: Line) -> AsyncIterator[Database]:
    """A database behind that line."""
    pool = Pool(line.open, 1)
    try:
        yield Database(pool)
    finally:
        await pool.close()


async def _until(admin: Any, query: str, wanted: object) -> None:
    async with asyncio.timeout(10):
        while await admin.fetchval(query) != wanted:
            pass


class Taken(AlreadyExists):
    """Taken."""


async def _found(database: Database, slug: str) -> UUID:
    tenant_id = uuid7()
    async with database.tenant_tx(tenant_id) as tx:
        await tx.execute(FOUND, id=tenant_id, slug=slug)
    return tenant_id


async def test_a_transaction_sees_its_tenant_and_a_global_one_sees_none(one: Database) -> None:
    ada = await _found(one, "ada")
    await _found(one, "grace")

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
    ada = await _found(one, "ada")
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


async def test_a_whole_transaction_fails_with_any_of_its_parts(one: Database) -> None:
    async def nothing(_: Tx) -> None: ...

    async def fail() -> None:
        async with one.whole_tx(PLATFORM_TENANT_ID, nothing):
            await _found(one, "ada")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    await _found(one, "ada")


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
    await _found(one, "ada")

    with pytest.raises(Taken), constraint_errors({"uq_tenants_slug": Taken}):
        await _found(one, "ada")


async def test_a_violated_constraint_that_stands_for_nothing_stays_what_it_is(one: Database) -> None:
    await _found(one, "ada")

    with pytest.raises(asyncpg.UniqueViolationError), constraint_errors({"uq_tenants_name": Taken}):
        await _found(one, "ada")


async def test_a_cancelled_use_is_stopped_on_the_server_and_its_connection_used_again(
    one: Database, admin: Any
) -> None:
    tenant_id = uuid7()

    async def work() -> None:
        async with one.tenant_tx(tenant_id) as tx:
            await tx.execute(FOUND, id=tenant_id, slug="ada")
            await tx.fetch(SLEEP)

    task = asyncio.create_task(work())
    await _until(admin, SLEEPING, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(5), one.tenant_tx(tenant_id) as tx:
        assert await tx.fetch(SLUGS) == []
    await _until(admin, SLEEPING, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_cancellation_that_the_server_does_not_hear_costs_the_connection_and_not_its_place(
    one: Database,
) -> None:
    """PostgreSQL drops a cancellation that arrives before it has read the statement: here it is stopped until then."""
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with one.global_tx() as tx:
            await tx.fetch(NAP, seconds=0.0)
            begun.set()
            await stopped.wait()
            await tx.fetch(NAP, seconds=30.0)

    async with one.global_tx() as tx:
        pid = await tx.fetchval(PID)
    task = asyncio.create_task(work())
    await begun.wait()
    os.kill(pid, signal.SIGSTOP)
    try:
        stopped.set()
        await asyncio.sleep(0)  # the statement is on its way
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(_pending, pid, signal.SIGINT):
                pass
    finally:
        os.kill(pid, signal.SIGCONT)

    async with asyncio.timeout(5), one.global_tx() as tx:
        assert await tx.fetchval(PID) != pid


def _pending(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    pending = next(line for line in status.splitlines() if line.startswith("ShdPnd"))
    return bool(int(pending.split()[1], 16) & 1 << (number - 1))


async def test_a_cancelled_hot_read_is_stopped_too(one: Database, admin: Any) -> None:
    task = asyncio.create_task(one.hot(PLATFORM_TENANT_ID, HOT_SLEEP))
    await _until(admin, SLEEPING, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(5):
        row = await one.hot(PLATFORM_TENANT_ID, HOT_SLUG)
    assert row is not None
    assert row["slug"] == "platform"
    await _until(admin, SLEEPING, 0)


async def test_a_lost_connection_is_unavailable_and_the_next_use_has_a_new_one(one: Database) -> None:
    async with one.global_tx() as tx:
        first = await tx.fetchval(PID)

    with pytest.raises(DatabaseUnavailable):
        async with one.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await tx.fetch(END)

    async with one.global_tx() as tx:
        assert await tx.fetchval(PID) != first


async def test_a_connection_that_was_lost_while_nobody_used_it_is_not_lent(
    one: Database, line: Line, admin: Any
) -> None:
    async with one.global_tx() as tx:
        pid = await tx.fetchval(PID)
    await admin.execute("SELECT pg_terminate_backend($1)", pid)
    async with asyncio.timeout(10):
        await line.lost.wait()

    assert await one.hot(PLATFORM_TENANT_ID, HOT_SLUG) is not None


async def test_a_use_waits_for_another_to_end(one: Database) -> None:
    order = []

    async def second() -> None:
        async with one.global_tx():
            order.append("second")

    async with one.global_tx() as tx:
        task = asyncio.create_task(second())
        await tx.fetchval(PID)
        order.append("first")
    await task

    assert order == ["first", "second"]


async def test_of_two_in_a_deadlock_one_is_told_to_try_again(database: Database) -> None:
    tenant_id = await _found(database, "ada")
    columns = ("tenant_id", "id", "alias", "targets")
    add = Statement(insert(model_routes).values({name: bindparam(name) for name in columns}))
    touch = Statement(update(model_routes).where(model_routes.c.alias == bindparam("which")).values(cooldown_seconds=1))
    async with database.tenant_tx(tenant_id) as tx:
        for alias in ("fast", "slow"):
            await tx.execute(add, tenant_id=tenant_id, id=uuid7(), alias=alias, targets=[])
    both = asyncio.Barrier(2)

    async def work(first: str, second: str) -> None:
        async with database.tenant_tx(tenant_id) as tx:
            await tx.execute(touch, which=first)
            await both.wait()
            await tx.execute(touch, which=second)

    outcomes = await asyncio.gather(work("fast", "slow"), work("slow", "fast"), return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DatabaseUnavailable", "NoneType"]


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
