"""Reads a stream ahead of whoever consumes it: bounded, and with a sign of life where nothing comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

from server.kernel.tasks import scoped

Item = TypeVar("Item")


@asynccontextmanager
async def relay(
    source: AsyncGenerator[Sequence[Item], None],
    *,
    idle: float,
    most: int,
    size: Callable[[Item], int],
    over: Callable[[], None] = lambda: None,
) -> AsyncIterator[AsyncIterator[Sequence[Item]]]:
    """What the source gives, all that has come by now at a time; an empty batch where `idle` seconds bring nothing.

    Reading begins at once, before the consumer asks. It stops while items of more than `most` together (by `size`) wait
    for the consumer, so a slow one holds the source back and not the memory. Leaving the context closes the source;
    what the source raises is raised by the iterator. `over`: called as soon as the source has come to its end, where
    the consumer had taken all but the last batch by then.
    """
    waiting: list[Item] = []
    held = 0  # of the waiting ones together: summed up anew for each batch, a long answer would cost its square
    changed, taken = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        nonlocal held
        behind = False
        async with aclosing(source):
            async for batch in source:
                behind = bool(waiting)
                waiting.extend(batch)
                held += sum(map(size, batch))
                changed.set()
                while held > most:
                    taken.clear()
                    await taken.wait()
        if not behind:
            over()

    async def batches() -> AsyncGenerator[Sequence[Item], None]:
        nonlocal held
        loop = asyncio.get_running_loop()
        while True:
            # Nothing is awaited between these looks and the clearing, so that no change between them goes unseen.
            if waiting:
                batch, waiting[:], given = tuple(waiting), (), held
                yield batch
                # Only now, when the consumer is done with it: until then it is as much in memory as what waits.
                held -= given
                taken.set()
            elif reader.done():
                reader.result()
                return
            else:
                changed.clear()
                timer = loop.call_later(idle, changed.set)
                try:
                    await changed.wait()
                finally:
                    timer.cancel()
                if not (waiting or reader.done()):
                    yield ()

    async with scoped(read(), "relay") as reader:
        reader.add_done_callback(lambda _: changed.set())
        async with aclosing(batches()) as given:
            yield given
