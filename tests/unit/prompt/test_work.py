"""Work on prompts, as callers of several tenants ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from server.offload.workers import Workers
from server.prompt.errors import PromptWorkTooLong
from server.prompt.rendering import Renderer
from server.prompt.service.work import PromptWork

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


class Slow:
    """Processes that have the time to read one source and not two, and for one of them have none."""

    def __init__(self, hard: str) -> None:
        self.asked: list[str] = []
        self.hard: str | None = hard

    async def run(self, _: UUID, work: Callable[..., Any], sources: Sequence[str]) -> Any:
        self.asked += sources
        if len(sources) > 1 or self.hard in sources:
            raise PromptWorkTooLong
        return work(sources)


async def test_what_was_read_before_time_was_over_is_not_read_again(calls: Callable[[UUID], None]) -> None:
    calls(uuid4())
    workers = Slow(hard="{% include 'c' %}")
    work = PromptWork(Renderer(), cast("Workers", cast("Any", workers)))
    sources = [f"{{% include '{name}' %}}" for name in "abcd"]

    with pytest.raises(PromptWorkTooLong):
        await work.references(sources)
    workers.hard = None
    found = await work.references(sources)

    assert list(found.values()) == [(name,) for name in "abcd"]
    assert workers.asked == [*sources[:3], *sources[2:]]
