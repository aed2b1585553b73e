"""Places that are fewer than those who want one: who waits for them takes turns."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turns:
    """So many places. Whoever waits does so in their own line, and the lines are served in turn: one that is long holds
    up those in it, and nobody else.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def place(self, line: Hashable) -> AsyncIterator[None]:
        """A place, for as long as the context is open."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(line)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, line: Hashable) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(line, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came in the moment of leaving
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._lines:
            line, waiting = self._lines.popitem(last=False)
            while waiting and waiting[0].done():  # who has left
                waiting.popleft()
            if waiting:
                waiting.popleft().set_result(None)
                self._lines[line] = waiting  # behind the others
                return
        self._free += 1
