"""Streams whose server counts as gone: the loss is written down once, and a server that comes back goes by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest

from server.db.database import Database, Tx
from server.kernel.errors import DatabaseUnavailable, DomainError
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.principal import Call, Principal, begin_call
from server.kernel.tasks import Background
from server.model.domain import GenerationLost
from server.model.service.generations import Beginning, Generations
from server.model.store import generations as store

NOT_FOR_EVER = 10.0


class Talk:
    """A stream that says what it is given, one event each, until it is given nothing. `closed`: when it has ended."""

    def __init__(self) -> None:
        self._given: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = asyncio.Event()

    def say(self, *words: bytes) -> None:
        for word in words:
            self._given.put_nowait(word)

    async def _stream(self) -> AsyncGenerator[Sequence[bytes], None]:
        try:
            while word := await self._given.get():
                yield (word,)
        finally:
            self.closed.set()

    @property
    def beginning(self) -> Beginning:
        return Beginning(b"asked", lambda _: self._stream())


class Apart:
    """The database as a server sees it that is cut off from it while `cut`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.cut = False

    def tenant_tx(self, tenant_id: UUID) -> AbstractAsyncContextManager[Tx]:
        if self.cut:
            raise DatabaseUnavailable
        return self._database.tenant_tx(tenant_id)

    async def hot(self, *arguments: Any, **values: Any) -> asyncpg.Record | None:
        return await self._database.hot(*arguments, **values)


class Reading:
    """A reader of a stream, and what it was told."""

    def __init__(self, stream: AsyncGenerator[Sequence[bytes], None]) -> None:
        self.told: list[bytes] = []
        self.task = asyncio.create_task(self._read(stream))

    async def _read(self, stream: AsyncGenerator[Sequence[bytes], None]) -> None:
        async with aclosing(stream) as batches:
            async for batch in batches:
                self.told.extend(batch)

    async def has(self, count: int) -> None:
        """Waits until it was told so many."""
        async with asyncio.timeout(NOT_FOR_EVER):
            while len(self.told) < count:  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def whole(self) -> list[bytes]:
        """All of it, once it has ended."""
        await asyncio.wait_for(self.task, NOT_FOR_EVER)
        return self.told


class Scene:
    """A stream that one server writes, which can be cut off, and that another one reads."""

    def __init__(self, database: Database, background: Background, admin: Any, most_held: int = 262_144) -> None:
        call = Call("/test", "request", "ab" * 16, "cd" * 8)
        call.principal = Principal(PLATFORM_TENANT_ID, uuid7(), uuid7(), frozenset())
        begin_call(call)
        self._admin = admin
        self.apart = Apart(database)
        self.writing = Generations(cast("Database", self.apart), background, _failed, most_held=most_held)
        self.other = Generations(database, background, _failed)
        self.id = uuid7()
        self.talk = Talk()

    def begin(self) -> AsyncGenerator[Sequence[bytes], None]:
        return self.writing.stream(self.id, 0, self.talk.beginning)

    async def written(self, seq: int) -> None:
        """Waits until the events up to that one are written down."""
        async with asyncio.timeout(NOT_FOR_EVER):
            while await self._admin.fetchval("SELECT max(last_seq) FROM generation_events") != seq:
                pass

    async def time_passes(self) -> None:
        """Until the server counts as gone."""
        await self._admin.execute("UPDATE generations SET kept_until = now() - interval '1 second'")

    async def falls_behind(self) -> Reading:
        """Its first event is written down, its second is told where it is written and nowhere else, and its server
        counts as gone. Who reads it there.
        """
        local = Reading(self.begin())
        self.talk.say(b"a")
        await self.written(1)
        self.apart.cut = True
        self.talk.say(b"b")
        await local.has(2)
        await self.time_passes()
        return local

    async def elsewhere(self, after_seq: int = 0) -> list[bytes]:
        """What a reader of the other server is told."""
        return await Reading(self.other.stream(self.id, after_seq, None)).whole()


def _failed(seq: int, error: DomainError) -> bytes:
    return f"{seq} {error.reason}".encode()


def _lost(seq: int) -> bytes:
    return _failed(seq, GenerationLost())


async def test_a_server_that_comes_back_finds_its_stream_ended_and_does_not_go_on(
    database: Database, background: Background, admin: Any
) -> None:
    scene = Scene(database, background, admin)
    local = await scene.falls_behind()

    told = await scene.elsewhere()
    scene.apart.cut = False

    assert told == [b"a", _lost(2)]
    assert await local.whole() == [b"a", b"b", _lost(3)], "what it was told is not told otherwise"
    await asyncio.wait_for(scene.talk.closed.wait(), NOT_FOR_EVER)
    assert await scene.elsewhere() == told
    assert await scene.elsewhere(1) == [_lost(2)]
    assert await scene.elsewhere(2) == [_lost(3)], "whoever has seen the second event, which is not written down"
    await background.close(NOT_FOR_EVER)
    again = Reading(scene.writing.stream(scene.id, 0, scene.talk.beginning))
    assert await again.whole() == told


async def test_a_server_whose_time_has_passed_goes_on_where_nobody_has_found_it_so(
    database: Database, background: Background, admin: Any
) -> None:
    scene = Scene(database, background, admin)
    local = await scene.falls_behind()

    scene.apart.cut = False

    await scene.written(2)
    reading = Reading(scene.other.stream(scene.id, 0, None))
    await reading.has(2)
    scene.talk.say(b"c", b"")
    assert await local.whole() == await reading.whole() == [b"a", b"b", b"c"]


async def test_an_answer_that_is_complete_is_written_down_however_late(
    database: Database, background: Background, admin: Any
) -> None:
    scene = Scene(database, background, admin)
    local = Reading(scene.begin())
    scene.talk.say(b"a")
    await scene.written(1)
    scene.apart.cut = True
    scene.talk.say(b"b", b"")
    assert await local.whole() == [b"a", b"b"]
    await scene.time_passes()

    scene.apart.cut = False

    await scene.written(2)
    assert await scene.elsewhere() == [b"a", b"b"]


async def test_a_loss_is_written_down_once_by_whoever_finds_it(
    database: Database, background: Background, admin: Any
) -> None:
    scene = Scene(database, background, admin)
    local = Reading(scene.begin())
    scene.talk.say(b"a")
    await scene.written(1)
    scene.apart.cut = True
    await scene.time_passes()

    assert await asyncio.gather(*(scene.elsewhere() for _ in range(5))) == [[b"a", _lost(2)]] * 5

    assert await admin.fetchval("SELECT count(*) FROM generation_events") == 2
    scene.apart.cut = False
    assert await local.whole() == [b"a", _lost(2)]


async def test_a_stream_whose_server_is_there_is_not_lost(
    database: Database, background: Background, admin: Any
) -> None:
    scene = Scene(database, background, admin)
    local = Reading(scene.begin())
    scene.talk.say(b"a")
    await scene.written(1)
    row_id = await admin.fetchval("SELECT id FROM generations")

    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        assert await store.lose(tx, row_id) is None
    scene.talk.say(b"b", b"")

    assert await local.whole() == [b"a", b"b"]
    await scene.written(2)
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        with pytest.raises(GenerationLost):
            await store.keep(tx, row_id, ended=True)


async def test_a_slow_reader_beside_the_writer_is_told_what_it_wrote_and_not_what_others_put_behind_it(
    database: Database, background: Background, admin: Any
) -> None:
    scene = Scene(database, background, admin, most_held=1_024)
    slow, fast = scene.begin(), Reading(scene.begin())
    words = [b"%04d" % number + bytes(96) for number in range(20)]
    scene.talk.say(*words)
    async with aclosing(slow) as batches:
        told = list(await anext(batches))
        await scene.written(20)
        scene.apart.cut = True
        scene.talk.say(b"more")
        await fast.has(21)
        await scene.time_passes()
        assert (await scene.elsewhere(19))[1:] == [_lost(21)]
        scene.apart.cut = False
        assert (await fast.whole())[20:] == [b"more", _lost(22)]

        told += [message async for batch in batches for message in batch]

    assert told == [*words, b"more", _lost(22)]
