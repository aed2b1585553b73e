"""Notifications: heard once they are committed, and heard again after whatever interrupts them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.db.database import Database
from server.db.listener import listening
from server.kernel.ids import PLATFORM_TENANT_ID
from tests.databases import Scratch

BOUND = 20.0
CHANNEL = "atrium_test"
LISTENER = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'atrium listener' AND datname = current_database()"
)

pytestmark = pytest.mark.usefixtures("patient_listener")


class Heard:
    """What a listener was told, in its order: True and False for its connection, and the payloads."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[bool | str] = asyncio.Queue()
        self.put = self._told.put_nowait
        self.answers: asyncio.Queue[float] = asyncio.Queue()

    async def next(self) -> bool | str:
        async with asyncio.timeout(BOUND):
            return await self._told.get()

    def nothing(self) -> bool:
        return self._told.empty()


@pytest.fixture
async def heard(scratch: Scratch) -> AsyncIterator[Heard]:
    """A listener that is connected."""
    told = Heard()
    async with listening(scratch.settings(), {CHANNEL: told.put}, told.put, told.answers.put_nowait):
        assert await told.next() is True
        yield told


async def _tell(database: Database, payload: str) -> None:
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await tx.notify(CHANNEL, payload)


async def test_what_is_told_is_heard_when_it_is_committed(heard: Heard, database: Database) -> None:
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await tx.notify(CHANNEL, "first")
        await _tell(database, "second")
        assert await heard.next() == "second"

    assert await heard.next() == "first"


async def test_what_is_rolled_back_is_not_heard(heard: Heard, database: Database) -> None:
    async def fail() -> None:
        async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await tx.notify(CHANNEL, "never")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await _tell(database, "later")

    assert await heard.next() == "later"


async def test_other_channels_are_not_heard(heard: Heard, database: Database) -> None:
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await tx.notify("atrium_other", "never")
    await _tell(database, "later")

    assert await heard.next() == "later"


async def test_a_lost_connection_is_told_of_and_made_again(heard: Heard, database: Database, admin: Any) -> None:
    await admin.execute("SELECT pg_terminate_backend($1)", await admin.fetchval(LISTENER))

    assert [await heard.next(), await heard.next()] == [False, True]
    await _tell(database, "after")
    assert await heard.next() == "after"


async def test_it_says_again_and_again_until_when_everything_was_heard(heard: Heard, database: Database) -> None:
    moments = []
    async with asyncio.timeout(BOUND):
        for _ in range(3):
            began = monotonic()
            await _tell(database, "something")
            while (moment := await heard.answers.get()) < began:
                pass
            moments.append(moment)

            assert await heard.next() == "something"
            assert heard.nothing()

    assert moments == sorted(moments)


async def test_a_connection_that_is_dead_and_does_not_say_so_is_found(
    heard: Heard, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = await admin.fetchval(LISTENER)
    monkeypatch.undo()  # with its own patience, from the next time on that it asks
    asked = monotonic()
    async with asyncio.timeout(BOUND):
        while await heard.answers.get() < asked:
            pass
    os.kill(pid, signal.SIGSTOP)
    try:
        assert [await heard.next(), await heard.next()] == [False, True]
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_it_waits_for_a_server_that_does_not_let_it_in(scratch: Scratch, admin: Any) -> None:
    name = await admin.fetchval("SELECT current_database()")
    told = Heard()
    await admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    refused = asyncio.Event()

    def note(_logger: object, _method: str, entry: Any) -> Any:
        refused.set()
        return entry

    with capture_logs(processors=[note]) as logs:
        async with listening(scratch.settings(), {CHANNEL: told.put}, told.put, told.answers.put_nowait):
            async with asyncio.timeout(BOUND):
                await refused.wait()
            assert told.nothing()

            await admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")

            assert await told.next() is True
    assert {entry["error"] for entry in logs} == {"TooManyConnectionsError"}


async def test_it_ends_with_its_context(scratch: Scratch, admin: Any) -> None:
    told = Heard()
    async with listening(scratch.settings(), {CHANNEL: told.put}, told.put, told.answers.put_nowait):
        assert await told.next() is True

    assert await told.next() is False
    async with asyncio.timeout(BOUND):
        while await admin.fetchval(LISTENER) is not None:
            pass
    assert told.nothing()


async def test_it_has_an_address_of_its_own_where_one_is_set(scratch: Scratch, admin: Any) -> None:
    told = Heard()
    settings = scratch.settings(database_url="postgresql://127.0.0.1:1/nowhere", listen_database_url=scratch.url)

    async with listening(settings, {CHANNEL: told.put}, told.put, told.answers.put_nowait):
        assert await told.next() is True
