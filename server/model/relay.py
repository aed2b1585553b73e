"""Reads a stream ahead of whoever consumes it: bounded, and with a sign of life where nothing comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")


async def relay(
    source: AsyncGenerator[Sequence[Item], None], *, idle: float, most: int, size: Callable[[Item], int]
) -> AsyncGenerator[Sequence[Item], None]:
    """What the source gives, all that has come by now at a time; an empty batch where `idle` seconds bring nothing.

    Reading stops while items of more than `most` together (by `size`) wait for the consumer, so a slow one holds the
    source back and not the memory. Closing this generator closes the source; what the source raises is raised here.
    """
    waiting: list[Item] = []
    changed, taken = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async with aclosing(source):
            async for batch in source:
                waiting.extend(batch)
                changed.set()
                while sum(map(size, waiting)) > most:
                    taken.clear()
                    await taken.wait()

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: changed.set())
    try:
        while True:
            # Nothing is awaited between these looks and the clearing, so that no change between them goes unseen.
            if waiting:
                batch, waiting[:] = tuple(waiting), ()
                taken.set()
                yield batch
            elif reader.done():
                reader.result()
                return
            else:
                changed.clear()
                try:
                    async with asyncio.timeout(idle):
                        await changed.wait()
                except TimeoutError:
                    yield ()
    finally:
        reader.cancel()
        await asyncio.wait([reader])
        if not reader.cancelled():
            reader.exception()  # looked at: whoever left before it came has no use for it
