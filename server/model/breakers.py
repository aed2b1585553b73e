"""Targets that failed, left alone for a while: a circuit breaker for each, as one process sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Literal
from uuid import UUID

from server.model.routes import Failure

HealthState = Literal["healthy", "cooling", "trial"]

UNHEARD_SECONDS = 10.0
"""What a call must have waited for the first sign of a target that streams, so that its being left counts as an outage:
whoever leaves sooner, as often as they like, has nobody left alone that is well.
"""

UNHEARD_WHOLE_SECONDS = 30.0
"""The same of one that gives its answer in one piece: it writes meanwhile."""

_TRIAL_SECONDS = 30.0
"""A trial that has not come to an end by then is nobody's, and the next call may make one."""

_MOST = 10_000


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    last: Failure = "outage"
    cooling_until: float = 0.0
    trial_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """How a target is doing. `cooling`: seconds for which it is still left alone. `last`: how it failed last."""

    state: HealthState
    failures: int
    cooling: float
    last: Failure = "outage"


class Breakers:
    """One circuit for each route's model: what a route says of cooldowns is for those who call it, and its tenant's own
    credential may fail where another's does not.

    Closed, every call goes through. After a number of failures in a row it opens, and the target is left alone for its
    cooldown; then one call tries it, and closes the circuit or opens it again.
    """

    def __init__(self, clock: Callable[[], float] = monotonic, most: int = _MOST) -> None:
        """`clock`: seconds. `most`: how many targets are remembered, those that failed, or were heard of, last."""
        self._clock = clock
        self._most = most
        self._circuits: dict[tuple[UUID | None, UUID], _Circuit] = {}
        self._heard: dict[tuple[UUID | None, UUID], float] = {}

    def moment(self) -> float:
        """Now, on the clock of the breakers."""
        return self._clock()

    def allows(self, route_id: UUID | None, model_id: UUID) -> bool:
        """Whether a call may ask the target now; a call that may ask one whose cooldown is over is its trial."""
        circuit = self._circuits.get((route_id, model_id))
        if circuit is None or not circuit.cooling_until:
            return True
        now = self._clock()
        if now < circuit.cooling_until or now < circuit.trial_until:
            return False
        circuit.trial_until = now + _TRIAL_SECONDS
        return True

    def heard(self, route_id: UUID | None, model_id: UUID) -> None:
        """It has said something to a call."""
        self._heard.pop((route_id, model_id), None)
        self._heard[route_id, model_id] = self._clock()
        if len(self._heard) > self._most:
            del self._heard[next(iter(self._heard))]

    def unheard(self, route_id: UUID | None, model_id: UUID, since: float) -> float:
        """For how many seconds since that moment it has said nothing to any call; zero where it has."""
        heard = self._heard.get((route_id, model_id))
        return 0.0 if heard is not None and heard >= since else self._clock() - since

    def succeeded(self, route_id: UUID | None, model_id: UUID) -> None:
        """It answers again: what it did before is forgotten."""
        self._circuits.pop((route_id, model_id), None)

    def left(self, route_id: UUID | None, model_id: UUID) -> None:
        """A call has ended that says nothing of how the target is doing: was it its trial, the next call is."""
        if (circuit := self._circuits.get((route_id, model_id))) is not None:
            circuit.trial_until = 0.0

    def failed(
        self,
        route_id: UUID | None,
        model_id: UUID,
        failure: Failure,
        *,
        after: int,
        cooldown: float,
        retry_after: float | None = None,
    ) -> None:
        """Counts an outage or a rate limit.

        `after`: failures in a row that open the circuit. A rate limit does at once, for as long as the provider asks
        for where that is longer.
        """
        if not cooldown:
            return
        circuit = self._circuits.pop((route_id, model_id), None) or _Circuit()
        self._circuits[route_id, model_id] = circuit
        if len(self._circuits) > self._most:
            del self._circuits[next(iter(self._circuits))]
        circuit.failures += 1
        circuit.last = failure
        limited = failure == "rate_limit"
        if limited or circuit.trial_until or circuit.failures >= after:
            seconds = max(cooldown, retry_after or 0.0) if limited else cooldown
            circuit.cooling_until = self._clock() + seconds
            circuit.trial_until = 0.0

    def health(self, route_id: UUID | None, model_id: UUID) -> Health:
        """How the target is doing."""
        circuit = self._circuits.get((route_id, model_id))
        if circuit is None:
            return Health("healthy", 0, 0.0)
        left = circuit.cooling_until - self._clock()
        if left > 0:
            return Health("cooling", circuit.failures, left, circuit.last)
        return Health("trial" if circuit.cooling_until else "healthy", circuit.failures, 0.0, circuit.last)
