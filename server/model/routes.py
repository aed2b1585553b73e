"""Routes: names behind which several models stand, and in what order these are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Literal, get_args
from uuid import UUID

from server.kernel.errors import AlreadyExists, DomainError, InvalidArgument, NotFound, Unavailable
from server.llm.port import (
    ModelContentFiltered,
    ModelContextExceeded,
    ModelCredentialRefused,
    ModelNotConfigured,
    ModelRateLimited,
)

Failure = Literal["outage", "rate_limit", "context_length", "content_filter"]
"""How a target fails, where another may do better."""

FAILURES: tuple[Failure, ...] = get_args(Failure)

PASSING: frozenset[Failure] = frozenset({"outage", "rate_limit"})
"""What may be over soon: the same target is worth another try, and every other target too."""

COOLDOWN_SECONDS = 30
COOLDOWN_AFTER = 3
BACKOFF_SECONDS = 0.2
MOST_BACKOFF_SECONDS = 5.0
MAX_ATTEMPTS = 2


class RouteNotFound(NotFound):
    """No route with this id."""

    resource = "route"


class RouteAliasTaken(AlreadyExists):
    """The alias {alias} is taken."""


class RouteTargetUnknown(InvalidArgument):
    """A target or fallback is no chat model that the tenant can call."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model behind a route: chosen by weight among those of its priority, the lowest number first."""

    model: str
    weight: int = 1
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """How often one target is asked at most, and how many seconds the second attempt waits; each further one twice as
    long.
    """

    max_attempts: int = MAX_ATTEMPTS
    backoff: float = BACKOFF_SECONDS

    def wait(self, attempt: int, retry_after: float | None, random: Random) -> float | None:
        """Seconds until the next attempt after this one, the first of which is 1; None: there is none.

        Half of it is chance, so that those whom one failure hit do not all come back at one moment.
        """
        if attempt >= self.max_attempts or (retry_after or 0.0) > MOST_BACKOFF_SECONDS:
            return None
        backoff: float = min(self.backoff * 2 ** (attempt - 1), MOST_BACKOFF_SECONDS)
        return max(backoff * (0.5 + random.random()), retry_after or 0.0)


@dataclass(frozen=True, slots=True)
class NewRoute:
    """What is said of a route. Times in seconds; `cooldown_after`: failures in a row that have a target left alone."""

    alias: str
    targets: Sequence[Target]
    fallbacks: Mapping[Failure, Sequence[str]] = field(default_factory=dict)
    retry: Retry = Retry()
    cooldown_seconds: int = COOLDOWN_SECONDS
    cooldown_after: int = COOLDOWN_AFTER
    cache_ttl_seconds: int | None = None

    @property
    def models(self) -> list[str]:
        """Every model it can come to, each once."""
        named = [target.model for target in self.targets]
        named += [model for failure in FAILURES for model in self.fallbacks.get(failure, ())]
        return list(dict.fromkeys(named))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(NewRoute):
    """A route as it is kept."""

    id: UUID
    revision: int
    created_at: datetime
    updated_at: datetime


def shuffled(targets: Sequence[Target], random: Random) -> list[str]:
    """The models in the order in which they are asked: by priority, and by chance and weight within it."""
    # Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006: the largest u ** (1 / weight) first.
    keyed = [(target.priority, -(random.random() ** (1 / target.weight)), target.model) for target in targets]
    return [model for _, _, model in sorted(keyed)]


def failure_of(error: DomainError) -> Failure | None:
    """How the target failed; None for what would fail anywhere."""
    match error:
        case ModelRateLimited():
            return "rate_limit"
        case ModelContextExceeded():
            return "context_length"
        case ModelContentFiltered():
            return "content_filter"
        case Unavailable() | ModelNotConfigured() | ModelCredentialRefused():
            return "outage"
    return None
