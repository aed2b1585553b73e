"""A server that is taken for dead while it makes a call, and is not: one answer holds, and it is that of the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from server.db.database import Database
from server.identity.service.repeats import Repeats
from server.identity.store import idempotency as store
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.principal import Call
from server.kernel.tasks import Background

HASHES = ["hash"]


class Fails(Exception):
    """The call failed."""


class Server:
    """Makes the one call that there is, with the one key."""

    def __init__(self, database: Database) -> None:
        self._repeats = Repeats(database, Background())

    async def call(self, act: Callable[[], Awaitable[bytes]]) -> bytes | None:
        return await self._repeats.once_detached("key", HASHES, act)


async def _answer() -> bytes:
    return b"of the other"


async def _lost(admin: Any) -> None:
    """So much time passes that whoever makes the call is taken for dead."""
    assert await admin.execute("UPDATE idempotency_keys SET expires_at = now() WHERE status = 'running'") == "UPDATE 1"


async def test_who_comes_back_late_gives_the_answer_that_the_other_was_given(
    database: Database, admin: Any, caller: Call
) -> None:
    late, other = Server(database), Server(database)

    async def slow() -> bytes:
        await _lost(admin)
        assert await other.call(_answer) is None
        return b"too late"

    assert await late.call(slow) == b"of the other"
    assert await late.call(slow) == b"of the other"


async def test_who_comes_back_late_waits_for_the_other_who_is_still_at_it(
    database: Database, admin: Any, caller: Call
) -> None:
    late, other, begun, go_on = Server(database), Server(database), asyncio.Event(), asyncio.Event()

    async def others() -> bytes:
        begun.set()
        await go_on.wait()
        return await _answer()

    async def slow() -> bytes:
        await _lost(admin)
        calls.append(asyncio.create_task(other.call(others)))
        await begun.wait()
        asyncio.get_running_loop().call_later(0.3, go_on.set)
        return b"too late"

    calls: list[asyncio.Task[bytes | None]] = []
    assert await late.call(slow) == b"of the other"
    assert await calls[0] is None


async def test_who_fails_late_leaves_the_other_at_it(database: Database, admin: Any, caller: Call) -> None:
    late, other = Server(database), Server(database)

    async def slow() -> bytes:
        await _lost(admin)
        await other.call(_answer)
        raise Fails

    with pytest.raises(Fails):
        await late.call(slow)

    assert await other.call(slow) == b"of the other"


async def test_where_the_other_fails_while_it_is_waited_for_the_late_answer_holds(
    database: Database, admin: Any, caller: Call
) -> None:
    late, other, begun, go_on = Server(database), Server(database), asyncio.Event(), asyncio.Event()

    async def others() -> bytes:
        begun.set()
        await go_on.wait()
        raise Fails

    async def slow() -> bytes:
        await _lost(admin)
        calls.append(asyncio.create_task(other.call(others)))
        await begun.wait()
        asyncio.get_running_loop().call_later(0.3, go_on.set)
        return b"late"

    calls: list[asyncio.Task[bytes | None]] = []
    assert await late.call(slow) is None
    with pytest.raises(Fails):
        await calls[0]
    assert await late.call(_answer) == b"late"


async def test_where_the_other_dies_too_the_late_answer_holds(database: Database, admin: Any, caller: Call) -> None:
    late, place = Server(database), (caller.caller.user_id, "/test", "key")

    async def slow() -> bytes:
        await _lost(admin)
        async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await store.begin(tx, *place, "hash", uuid4())
        await _lost(admin)
        return b"late"

    async with asyncio.timeout(10):
        assert await late.call(slow) is None
    assert await late.call(_answer) == b"late"


async def test_a_renewal_that_comes_behind_the_end_changes_nothing(
    database: Database, admin: Any, caller: Call
) -> None:
    place, claim = (caller.caller.user_id, "/test", "key"), uuid4()
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await store.begin(tx, *place, "hash", claim)
        await store.end(tx, *place, "hash", b"answer", claim)
        await store.renew(tx, *place, claim)

    assert await admin.fetchval("SELECT expires_at > now() + interval '23 hours' FROM idempotency_keys")


async def test_where_the_other_failed_the_late_answer_holds(database: Database, admin: Any, caller: Call) -> None:
    late = Server(database)

    async def slow() -> bytes:
        await admin.execute("DELETE FROM idempotency_keys")  # taken over, and given up
        return b"late"

    assert await late.call(slow) is None
    assert await late.call(_answer) == b"late"
