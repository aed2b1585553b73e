"""What calls have reserved of their limits, and what they used of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from server.kernel.ids import uuid7
from server.model.domain import CallLog
from server.model.limits import Claim, Window, months

_ZERO = Decimal(0)


class Part(NamedTuple):
    """What was reserved together, under one id. `spare`: for a call that was yet to come, whose request counts when it
    is over; of any other it counts as used from its beginning.
    """

    id: UUID
    claims: Sequence[Claim]
    spare: bool = False

    @property
    def held(self) -> Mapping[Window, Decimal]:
        """What it has of each limit."""
        return {claim.window: claim.amount if self.spare else claim.reserved for claim in self.claims}


@dataclass(frozen=True, slots=True)
class Hold:
    """What one call has reserved; empty where nothing limits it."""

    parts: Sequence[Part] = ()

    @classmethod
    def of(cls, claims: Sequence[Claim]) -> Hold:
        return cls([Part(uuid7(), claims)])

    def with_more(self, more: Hold) -> Hold:
        """This and what the call has reserved beside it."""
        return Hold([*self.parts, *more.parts]) if more.parts else self

    @property
    def claims(self) -> list[Claim]:
        """All that it was made of."""
        return [claim for part in self.parts for claim in part.claims]

    @property
    def spare(self) -> bool:
        """Whether it was there before the call, and with it its request: what is held beside it later claims none."""
        return bool(self.parts) and self.parts[0].spare


NO_HOLD = Hold()


def held_by(parts: Iterable[Part]) -> Mapping[UUID, Mapping[Window, Decimal]]:
    """What each part has of limits, where it has anything."""
    return {part.id: held for part in parts if any((held := part.held).values())}


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a call used of what it had reserved. `calls`: the records of it, one for each model that was asked."""

    hold: Hold
    tokens: int
    cost: Decimal
    calls: Sequence[CallLog] = ()

    @classmethod
    def of(cls, hold: Hold, calls: Sequence[CallLog]) -> Settlement:
        """What the records say that was used."""
        cost = sum((call.total_cost for call in calls if call.total_cost is not None), _ZERO)
        return cls(hold, sum(call.total_tokens for call in calls), cost, calls)

    @property
    def uses(self) -> Iterator[tuple[Window, Decimal | None, Decimal]]:
        """What it used of each limit, and the limit; None: of a month that it claimed nothing of, which counts it all
        the same where somebody's limit was set while it ran, or was there before.
        """
        used = {"tokens": Decimal(self.tokens), "cost": self.cost, "requests": Decimal(self.hold.spare)}
        # Each once, however often more of it was reserved.
        limits = {claim.window: claim.limit for claim in self.hold.claims}
        for window, limit in limits.items():
            yield window, limit, used.get(window.measure, _ZERO)
        claimed = {(window.subject, window.measure) for window in limits if window.kind == "month"}
        for call in self.calls:
            for window, amount in months(call):
                if amount and (window.subject, window.measure) not in claimed:
                    yield window, None, amount


class Wanted(NamedTuple):
    """What calls ask of one limit together. `limit`: None where they go by none, and yet count."""

    limit: Decimal | None
    reserved: Decimal
    used: Decimal


def claimed(holds: Iterable[Hold], limit: Callable[[Decimal, Decimal], Decimal]) -> dict[Window, Wanted]:
    """What calls that begin ask of each limit. `limit`: which one counts where they know two, one before a change."""
    wanted: dict[Window, Wanted] = {}
    for claim in (claim for hold in holds for claim in hold.claims):
        asked = Wanted(claim.limit, claim.reserved, claim.used)
        if (before := wanted.get(claim.window)) is not None:
            most = limit(before.limit or _ZERO, claim.limit)
            asked = Wanted(most, before.reserved + asked.reserved, before.used + asked.used)
        wanted[claim.window] = asked
    return wanted


def used_by(settlements: Iterable[Settlement], spares: Iterable[Part] = ()) -> dict[Window, Wanted]:
    """What calls that are over used of each limit, and what begins to be held of it for others."""
    wanted: dict[Window, Wanted] = {}
    for settlement in settlements:
        for window, limit, amount in settlement.uses:
            if (before := wanted.get(window)) is None:
                wanted[window] = Wanted(limit, _ZERO, amount)
            else:
                wanted[window] = Wanted(before.limit if limit is None else limit, _ZERO, before.used + amount)
    for spare in spares:
        for window, amount in spare.held.items():
            before = wanted[window]
            wanted[window] = before._replace(reserved=before.reserved + amount)
    return wanted
