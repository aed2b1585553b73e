"""A measured figure, and how two sides are measured so that their ratio holds on a machine whose speed drifts."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import psutil


@dataclass(frozen=True)
class Figure:
    """`goal`: what it should be at least, or at most where `at_most`; None: it is there to be compared."""

    metric: str
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False

    @property
    def holds(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    @property
    def goal_text(self) -> str:
        if self.goal is None:
            return ""
        return f"{'at most' if self.at_most else 'at least'} {self.goal:g}"

    def as_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "value": self.value,
            "unit": self.unit,
            "goal": self.goal_text or None,
            "holds": self.holds,
        }


@dataclass
class Side:
    """One of two things that are compared. `work`: does it once, and says how many units that was."""

    work: Callable[[], Awaitable[int]]
    pid: int
    rates: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    units: int = 0

    async def slice(self, seconds: float, callers: int, *, counted: bool) -> None:
        """So many callers, one call after the other, for so long."""
        process = psutil.Process(self.pid)
        before = _cpu(process)
        began = perf_counter()

        async def call() -> int:
            units = 0
            while perf_counter() - began < seconds:
                units += await self.work()
            return units

        units = sum(await asyncio.gather(*(call() for _ in range(callers))))
        if counted:
            self.rates.append(units / (perf_counter() - began))
            self.cpu_seconds += _cpu(process) - before
            self.units += units

    @property
    def rate(self) -> float:
        """Units a second: the median of the slices."""
        return statistics.median(self.rates)

    @property
    def cpu_microseconds(self) -> float:
        """What the server's process spent on a unit."""
        return self.cpu_seconds / self.units * 1e6


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def alternate(ours: Side, bare: Side, *, slices: int, seconds: float, callers: int) -> float:
    """Measures both in turn, after a slice each that does not count; the median of their ratios, pair by pair."""
    for number in range(slices + 1):
        for side in (ours, bare):
            await side.slice(seconds, callers, counted=number > 0)
    return statistics.median(a / b for a, b in zip(ours.rates, bare.rates, strict=True))
