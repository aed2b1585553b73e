"""Work that outlives the call that started it, and that somebody owns nevertheless."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from time import monotonic
from typing import Any, TypeVar

import structlog

from server.kernel.errors import Unavailable

_log = structlog.get_logger("atrium.tasks")

T = TypeVar("T")

_RETRY_SECONDS = 0.1
_MOST_RETRY_SECONDS = 5.0


class Background:
    """Owns tasks: holds them until they are done, waits for them at the end, and tells of those that failed."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str, context: Context | None = None) -> asyncio.Task[Any]:
        """Runs the work; a failure reaches the event loop's exception handler, which logs it. `context`: in which it is
        run; None: a copy of the caller's.
        """
        task = asyncio.create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": f"background task {task.get_name()} failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    async def close(self, seconds: float) -> None:
        """Lets what runs, and what it starts in its turn, finish within that time, and cancels the rest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        rest = list(self._tasks)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)


@asynccontextmanager
async def going_on(
    act: Callable[[], Awaitable[None]], name: str, *, every: float, outages: tuple[type[Exception], ...] = ()
) -> AsyncIterator[None]:
    """Acts again and again, `every` so many seconds after it has come to its end, as long as the context is open.

    A failure ends nothing: it reaches the event loop's exception handler, which logs it, and the next try comes soon,
    and later each time that it fails too. `outages`: failures that are no fault of ours, and a short warning.
    """
    task = asyncio.create_task(_go_on(act, name, every, outages), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _go_on(
    act: Callable[[], Awaitable[None]], name: str, every: float, outages: tuple[type[Exception], ...]
) -> None:
    pauses = Pauses()
    while True:
        began = monotonic()
        try:
            await act()
        except outages as error:
            _log.warning(f"{name} interrupted", error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on being done
            context = {"message": f"{name} failed, and is tried again", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
        else:
            pauses = Pauses()
            await asyncio.sleep(every)
            continue
        await asyncio.sleep(pauses.after(monotonic() - began))


async def persistently(act: Callable[[], Awaitable[T]], seconds: float) -> T:
    """What `act` gives, tried again where it raises Unavailable, later each time, and for so many seconds at most."""
    pauses, until = Pauses(), monotonic() + seconds
    while True:
        try:
            return await act()
        except Unavailable:
            pause = pauses.after()
            if monotonic() + pause > until:
                raise
        await asyncio.sleep(pause)


class Pauses:
    """How long to wait before each further try: longer each time, and as short as at first after a try that lasted."""

    def __init__(self) -> None:
        self._next = _RETRY_SECONDS

    def after(self, seconds: float = 0.0) -> float:
        """The pause in seconds after a try that failed, which had lasted so many.

        What works for a moment and fails again has not recovered: only what lasted longer than the longest pause, and
        so is not tried more often by it, begins anew.
        """
        if seconds > _MOST_RETRY_SECONDS:
            self._next = _RETRY_SECONDS
        pause, self._next = self._next, min(2 * self._next, _MOST_RETRY_SECONDS)
        return pause * random.uniform(0.5, 1)  # noqa: S311 - apart from what others wait, who failed together


@asynccontextmanager
async def scoped(work: Coroutine[Any, Any, T], name: str) -> AsyncIterator[asyncio.Task[T]]:
    """The work as a task that does not outlive the context: what it comes to is told to who asks the task for it."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at: who is gone has no use for it


async def beating(source: AsyncGenerator[T, None], seconds: float) -> AsyncGenerator[T | None, None]:
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
