"""Watches of the audit log: entries come in their order, each once, over interruptions and slow changes too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc import StatusCode as Code

from atrium.audit.v1 import audit_log_pb2 as pb
from atrium.audit.v1 import watch_pb2
from atrium.identity.v1 import role_pb2
from server.audit.domain import Filter
from server.audit.service.log import AuditLog
from server.audit.service.watching import AuditWatching
from server.db.database import Database, Tx
from server.db.partitions import ensure_months
from server.kernel.audit import Change
from server.kernel.clock import now
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7_floor
from server.kernel.principal import Call
from tests.databases import Scratch
from tests.factories.world import Person, World, refused
from tests.rpc.methods import IDENTITY
from tests.servers import serving

BOUND_SECONDS = 30


class Watch:
    """A watch of the log, and what it was told."""

    def __init__(self, world: World, person: Person, after_cursor: str = "", **wanted: Any) -> None:
        request = watch_pb2.WatchAuditLogsRequest(filter=wanted, after_cursor=after_cursor)
        self.stream: Any = world.audit.WatchAuditLogs(request, metadata=person.metadata)
        self.entries: list[pb.AuditLog] = []
        self.cursor = after_cursor

    async def until(self, count: int) -> Sequence[str]:
        """The actions of the first entries, once there are so many."""
        async with asyncio.timeout(BOUND_SECONDS):
            while len(self.entries) < count:
                news = await self.stream.read()
                assert news is not grpc.aio.EOF
                self.entries += news.entries.audit_logs
                self.cursor = news.cursor
        return [entry.action for entry in self.entries]


async def _entries(world: World, person: Person) -> list[pb.AuditLog]:
    """All of the log, the oldest first."""
    listed = await world.audit.ListAuditLogs(pb.ListAuditLogsRequest(page_size=1000), metadata=person.metadata)
    return list(reversed(listed.audit_logs))


async def test_what_is_written_comes_in_its_order_and_nothing_of_other_tenants(world: World) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    watch = Watch(world, administrator, create_time_from=now() - timedelta(hours=1))
    there = len(await _entries(world, administrator))
    await watch.until(there)

    await asyncio.gather(*(world.role(person) for person in (administrator, other) * 5))
    actions = await watch.until(len(await _entries(world, administrator)))

    assert sorted(actions[-10:]) == ["roles.create"] * 5 + ["roles.set_permissions"] * 5
    assert watch.entries == await _entries(world, administrator)
    assert "audit_logs.watch" in actions
    watch.stream.cancel()


async def test_a_filter_chooses_what_is_told(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    watch = Watch(world, administrator, status=pb.AuditLog.STATUS_FAILURE, user_id=person.id)

    request = role_pb2.CreateRoleRequest(name="r", code="r")
    await world.role(administrator)
    await refused(world.identity.CreateRole(request, metadata=person.metadata))

    assert await watch.until(1) == [f"{IDENTITY}CreateRole"]
    watch.stream.cancel()


async def test_a_watch_is_taken_up_by_another_server_without_a_gap_or_a_repetition(
    world: World, scratch: Scratch
) -> None:
    administrator = await world.tenant()
    first = Watch(world, administrator, resource_type="role")
    await world.role(administrator)
    await first.until(2)
    first.stream.cancel()
    await world.role(administrator)

    async with _another(scratch, world) as elsewhere:
        second = Watch(elsewhere, administrator, first.cursor, resource_type="role")
        await world.role(administrator)
        await second.until(4)
        second.stream.cancel()
        foreign = await refused(Watch(elsewhere, administrator, first.cursor, resource_type="user").until(1))

    told = [*first.entries, *second.entries]
    assert told == [entry for entry in await _entries(world, administrator) if entry.resource_type == "role"]
    assert (foreign.code, foreign.reason) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


@asynccontextmanager
async def _another(scratch: Scratch, world: World) -> AsyncIterator[World]:
    """A second server on the same database."""
    async with serving(scratch.settings()) as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield World(channel, world.administrator)


async def test_so_many_may_watch_a_tenants_log_at_once(world: World) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    since = now() - timedelta(hours=1)
    most = [Watch(world, administrator, create_time_from=since) for _ in range(20)]
    of_another = Watch(world, other, create_time_from=since)
    for each in most:
        await each.until(1)

    refusal = await refused(Watch(world, administrator, create_time_from=since).until(1))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES")
    await of_another.until(1)
    for each in (*most, of_another):
        each.stream.cancel()


async def test_what_was_written_long_ago_is_gone_through_day_by_day(
    database: Database, caller: Call, admin: Any, scratch: Scratch
) -> None:
    await ensure_months(scratch.admin_url, now().date() - timedelta(days=40), now().date())
    for age in (40, 20, 3):
        moment = now() - timedelta(days=age)
        await admin.execute(
            "INSERT INTO audit_logs (tenant_id, id, actor_kind, action, resource_type, created_at) "
            "VALUES ($1, $2, 'system', $3, 'thing', $4)",
            *(PLATFORM_TENANT_ID, uuid7_floor(moment), f"things.{age}", moment),
        )
    watching = AuditWatching(database, AuditLog(database), look=0, heartbeat=0)

    chosen = Filter({"action": "things.3"}, since=now() - timedelta(days=100), until=now() - timedelta(days=1))
    parts = [news async for news in watching.watch(chosen, None)]

    assert [entry.action for news in parts for entry in news.entries] == ["things.3"]
    # As long as others' transactions keep more from being settled, the same is told again.
    assert len({news.behind for news in parts}) < 10


async def test_who_may_not_read_the_log_may_not_watch_it(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)

    refusal = await refused(Watch(world, person).until(1))

    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")


async def test_an_idle_watch_is_told_that_the_server_is_there_and_how_far_it_has_looked(
    database: Database, caller: Call
) -> None:
    watching = AuditWatching(database, AuditLog(database), look=0, heartbeat=0)

    async with aclosing(watching.watch(Filter({"action": "nothing"}), None)) as stream:
        told = [await anext(stream) for _ in range(3)]

    assert [list(news.entries) for news in told] == [[], [], []]
    assert told[0].behind <= told[1].behind <= told[2].behind


async def test_an_entry_whose_change_took_long_comes_before_those_that_were_made_after_it(
    database: Database, caller: Call, prompt: None
) -> None:
    watching = AuditWatching(database, AuditLog(database), look=0, heartbeat=0)
    async with aclosing(watching.watch(Filter({"resource_type": "thing"}), None)) as stream:
        await anext(stream)
        async with database.tenant_tx(PLATFORM_TENANT_ID) as slow:
            await _write(database, slow, "slow")
            await _write(database, None, "quick")
            meanwhile = [entry for _ in range(5) for entry in (await anext(stream)).entries]
        told: list[str] = []
        while len(told) < 2:
            told += [entry.action for entry in (await anext(stream)).entries]

    assert meanwhile == []
    assert told == ["slow", "quick"]


async def test_a_watch_whose_time_is_over_ends(database: Database, caller: Call) -> None:
    watching = AuditWatching(database, AuditLog(database), life=0)

    assert [news async for news in watching.watch(Filter({}), None)] == []


async def test_a_watch_ends_when_all_from_before_its_end_has_come(
    database: Database, caller: Call, prompt: None
) -> None:
    since, until = now() - timedelta(minutes=1), now() + timedelta(seconds=0.5)
    await _write(database, None, "things.do")

    watching = AuditWatching(database, AuditLog(database), look=0)
    chosen = Filter({"action": "things.do"}, since=since, until=until)
    told = [entry.action for news in [part async for part in watching.watch(chosen, None)] for entry in news.entries]

    assert told == ["things.do"]
    assert now() >= until


async def test_many_entries_come_in_parts(
    database: Database, caller: Call, prompt: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.audit.service.watching._MOST", 3)
    since = now() - timedelta(minutes=1)
    for _ in range(7):
        await _write(database, None, "things.do")

    watching = AuditWatching(database, AuditLog(database))
    async with aclosing(watching.watch(Filter({"action": "things.do"}, since=since), None)) as stream:
        parts = [await anext(stream) for _ in range(3)]

    assert [len(news.entries) for news in parts] == [3, 3, 1]


async def _write(database: Database, tx: Tx | None, action: str) -> None:
    """An entry, in a transaction of its own unless there is one."""
    async with nullcontext(tx) if tx is not None else database.tenant_tx(PLATFORM_TENANT_ID) as within:
        await AuditLog(database).record(within, Change(action, "thing"))


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one clock here: what is written is told at once."""
    monkeypatch.setattr("server.audit.service.watching._MARGIN", timedelta(0))
