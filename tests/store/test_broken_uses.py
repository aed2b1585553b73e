"""Uses of the database that do not come to their end: left, lost, waited for, in each other's way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, func, insert, select, update

from server.db.database import Database
from server.db.statements import HotStatement, Statement
from server.embedded.postgres import as_role
from server.identity.tables import permissions
from server.kernel.errors import DatabaseUnavailable
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.model.tables import model_routes
from server.tenant.tables import tenants
from tests.databases import Scratch
from tests.store.line import FOUND, Line, found

PERMISSIONS = Statement(select(permissions))
SLUGS = Statement(select(tenants.c.slug))
HOT_SLUG = HotStatement(select(tenants.c.slug))
SLEEP = Statement(select(func.pg_sleep(30)))
HOT_SLEEP = HotStatement(select(func.pg_sleep(30)))
NAP = Statement(select(func.pg_sleep(bindparam("seconds"))))
PID = Statement(select(func.pg_backend_pid()))
END = Statement(select(func.pg_terminate_backend(func.pg_backend_pid())))

SLEEPING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event = 'PgSleep' AND query LIKE '%pg_sleep(30)%' AND datname = current_database()
"""


async def _until(admin: Any, query: str, wanted: object) -> None:
    async with asyncio.timeout(10):
        while await admin.fetchval(query) != wanted:
            pass


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

    async with asyncio.timeout(20), one.tenant_tx(tenant_id) as tx:
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

    async with asyncio.timeout(20), one.global_tx() as tx:
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

    async with asyncio.timeout(20):
        row = await one.hot(PLATFORM_TENANT_ID, HOT_SLUG)
    assert row is not None
    assert row["slug"] == "platform"
    await _until(admin, SLEEPING, 0)


async def test_a_statement_that_a_migration_makes_stale_is_unavailable_once(one: Database, admin: Any) -> None:
    async def read() -> None:
        async with one.global_tx() as tx:
            assert await tx.fetch(PERMISSIONS)

    await read()
    await admin.execute("ALTER TABLE permissions ALTER COLUMN description TYPE varchar(999)")

    with pytest.raises(DatabaseUnavailable):
        await read()
    await read()


async def test_a_role_that_may_not_log_in_any_more_is_unavailable(scratch: Scratch, admin: Any, stranger: str) -> None:
    await admin.execute(f"GRANT atrium_app TO {stranger}")
    settings = scratch.settings(database_url=as_role(scratch.admin_url, stranger), pool_size=1)
    async with Database.open(settings) as database:
        await admin.execute(f"ALTER ROLE {stranger} NOLOGIN")
        with pytest.raises(DatabaseUnavailable):
            async with database.global_tx() as tx:
                await tx.execute(END)

        with pytest.raises(DatabaseUnavailable):
            async with database.global_tx() as tx:
                await tx.fetch(SLUGS)


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
    tenant_id = await found(database, "ada")
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
