"""Limits on calls to models: what each is, what a call needs of it, and in which window it counts."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from math import inf
from typing import Literal, NamedTuple
from uuid import UUID

from server.kernel.decimals import decimal_text
from server.kernel.errors import EtagMismatch, NotFound, ResourceExhausted
from server.model.domain import CallLog

WindowKind = Literal["minute", "month", "none"]
Kind = Literal["requests", "tokens", "cost", "parallel"]

WARNINGS = (Decimal("0.8"), Decimal(1))
"""At which parts of a month's limit a warning is written."""

_ZERO = Decimal(0)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_GIVEN_BACK_SECONDS = 1.0
"""When to come back where only calls under way stand in the way: whatever they hold and do not use is given back."""


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


TENANT_SETTINGS = {
    ("minute", "requests"): "requests_per_minute",
    ("minute", "tokens"): "tokens_per_minute",
    ("month", "tokens"): "monthly_token_quota",
    ("month", "cost"): "monthly_cost_quota_usd",
    ("none", "parallel"): "max_parallel_calls",
}
"""What a tenant's own limits are called among its settings, by window and what is counted."""

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
    def etag(self) -> str:
        """Of these limits and no later ones of the same user or key, which begin at the first revision again."""
        return f'"{self.id.hex[-16:]}-{self.revision}"'

    def check_etag(self, etag: str) -> None:
        """Raises EtagMismatch where an etag is given and is not theirs."""
        if etag and etag != self.etag:
            raise EtagMismatch(resource="model limits")

    @property
    def subject(self) -> str:
        return subject_of(self.user_id, self.api_key_id)


def subject_of(user_id: UUID | None, api_key_id: UUID | None) -> str:
    """Whose limit it is, as the ledger calls them."""
    if api_key_id is not None:
        return f"api_key/{api_key_id}"
    return "tenant" if user_id is None else f"user/{user_id}"


def subjects_of(user_id: UUID | None, api_key_id: UUID | None) -> list[str]:
    """Everyone whose limits a call of theirs counts in."""
    return list(dict.fromkeys(("tenant", subject_of(user_id, None), subject_of(None, api_key_id))))


class Claim(NamedTuple):
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

    def outgrows(self, used: Decimal) -> bool:
        """Whether what is used leaves no room for it, whatever calls under way give back."""
        return used + self.amount > self.limit

    def refusal(self, reserved: Decimal, used: Decimal, moment: datetime) -> LimitReached | None:
        """Why the call cannot be made where so much is reserved and used; None: it can."""
        if reserved + used + self.amount <= self.limit:
            return None
        return LimitReached(
            self.window.subject,
            # A request that is held is one of a call under way, which does not give it back.
            self._retry_after(used + reserved if self.window.measure == "requests" else used, moment),
            kind=self.window.measure,
            window={"minute": "a minute", "month": "a month", "none": "at once"}[self.window.kind],
            limit=decimal_text(self.limit),
            used=decimal_text(used),
            reserved=decimal_text(reserved),
            needed=decimal_text(self.amount),
        )

    def _retry_after(self, used: Decimal, moment: datetime) -> float | None:
        if self.amount > self.limit:
            return None
        return _until_over(self.window.kind, moment) if self.outgrows(used) else _GIVEN_BACK_SECONDS


def months(call: CallLog) -> Iterator[tuple[Window, Decimal]]:
    """Each month's limit that the call counts in where there is one, and what it used of it."""
    start = _start("month", call.created_at.astimezone(UTC))
    used: dict[Kind, Decimal] = {"tokens": Decimal(call.total_tokens), "cost": call.total_cost or _ZERO}
    for subject in subjects_of(call.user_id, call.api_key_id):
        for measure, amount in used.items():
            yield Window("month", start, subject, measure), amount


def windows(subject: str, limits: Limits, moment: datetime) -> Sequence[tuple[Window, Decimal]]:
    """Each limit that there is, and the window of the moment."""
    return _windows(subject, limits, _start("minute", moment))


@lru_cache(maxsize=1024)  # every call of a minute has the same ones
def _windows(subject: str, limits: Limits, minute: datetime) -> Sequence[tuple[Window, Decimal]]:
    found = ((kind, measure, getattr(limits, name)) for name, (kind, measure) in _WINDOWS.items())
    return tuple(
        (Window(kind, _start(kind, minute), subject, measure), Decimal(limit))
        for kind, measure, limit in found
        if limit is not None
    )


def resets_at(window: Window) -> datetime | None:
    """When the limit begins anew; None: as calls end."""
    match window.kind:
        case "minute":
            return window.start + timedelta(minutes=1)
        case "month":
            return _following(window.start)
    return None


def claims(subjects: Iterable[tuple[str, Limits]], tokens: int, cost: Decimal, moment: datetime) -> list[Claim]:
    """What a call may use at most, of the limits of all whom it is for; nothing of those of what it cannot use."""
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
        if needs[window.measure]
    ]


def beyond(held: Iterable[Claim], tokens: int, cost: Decimal) -> list[Claim]:
    """What a call has yet to claim of the limits that it holds a part of, where it may use so much in the end."""
    needs: dict[Kind, Decimal] = {"tokens": Decimal(tokens), "cost": cost}
    amounts: dict[Window, Decimal] = {}
    limits: dict[Window, Decimal] = {}
    for claim in held:
        amounts[claim.window] = amounts.get(claim.window, _ZERO) + claim.amount
        limits[claim.window] = claim.limit
    return [
        Claim(window, limits[window], needs[window.measure] - amount)
        for window, amount in amounts.items()
        if needs.get(window.measure, _ZERO) > amount
    ]


def unpriced(claims: Iterable[Claim]) -> list[Claim]:
    """What a call that no model is asked for needs of them: it is a call, and uses no tokens and costs nothing."""
    return [claim for claim in claims if claim.window.measure in ("requests", "parallel")]


def mark(limit: Decimal, part: Decimal) -> str:
    """How it is noted that this part of the limit was warned of."""
    return f"{decimal_text(limit)}:{part}"


def due(limit: Decimal, used: Decimal, warned: Container[str]) -> list[Decimal]:
    """The parts of a month's limit that are passed, and that nobody was warned of."""
    return [part for part in WARNINGS if used >= part * limit and mark(limit, part) not in warned]


def longest(refusals: Sequence[LimitReached]) -> LimitReached:
    """The one of a call's refusals that stands longest: whoever heeds it finds none of the others."""
    return max(refusals, key=lambda refusal: inf if refusal.retry_after is None else refusal.retry_after)


def _start(kind: WindowKind, moment: datetime) -> datetime:
    match kind:
        case "minute":
            return moment.replace(second=0, microsecond=0)
        case "month":
            return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return _NEVER


def _until_over(kind: WindowKind, moment: datetime) -> float:
    """Seconds until the window is over."""
    match kind:
        case "minute":
            return 60 - moment.second - moment.microsecond / 1e6
        case "month":
            return (_following(_start("month", moment)) - moment).total_seconds()
    return _GIVEN_BACK_SECONDS


def _following(month: datetime) -> datetime:
    return (month + timedelta(days=32)).replace(day=1)
