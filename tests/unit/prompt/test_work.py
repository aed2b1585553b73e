"""Work on prompts, as callers of several tenants ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from server.kernel.principal import Call, Principal, begin_call
from server.prompt.rendering import Renderer
from server.prompt.service.work import PromptWork
from server.prompt.workers import Workers

NOT_FOR_EVER = 20.0


class Behind:
    """Processes that one tenant has so much work for that its turn never comes."""

    def __init__(self, busy: UUID) -> None:
        self.asked: list[UUID] = []
        self.begun = asyncio.Event()
        self._busy = busy

    async def run(self, tenant_id: UUID, work: Callable[..., Any], *arguments: Any) -> Any:
        self.asked.append(tenant_id)
        self.begun.set()
        if tenant_id == self._busy:
            await asyncio.Event().wait()
        return work(*arguments)


@pytest.fixture
def calls() -> Iterator[Callable[[UUID], None]]:
    """What is done from then on is done for a caller of that tenant."""

    def call_of(tenant_id: UUID) -> None:
        made = Call("/test", "request-1", "ab" * 16, "cd" * 8)
        made.principal = Principal(tenant_id, uuid4(), uuid4(), frozenset())
        begin_call(made)

    begun = begin_call(Call("/test", "request-0", "ab" * 16, "cd" * 8))
    yield call_of
    begun.var.reset(begun)  # a fixture that is no coroutine sets it for every test after it


async def test_nobody_waits_for_what_another_tenant_waits_for(calls: Callable[[UUID], None]) -> None:
    busy, other = uuid4(), uuid4()
    workers = Behind(busy)
    work = PromptWork(Renderer(), cast("Workers", cast("Any", workers)))
    source = "{% include 'part' %}"

    calls(busy)
    waiting = [asyncio.create_task(work.references([source])) for _ in range(2)]
    await workers.begun.wait()
    calls(other)
    async with asyncio.timeout(NOT_FOR_EVER):
        found = await work.references([source])

    assert found == {source: ("part",)}
    assert workers.asked == [busy, other]
    for task in (*waiting, *work._preparing.values()):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
