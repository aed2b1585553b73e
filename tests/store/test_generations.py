"""Streams that go on without their reader: how many, how they begin, and how they are written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.db.database import Database
from server.kernel.errors import DomainError
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.principal import Call, Principal, begin_call
from server.kernel.tasks import Background
from server.model.domain import GenerationLost, TooManyGenerations
from server.model.service.generations import Generations
from server.model.store import generations as store
from tests.databases import Scratch

NOT_FOR_EVER = 10.0


class Source:
    """A stream that says `begun`, waits until it may go on, and says `over`. `closed`: when it has ended."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.closed = asyncio.Event()

    async def stream(self) -> AsyncGenerator[Sequence[bytes], None]:
        try:
            yield (b"begun",)
            await self.go.wait()
            yield (b"over",)
        finally:
            self.closed.set()


def _failed(seq: int, error: DomainError) -> bytes:
    return error.reason.encode()


def _call(tenant_id: UUID) -> None:
    call = Call("/test", "request", "ab" * 16, "cd" * 8)
    call.principal = Principal(tenant_id, uuid7(), uuid7(), frozenset())
    begin_call(call)


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    made = Background()
    yield made
    await made.close(NOT_FOR_EVER)


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
            await generations.start(uuid7(), source.stream())
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


async def test_a_stream_that_cannot_be_written_down_is_not_gone_on_with(
    database: Database, background: Background
) -> None:
    generations = Generations(database, background, _failed, most=1)
    _call(PLATFORM_TENANT_ID)
    generation_id, taken, other = uuid7(), Source(), Source()
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await store.create(tx, generation_id, uuid7(), 60)

    with pytest.raises(asyncpg.UniqueViolationError):
        await generations.start(generation_id, taken.stream())

    assert taken.closed.is_set()
    await generations.start(uuid7(), other.stream())
    other.go.set()


async def test_a_stream_whose_writing_fails_ends(database: Database, scratch: Scratch, admin: Any) -> None:
    background = Background()
    generations = Generations(database, background, _failed)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    _call(PLATFORM_TENANT_ID)
    source = Source()
    await admin.execute("ALTER TABLE generation_events ADD CONSTRAINT none CHECK (false)")

    await generations.start(uuid7(), source.stream())

    await asyncio.wait_for(source.closed.wait(), NOT_FOR_EVER)
    await background.close(NOT_FOR_EVER)


async def test_events_that_are_written_again_with_more_behind_them_are_read_once(
    database: Database, background: Background
) -> None:
    generations = Generations(database, background, _failed)
    _call(PLATFORM_TENANT_ID)
    generation_id = uuid7()
    source = Source()
    await generations.start(generation_id, source.stream())
    source.go.set()
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(generations.follow(generation_id, 0)) as read:
        messages = [message async for batch in read for message in batch]
    await background.close(NOT_FOR_EVER)

    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        for _ in range(2):
            await store.add(tx, generation_id, 1, [b"begun", b"over"])
            await store.add(tx, generation_id, 1, [b"begun", b"over", b"more"])

    async with asyncio.timeout(NOT_FOR_EVER), aclosing(generations.follow(generation_id, 0)) as stored:
        again = [message async for batch in stored for message in batch]
    assert messages == [b"begun", b"over"]
    assert again == [b"begun", b"over", b"more"]
    assert GenerationLost().reason.encode() not in again
