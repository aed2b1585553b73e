"""Shedding: past a number of calls in flight, further ones are refused at once instead of making all of them slow."""

from __future__ import annotations

import asyncio
from types import TracebackType

from server.kernel.errors import ResourceExhausted


class ServerBusy(ResourceExhausted):
    """The server has as many calls in flight as it takes: try again shortly."""


class Shed:
    """Counts the calls in flight in this process. A context manager; entering raises ServerBusy at the limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self._left: asyncio.Event | None = None

    def __enter__(self) -> None:
        if self.in_flight >= self.limit:
            raise ServerBusy(subject="calls in flight", retry_after=0.5)
        self.in_flight += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.in_flight -= 1
        if self._left is not None and not self.in_flight:
            self._left.set()

    async def empty(self) -> None:
        """Returns when no call is in flight any more."""
        if self.in_flight:
            self._left = asyncio.Event()
            await self._left.wait()
