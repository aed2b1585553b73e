"""A resumable stream that is read while what is written of it is not known yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid4

from server.model.feed import Feed
from server.model.service.generations import Generations
from server.model.store.generations import Key

NOT_FOR_EVER = 10.0
NOTHING: Any = None


async def test_a_run_that_is_there_twice_since_nobody_heard_of_the_first_is_told_once() -> None:
    """Whoever reads it hears meanwhile that it is written."""
    events = [b"%03d" % number for number in range(1, 301)]
    generations = Generations(NOTHING, NOTHING, lambda *_: b"failed")
    feed = Feed(Key(uuid4(), uuid4(), uuid4()), uuid4(), b"", None, 10)
    feed.messages, feed.dropped, feed.written = events[100:], 100, 100

    async def runs(_: UUID, __: UUID, seq: int) -> list[Sequence[bytes]]:
        found = []
        for first, run in ((1, events[:100]), (101, events[100:200]), (101, events[100:])):
            found.append(run[max(0, seq - first + 1) :])
            seq = first + len(run) - 1
        return found

    cast("Any", generations)._runs = runs
    read: list[bytes] = []
    async with asyncio.timeout(NOT_FOR_EVER):
        async for new in generations._read(feed, 0):
            read += new
            if not new:  # of the second run nothing was known to be written
                feed.written, feed.ended = 300, True

    assert read == events
