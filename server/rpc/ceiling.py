"""How long a call may run at most."""

from __future__ import annotations

import asyncio
from time import monotonic
from types import TracebackType

from server.kernel.errors import DeadlineExceeded, DomainError

_LOOK_SECONDS = 0.05


class CeilingReached(DeadlineExceeded):
    """The call ran longer than the {seconds} s that the server allows it."""


class Ceiling:
    """Ends calls that run longer than so many seconds, to within a twentieth of one.

    One timer looks after all of them: one for each call was a tenth of what a small call costs. All have the same time,
    so the order in which they came is the order in which it runs out.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._running: dict[_Limited, None] = {}
        self._looking = False

    def __call__(self, task: asyncio.Task[object]) -> _Limited:
        """A context manager around one call, which the task runs; raises CeilingReached out of it when its time has
        run out, and what it is ended with otherwise.
        """
        return _Limited(self, task)

    def end(self, why: DomainError) -> None:
        """Ends every call that runs now: `why` is raised out of it."""
        for call in self._running:
            call.end(why)

    def _enter(self, call: _Limited) -> None:
        self._running[call] = None
        if not self._looking:
            self._looking = True
            call.task.get_loop().call_later(_LOOK_SECONDS, self._look)

    def _leave(self, call: _Limited) -> None:
        del self._running[call]

    def _look(self) -> None:
        now = monotonic()
        for call in self._running:
            if call.deadline > now:
                break
            call.end(CeilingReached(seconds=self.seconds))
        self._looking = bool(self._running)
        if self._looking:
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)


class _Limited:
    """What asyncio.timeout does, on its ceiling's timer."""

    __slots__ = ("_cancelling", "_ceiling", "_why", "deadline", "task")

    deadline: float

    def __init__(self, ceiling: Ceiling, task: asyncio.Task[object]) -> None:
        self._ceiling = ceiling
        self.task = task
        self._why: DomainError | None = None

    def __enter__(self) -> None:
        self._cancelling = self.task.cancelling()
        self.deadline = monotonic() + self._ceiling.seconds
        self._ceiling._enter(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ceiling._leave(self)
        # A cancellation that came from elsewhere as well stays one.
        if (
            self._why is not None
            and self.task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise self._why from error

    def end(self, why: DomainError) -> None:
        if self._why is None:
            self._why = why
            self.task.cancel(why)
