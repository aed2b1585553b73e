"""Reading ahead of a consumer: nothing lost, nothing held for ever, nothing without bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from server.model.relay import relay

LONG = 60.0
NOT_FOR_EVER = 10.0
AT_ONCE = 0.01


class Source:
    """Gives what it is told to, and says how far it has been read and whether it was closed."""

    def __init__(self, *batches: Sequence[str], error: Exception | None = None, ends: bool = True) -> None:
        self._batches = batches
        self._error = error
        self._ends = ends
        self.read = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.exhausted = asyncio.Event()
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[Sequence[str], None]:
        try:
            for batch in self._batches:
                self.read += 1
                yield batch
                await self.goes_on.wait()
            self.exhausted.set()
            if self._error is not None:
                raise self._error
            if not self._ends:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


Relay = AbstractAsyncContextManager[AsyncIterator[Sequence[str]]]


def _relay(source: Source, *, idle: float = LONG, most: int = 1000) -> Relay:
    return relay(source(), idle=idle, most=most, size=len)


async def _items(relayed: Relay) -> list[str]:
    async with asyncio.timeout(NOT_FOR_EVER), relayed as batches:
        return [item async for batch in batches for item in batch]


async def test_everything_comes_through_in_order() -> None:
    assert await _items(_relay(Source(["a", "b"], [], ["c"]))) == ["a", "b", "c"]


async def test_a_source_without_anything_ends_without_anything() -> None:
    assert await _items(_relay(Source())) == []


async def test_what_came_while_nobody_asked_comes_together() -> None:
    source = Source(["a"], ["b"], ["c"], ends=False)
    source.goes_on.clear()
    async with asyncio.timeout(NOT_FOR_EVER), _relay(source) as batches:
        assert list(await anext(batches)) == ["a"]

        source.goes_on.set()
        await source.exhausted.wait()

        assert list(await anext(batches)) == ["b", "c"]


async def test_silence_is_told_of_again_and_again() -> None:
    async with asyncio.timeout(NOT_FOR_EVER), _relay(Source(ends=False), idle=AT_ONCE) as batches:
        assert [await anext(batches) for _ in range(3)] == [(), (), ()]


async def test_a_failure_comes_after_what_was_there_before_it() -> None:
    received: list[str] = []

    with pytest.raises(ValueError, match="broken"):
        await _into(received, _relay(Source(["a"], ["b"], error=ValueError("broken"))))

    assert received == ["a", "b"]


async def _into(received: list[str], relayed: Relay) -> None:
    async with asyncio.timeout(NOT_FOR_EVER), relayed as batches:
        async for batch in batches:
            received.extend(batch)


async def test_reading_stops_while_too_much_waits_and_goes_on_when_it_is_taken() -> None:
    """What the consumer has not done with is among it."""
    source = Source(*(["xxxxx"] for _ in range(50)))
    async with asyncio.timeout(NOT_FOR_EVER), _relay(source, most=20) as batches:
        received = list(await anext(batches))
        for _ in range(200):  # more turns of the loop than the source has batches
            await asyncio.sleep(0)
        ahead = source.read - len(received)
        async for batch in batches:
            received.extend(batch)

    assert ahead == 0
    assert received == ["xxxxx"] * 50


async def test_leaving_it_closes_the_source_first() -> None:
    source = Source(["a"], ends=False)

    async with _relay(source) as batches:
        await anext(batches)

    assert source.closed.is_set()


async def test_reading_begins_before_anybody_asks() -> None:
    source = Source(["a"], ends=False)

    async with asyncio.timeout(NOT_FOR_EVER), _relay(source):
        await source.exhausted.wait()

    assert source.closed.is_set()


async def test_leaving_it_while_it_is_held_back_closes_the_source_too() -> None:
    source = Source(*(["xxxxx"] for _ in range(50)))

    async with _relay(source, most=1) as batches:
        await anext(batches)

    assert source.closed.is_set()
    assert source.read < 50


async def test_cancelling_its_consumer_closes_the_source() -> None:
    source = Source(["a"], ends=False)
    consumer = asyncio.create_task(_items(_relay(source)))
    await source.exhausted.wait()

    consumer.cancel()

    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert source.closed.is_set()


async def test_a_failure_that_nobody_waited_for_is_not_complained_of() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    source = Source(["a"], error=ValueError("broken"))

    async with _relay(source) as batches:
        await anext(batches)
        await source.closed.wait()
    del batches
    await asyncio.sleep(0)

    assert complaints == []


async def test_the_end_is_told_while_the_consumer_is_busy_with_the_last_batch() -> None:
    source, over = Source(["a"], ["b"]), asyncio.Event()
    source.goes_on.clear()
    async with (
        asyncio.timeout(NOT_FOR_EVER),
        relay(source(), idle=LONG, most=1000, size=len, over=over.set) as batches,
    ):
        await anext(batches)
        told_before = over.is_set()
        source.goes_on.set()
        await anext(batches)
        await over.wait()

    assert not told_before


@pytest.mark.parametrize("source", [Source(["a"], ["b"], ["c"]), Source(["a"], error=ValueError())])
async def test_no_end_is_told_to_a_consumer_who_is_behind_nor_of_a_source_that_fails(source: Source) -> None:
    over = asyncio.Event()
    async with (
        asyncio.timeout(NOT_FOR_EVER),
        relay(source(), idle=LONG, most=1000, size=len, over=over.set) as batches,
    ):
        await source.closed.wait()
        await anext(batches)

    assert not over.is_set()
