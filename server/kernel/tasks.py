"""Work that outlives the call that started it, and that somebody owns nevertheless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

Item = TypeVar("Item")


class Background:
    """Owns tasks: holds them until they are done, waits for them at the end, and tells of those that failed."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Runs the work; a failure reaches the event loop's exception handler, which logs it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": f"background task {task.get_name()} failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    async def close(self, seconds: float) -> None:
        """Lets what runs finish within that time, and cancels the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        rest = list(self._tasks)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)


async def beating(source: AsyncGenerator[Item, None], seconds: float) -> AsyncGenerator[Item | None, None]:
    """What the source gives; None as often as the next takes that long. Closing the source is its owner's business."""
    while True:
        following = asyncio.ensure_future(anext(source))
        try:
            while not (await asyncio.wait([following], timeout=seconds))[0]:
                yield None
        finally:
            if not following.done():
                following.cancel()
                await asyncio.wait([following])
        try:
            yield following.result()
        except StopAsyncIteration:
            return
