"""Commits that are made for many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from server.kernel.tasks import Background

In = TypeVar("In")
Out = TypeVar("Out")


class Together(Generic[In, Out]):
    """Does for all who wait at one moment what would cost each of them a commit: `out = await together(item)`.

    While one batch is under way the next one gathers, so nobody waits for company.
    """

    def __init__(
        self,
        act: Callable[[Sequence[In]], Awaitable[Sequence[Out]]],
        most: int = 100,
        unclaimed: Callable[[Out], None] | None = None,
        background: Background | None = None,
    ) -> None:
        """`act`: takes up to `most` items, gives as many results in their order; what it raises, all of them get.

        It acts for many, and so in the context of none. `unclaimed`: is given the result of one who has left meanwhile.
        `background`: waits for what is under way when its owner ends.
        """
        self._act = act
        self._background = background or Background()
        self._most = most
        self._unclaimed = unclaimed
        self._waiting: list[tuple[In, asyncio.Future[Out]]] = []
        self._acting: asyncio.Task[None] | None = None

    def begin(self, item: In) -> asyncio.Future[Out]:
        """The item's result, which comes whether or not anybody waits for it."""
        done: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._acting is None:
            self._acting = self._background.start(self._go_on(), "together", Context())
        return done

    async def __call__(self, item: In, meanwhile: Callable[[], None] | None = None) -> Out:
        """The item's result. `meanwhile`: what is of use afterwards and costs no time now; it may come too late."""
        done = self.begin(item)
        if meanwhile is not None:
            # Behind the first step of what was just begun, which has sent something by then.
            done.get_loop().call_soon(meanwhile)
        try:
            return await done
        except asyncio.CancelledError:
            # It came in the moment in which it was given up: nobody else knows of it.
            if done.done() and not done.cancelled() and done.exception() is None:
                self._left(done.result())
            raise

    async def _go_on(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._do(batch)
        finally:
            self._acting = None

    async def _do(self, batch: list[tuple[In, asyncio.Future[Out]]]) -> None:
        try:
            results = await self._act([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is theirs
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
            return
        for (_, done), result in zip(batch, results, strict=True):
            if not done.done():
                done.set_result(result)
            else:
                self._left(result)

    def _left(self, result: Out) -> None:
        if self._unclaimed is not None:
            self._unclaimed(result)
