"""What has to be soon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import isinf

ENDED_WITHIN = 5.0
"""Seconds in which a stream ends whose caller has lost the right to it."""

_TRIES = 3


async def within(seconds: float, measured: Callable[[], Awaitable[float]]) -> None:
    """Fails unless it takes less than so many seconds.

    `measured`: tries it, checks everything else about it, and says how long it took; infinity where it was over before
    it had begun, as on a busy machine: that is tried again.
    """
    tries = 0
    while isinf(took := await measured()):
        tries += 1
        assert tries < _TRIES, "it was never begun"
    assert took < seconds
