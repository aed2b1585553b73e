"""Streams that go on without their reader: how many, how they begin, and how they are written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.db.database import Database
from server.kernel.errors import DomainError
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.principal import Call, Principal, begin_call, current_call
from server.kernel.tasks import Background
from server.model.domain import (
    GenerationCancelled,
    GenerationIdReused,
    GenerationLost,
    GenerationNotFound,
    TooManyGenerations,
)
from server.model.service.generations import Beginning, Generations
from server.model.store import generations as store
from tests.databases import Scratch

NOT_FOR_EVER = 10.0


class Source:
    """A stream that says `begun`, waits until it may go on, and says `over`. `silent`: it waits before it says
    anything; `error`: what it fails with then. `asked`: how often it was begun; `closed`: when it has ended.
    """

    def __init__(self, *, silent: bool = False, error: Exception | None = None) -> None:
        self._silent = silent
        self._error = error
        self.asked = 0
        self.waits = asyncio.Event()
        self.go = asyncio.Event()
        self.closed = asyncio.Event()

    async def stream(self) -> AsyncGenerator[Sequence[bytes], None]:
        self.asked += 1
        try:
            if not self._silent:
                yield (b"begun",)
            self.waits.set()
            await self.go.wait()
            if self._error is not None:
                raise self._error
            yield (b"over",)
        finally:
            self.closed.set()

    def beginning(self, asked: bytes = b"asked") -> Beginning:
        return Beginning(asked, lambda _: self.stream())


def _failed(seq: int, error: DomainError) -> bytes:
    return error.reason.encode()


def _call(tenant_id: UUID, user_id: UUID | None = None) -> None:
    call = Call("/test", "request", "ab" * 16, "cd" * 8)
    call.principal = Principal(tenant_id, user_id or uuid7(), uuid7(), frozenset())
    begin_call(call)


async def _first(generations: Generations, generation_id: UUID | None, source: Source) -> None:
    """Begins a stream, reads its first events and leaves it."""
    async with aclosing(generations.stream(generation_id, 0, source.beginning())) as batches:
        await anext(batches)


async def _all(stream: AsyncGenerator[Sequence[bytes], None]) -> list[bytes]:
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(stream) as batches:
        return [message async for batch in batches for message in batch]


async def _tenant(admin: Any) -> UUID:
    made = uuid7()
    await admin.execute("INSERT INTO tenants (id, name, slug) VALUES ($1, 'x', $2)", made, f"x{made.hex}")
    return made


async def test_so_many_are_written_at_once_for_a_tenant_and_in_all(
    database: Database, background: Background, admin: Any
) -> None:
    generations = Generations(database, background, _failed, most=3, most_of_tenant=2)
    sources: list[Source] = []

    async def start() -> str:
        source = Source()
        try:
            await _first(generations, None, source)
        except TooManyGenerations as error:
            return error.subject
        sources.append(source)
        return ""

    _call(PLATFORM_TENANT_ID)
    outcomes = [await start() for _ in range(3)]
    _call(await _tenant(admin))
    outcomes += [await start() for _ in range(2)]
    sources[0].go.set()
    async with asyncio.timeout(NOT_FOR_EVER):
        while (again := await start()) != "":
            await admin.execute("SELECT 1")
    for source in sources:
        source.go.set()

    assert outcomes == ["", "", "tenant", "", "server"]
    assert again == ""


async def test_a_stream_that_cannot_be_written_down_is_not_begun(
    database: Database, background: Background, admin: Any
) -> None:
    generations = Generations(database, background, _failed, most=1)
    _call(PLATFORM_TENANT_ID)
    generation_id, taken, other = uuid7(), Source(), Source()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    await admin.execute("ALTER TABLE generations ADD CONSTRAINT none CHECK (false)")

    with pytest.raises(asyncpg.CheckViolationError):
        await _first(generations, generation_id, taken)

    assert not taken.asked
    await admin.execute("ALTER TABLE generations DROP CONSTRAINT none")
    await _first(generations, generation_id, other)
    other.go.set()


async def test_a_stream_whose_writing_fails_ends(database: Database, scratch: Scratch, admin: Any) -> None:
    background = Background()
    generations = Generations(database, background, _failed)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    _call(PLATFORM_TENANT_ID)
    source = Source()
    await admin.execute("ALTER TABLE generation_events ADD CONSTRAINT none CHECK (false)")

    await _first(generations, None, source)

    await asyncio.wait_for(source.closed.wait(), NOT_FOR_EVER)
    await background.close(NOT_FOR_EVER)


async def test_events_that_are_written_again_with_more_behind_them_are_read_once(
    database: Database, background: Background, admin: Any
) -> None:
    generations = Generations(database, background, _failed)
    _call(PLATFORM_TENANT_ID)
    generation_id = uuid7()
    source = Source()
    source.go.set()
    messages = await _all(generations.stream(generation_id, 0, source.beginning()))
    await background.close(NOT_FOR_EVER)

    row_id = await admin.fetchval("SELECT id FROM generations")
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        for _ in range(2):
            await store.add(tx, row_id, 1, [b"begun", b"over"])
            await store.add(tx, row_id, 1, [b"begun", b"over", b"more"])

    again = await _all(generations.stream(generation_id, 0, None))
    assert messages == [b"begun", b"over"]
    assert again == [b"begun", b"over", b"more"]
    assert GenerationLost().reason.encode() not in again


async def test_twins_have_one_stream_on_one_server_and_on_two(database: Database, background: Background) -> None:
    servers = [Generations(database, background, _failed) for _ in range(2)]
    _call(PLATFORM_TENANT_ID)
    generation_id, source = uuid7(), Source()

    reading = [
        asyncio.create_task(_all(server.stream(generation_id, 0, source.beginning())))
        for server in servers
        for _ in range(3)
    ]
    await source.waits.wait()
    source.go.set()

    assert await asyncio.gather(*reading) == [[b"begun", b"over"]] * 6
    assert source.asked == 1


async def test_a_stream_goes_on_whose_caller_is_lost_before_its_first_event(
    database: Database, background: Background
) -> None:
    one, other = (Generations(database, background, _failed) for _ in range(2))
    _call(PLATFORM_TENANT_ID)
    generation_id, source = uuid7(), Source(silent=True)
    lost = asyncio.create_task(_first(one, generation_id, source))
    await source.waits.wait()
    lost.cancel()
    await asyncio.wait([lost])

    rest = [asyncio.create_task(_all(server.stream(generation_id, 0, source.beginning()))) for server in (one, other)]
    source.go.set()

    assert await asyncio.gather(*rest) == [[b"over"]] * 2
    assert source.asked == 1


async def test_a_stream_that_takes_too_long_in_all_ends_and_says_so(
    database: Database, background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.model.service.generations.MOST_SECONDS", 0.3)
    source = Source()
    _call(PLATFORM_TENANT_ID)

    told = await _all(Generations(database, background, _failed).stream(uuid7(), 0, source.beginning()))

    assert told == [b"begun", b"DEADLINE_EXCEEDED"]
    assert source.closed.is_set()


@pytest.mark.parametrize("servers", [1, 2])
async def test_all_who_read_a_stream_are_told_what_it_failed_with_before_its_first_event(
    database: Database, background: Background, admin: Any, servers: int
) -> None:
    failing = Source(silent=True, error=TooManyGenerations("failed", 7))
    generations = [Generations(database, background, _failed) for _ in range(servers)]
    _call(PLATFORM_TENANT_ID)
    generation_id = uuid7()

    def reads(server: Generations) -> asyncio.Task[list[bytes]]:
        return asyncio.create_task(_all(server.stream(generation_id, 0, failing.beginning())))

    reading = [reads(generations[0])]
    await failing.waits.wait()
    reading.append(reads(generations[-1]))  # on the same server it has joined before the stream takes its next step
    failing.go.set()
    outcomes = await asyncio.gather(*reading, return_exceptions=True)

    assert [(type(error), getattr(error, "subject", "")) for error in outcomes] == [(TooManyGenerations, "failed")] * 2
    assert failing.asked == servers, "a server that finds nothing has it begun"
    assert await admin.fetchval("SELECT count(*) FROM generations") == 0
    again = Source()
    again.go.set()
    assert await _all(generations[0].stream(generation_id, 0, again.beginning())) == [b"begun", b"over"]


async def test_another_request_is_refused_and_another_users_id_is_nobodys(
    database: Database, background: Background, admin: Any
) -> None:
    one, other = (Generations(database, background, _failed) for _ in range(2))
    ann, generation_id, source = uuid7(), uuid7(), Source()
    _call(PLATFORM_TENANT_ID, ann)
    await _first(one, generation_id, source)

    for server in (one, other):
        with pytest.raises(GenerationIdReused):
            await _all(server.stream(generation_id, 0, source.beginning(b"something else")))

    for tenant_id, user_id in ((PLATFORM_TENANT_ID, uuid7()), (await _tenant(admin), ann)):
        _call(tenant_id, user_id)
        theirs = Source()
        theirs.go.set()
        with pytest.raises(GenerationNotFound):
            await _all(one.stream(generation_id, 0, None))
        with pytest.raises(GenerationNotFound):
            await one.cancel(generation_id)
        assert await _all(one.stream(generation_id, 0, theirs.beginning(b"theirs"))) == [b"begun", b"over"]
    source.go.set()


async def test_what_should_be_there_and_is_not_is_not_begun(
    database: Database, background: Background, admin: Any
) -> None:
    generations = Generations(database, background, _failed)
    _call(PLATFORM_TENANT_ID)
    generation_id, source = uuid7(), Source()
    source.go.set()

    with pytest.raises(GenerationNotFound):
        await _all(generations.stream(generation_id, 1, source.beginning()))
    first = await _all(generations.stream(generation_id, 0, source.beginning()))
    await background.close(NOT_FOR_EVER)
    rest = await _all(generations.stream(generation_id, 1, source.beginning()))
    assert source.asked == 1
    await admin.execute("UPDATE generations SET expires_at = now()")
    with pytest.raises(GenerationNotFound):
        await _all(generations.stream(generation_id, 1, source.beginning()))
    anew = await _all(generations.stream(generation_id, 0, source.beginning()))

    assert (first, rest, anew) == ([b"begun", b"over"], [b"over"], [b"begun", b"over"])
    assert source.asked == 2


async def test_a_stream_that_is_ended_before_its_first_event_stays_ended(
    database: Database, background: Background
) -> None:
    generations = Generations(database, background, _failed)
    _call(PLATFORM_TENANT_ID)
    generation_id, source = uuid7(), Source(silent=True)
    reading = asyncio.create_task(_all(generations.stream(generation_id, 0, source.beginning())))
    await source.waits.wait()

    await generations.cancel(generation_id)
    generations.cancelled("/".join(map(str, (PLATFORM_TENANT_ID, current_call().caller.user_id, generation_id))))

    told = [GenerationCancelled().reason.encode()]
    assert await reading == told
    await background.close(NOT_FOR_EVER)
    assert await _all(generations.stream(generation_id, 0, source.beginning())) == told
    assert source.asked == 1


async def test_a_server_that_was_not_told_of_a_cancellation_finds_it_written_down(
    database: Database, background: Background, admin: Any
) -> None:
    generations = Generations(database, background, _failed)
    _call(PLATFORM_TENANT_ID)
    source = Source()
    reading = asyncio.create_task(_all(generations.stream(None, 0, source.beginning())))
    await source.waits.wait()

    await admin.execute("UPDATE generations SET cancelled = true")

    assert await reading == [b"begun", GenerationCancelled().reason.encode()]


class Held(bytes):
    """An event that counts those of its kind that there are."""

    count = 0

    def __init__(self, _: bytes) -> None:
        Held.count += 1

    def __del__(self) -> None:
        Held.count -= 1


class Flood:
    """So many batches of ten events of a kilobyte. `over`: all were given."""

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self.given = 0
        self.over = asyncio.Event()

    async def stream(self) -> AsyncGenerator[Sequence[bytes], None]:
        for number in range(self._batches):
            self.given += 1
            yield [Held(b"%04d" % (number * 10 + index) + bytes(1020)) for index in range(10)]
            await asyncio.sleep(0)
        self.over.set()


async def test_a_process_holds_the_last_of_a_long_stream_and_its_readers_miss_none_of_it(
    database: Database, background: Background
) -> None:
    generations = Generations(database, background, _failed, most_held=32_768)
    _call(PLATFORM_TENANT_ID)
    flood = Flood(40)
    read: list[int] = []
    async with asyncio.timeout(NOT_FOR_EVER):
        stream = generations.stream(None, 0, Beginning(b"", lambda _: flood.stream()))
        async with aclosing(stream) as batches:
            read += [int(message[:4]) for message in await anext(batches)]
            await flood.over.wait()  # meanwhile the reader takes nothing
            held = Held.count
            async for batch in batches:
                read += [int(message[:4]) for message in batch]

    assert held < 100
    assert read == list(range(400))


async def test_a_stream_that_cannot_be_written_down_fast_enough_is_held_back(
    database: Database, background: Background, admin: Any
) -> None:
    generations = Generations(database, background, _failed, most_held=32_768)
    _call(PLATFORM_TENANT_ID)
    flood = Flood(8)
    async with admin.transaction():
        await admin.execute("LOCK TABLE generation_events")
        async with asyncio.timeout(NOT_FOR_EVER):
            stream = generations.stream(None, 0, Beginning(b"", lambda _: flood.stream()))
            async with aclosing(stream) as batches:
                count = 0
                while count < 40:
                    count += len(await anext(batches))
                for _ in range(1_000):  # more turns of the loop than the source has batches
                    await asyncio.sleep(0)
        assert flood.given == 4
