"""Limits on calls to models: what each is, what a call needs of it, and in which window it counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple
from uuid import UUID

from server.kernel.errors import NotFound, ResourceExhausted

WindowKind = Literal["minute", "month", "none"]
Kind = Literal["requests", "tokens", "cost", "parallel"]

WARNINGS = (Decimal("0.8"), Decimal(1))
"""At which parts of a month's limit a warning is written."""

_ZERO = Decimal(0)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_PARALLEL_RETRY_SECONDS = 1.0


class LimitReached(ResourceExhausted):
    """The limit of {limit} {kind} ({window}) of {subject} is reached: {used} are used and {reserved} held by calls
    under way, and this call may need {needed}.
    """


class LimitsNotFound(NotFound):
    """No limits with this id."""

    resource = "model limits"


class LimitSubjectUnknown(NotFound):
    """No user or API key with this id."""

    resource = "user or API key"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that somebody may use; None: no limit. A month is a calendar month in UTC, a minute one of its clock."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    monthly_tokens: int | None = None
    monthly_cost_usd: Decimal | None = None
    parallel_calls: int | None = None


_WINDOWS: dict[str, tuple[WindowKind, Kind]] = {
    "requests_per_minute": ("minute", "requests"),
    "tokens_per_minute": ("minute", "tokens"),
    "monthly_tokens": ("month", "tokens"),
    "monthly_cost_usd": ("month", "cost"),
    "parallel_calls": ("none", "parallel"),
}
assert set(_WINDOWS) == {field.name for field in fields(Limits)}


class Window(NamedTuple):
    """The row of the ledger that a limit counts in. `subject`: "tenant", "user/<id>" or "api_key/<id>"."""

    kind: WindowKind
    start: datetime
    subject: str
    measure: Kind


@dataclass(frozen=True, slots=True)
class SubjectLimits:
    """The limits of one user or one API key."""

    id: UUID
    user_id: UUID | None
    api_key_id: UUID | None
    limits: Limits
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def subject(self) -> str:
        return subject_of(self.user_id, self.api_key_id)


def subject_of(user_id: UUID | None, api_key_id: UUID | None) -> str:
    """Whose limit it is, as the ledger calls them."""
    if api_key_id is not None:
        return f"api_key/{api_key_id}"
    return "tenant" if user_id is None else f"user/{user_id}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What one call may use of one limit at most."""

    window: Window
    limit: Decimal
    amount: Decimal

    @property
    def reserved(self) -> Decimal:
        """What is held while the call is under way."""
        return _ZERO if self.window.measure == "requests" else self.amount

    @property
    def used(self) -> Decimal:
        """What counts from its beginning: the call itself."""
        return self.amount - self.reserved

    def refusal(self, reserved: Decimal, used: Decimal, moment: datetime) -> LimitReached | None:
        """Why the call cannot be made where so much is reserved and used; None: it can."""
        if reserved + used + self.amount <= self.limit:
            return None
        return LimitReached(
            self.window.subject,
            None if self.amount > self.limit else _retry_after(self.window.kind, moment),
            kind=self.window.measure,
            window={"minute": "a minute", "month": "a month", "none": "at once"}[self.window.kind],
            limit=_text(self.limit),
            used=_text(used),
            reserved=_text(reserved),
            needed=_text(self.amount),
        )


def windows(subject: str, limits: Limits, moment: datetime) -> Iterator[tuple[Window, Decimal]]:
    """Each limit that there is, and the window of the moment."""
    for name, (kind, measure) in _WINDOWS.items():
        limit = getattr(limits, name)
        if limit is not None:
            yield Window(kind, _start(kind, moment), subject, measure), Decimal(limit)


def claims(subjects: Iterable[tuple[str, Limits]], tokens: int, cost: Decimal, moment: datetime) -> list[Claim]:
    """What a call may use at most, of the limits of all whom it is for."""
    needs: dict[Kind, Decimal] = {
        "requests": Decimal(1),
        "tokens": Decimal(tokens),
        "cost": cost,
        "parallel": Decimal(1),
    }
    return [
        Claim(window, limit, needs[window.measure])
        for subject, limits in subjects
        for window, limit in windows(subject, limits, moment)
    ]


def crossed(limit: Decimal, before: Decimal, after: Decimal) -> list[Decimal]:
    """The warnings that this use has brought on."""
    return [part for part in WARNINGS if before < part * limit <= after]


def _start(kind: WindowKind, moment: datetime) -> datetime:
    match kind:
        case "minute":
            return moment.replace(second=0, microsecond=0)
        case "month":
            return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return _NEVER


def _retry_after(kind: WindowKind, moment: datetime) -> float:
    """Seconds until the window is over, or until another call may be."""
    match kind:
        case "minute":
            return 60 - moment.second - moment.microsecond / 1e6
        case "month":
            following = (_start("month", moment) + timedelta(days=32)).replace(day=1)
            return (following - moment).total_seconds()
    return _PARALLEL_RETRY_SECONDS


def _text(amount: Decimal) -> str:
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
