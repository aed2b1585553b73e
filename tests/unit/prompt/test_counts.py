"""What was counted is written down, whatever comes in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from server.db.database import Database
from server.kernel.errors import DatabaseUnavailable
from server.prompt.service.counts import Counts

NOT_FOR_EVER = 20.0


class Slow:
    """A database whose first transaction lasts until it is cut short, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.written: Counter[UUID] = Counter()
        self.begun = asyncio.Event()
        self._failure = failure

    @asynccontextmanager
    async def tenant_tx(self, _: UUID) -> AsyncIterator[Slow]:
        yield self

    async def execute(self, _: object, ids: list[UUID], counts: list[int]) -> None:
        if not self.begun.is_set():
            self.begun.set()
            if self._failure is not None:
                raise self._failure
            await asyncio.Event().wait()
        self.written.update(dict(zip(ids, counts, strict=True)))


@pytest.mark.parametrize("failure", [None, DatabaseUnavailable()], ids=["a stop", "an outage"])
async def test_counts_that_are_being_written_are_not_lost_to(failure: Exception | None) -> None:
    slow, tenant, template = Slow(failure), uuid4(), uuid4()
    counts = Counts(cast("Database", cast("Any", slow)))
    for _ in range(3):
        counts.add(tenant, template)

    async with asyncio.timeout(NOT_FOR_EVER), counts.writing():
        await slow.begun.wait()
        counts.add(tenant, template)

    assert slow.written == {template: 4}


class Held:
    """A database in which one tenant's templates are held for long."""

    def __init__(self, tenant_id: UUID) -> None:
        self.written: Counter[UUID] = Counter()
        self._held = tenant_id

    @asynccontextmanager
    async def tenant_tx(self, tenant_id: UUID) -> AsyncIterator[Held]:
        if tenant_id == self._held:
            raise DatabaseUnavailable
        yield self

    async def execute(self, _: object, ids: list[UUID], counts: list[int]) -> None:
        self.written.update(dict(zip(ids, counts, strict=True)))


@pytest.mark.parametrize("held_first", [True, False])
async def test_a_tenant_whose_counts_cannot_be_written_keeps_no_others_from_being(held_first: bool) -> None:
    held, other, template = uuid4(), uuid4(), uuid4()
    database = Held(held)
    counts = Counts(cast("Database", cast("Any", database)))
    for tenant in (held, other) if held_first else (other, held):
        counts.add(tenant, template)

    for _ in range(2):
        await counts._write()

    assert database.written == {template: 1}


class Busy:
    """A database that renders, so to speak, while it writes what was rendered."""

    def __init__(self) -> None:
        self.counts = Counts(cast("Database", cast("Any", self)))
        self.transactions = 0

    @asynccontextmanager
    async def tenant_tx(self, tenant_id: UUID) -> AsyncIterator[Busy]:
        self.transactions += 1
        if self.transactions < 100:
            self.counts.add(tenant_id, uuid4())
        yield self

    async def execute(self, *_: object, **__: object) -> None:
        pass


async def test_what_is_rendered_while_it_is_written_is_for_the_next_moment() -> None:
    busy = Busy()
    for _ in range(3):
        busy.counts.add(uuid4(), uuid4())

    await busy.counts._write()

    assert busy.transactions == 3
