"""Signs of life of what takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from server.kernel.tasks import beating

AT_ONCE, NEVER = 0.001, 60.0


async def _numbers(go_on: asyncio.Event) -> AsyncGenerator[int, None]:
    yield 1
    await go_on.wait()
    yield 2


async def test_what_comes_in_time_is_passed_on() -> None:
    go_on = asyncio.Event()
    go_on.set()

    assert [item async for item in beating(_numbers(go_on), NEVER)] == [1, 2]


async def test_what_takes_its_time_beats_until_it_comes() -> None:
    go_on, found = asyncio.Event(), []

    async for item in beating(_numbers(go_on), AT_ONCE):
        found.append(item)
        if found.count(None) == 3:
            go_on.set()

    assert [item for item in found if item is not None] == [1, 2]
    assert found[:4] == [1, None, None, None]


async def test_whoever_leaves_while_it_is_waited_for_leaves_nothing_running() -> None:
    source = _numbers(asyncio.Event())

    async with aclosing(source), aclosing(beating(source, AT_ONCE)) as items:
        async for item in items:
            if item is None:
                break

    with pytest.raises(StopAsyncIteration):
        await anext(source)


async def test_what_goes_wrong_is_raised() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise ConnectionError

    with pytest.raises(ConnectionError):
        _ = [item async for item in beating(broken(), NEVER)]
