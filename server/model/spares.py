"""What a process holds of limits for calls that are yet to come: whoever calls again soon waits for no reservation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from time import monotonic
from uuid import UUID

from server.kernel.ids import uuid7
from server.model.holds import Hold, Part
from server.model.limits import Claim, Window

IDLE_SECONDS = 1.0
"""For how long one waits for a call; and how soon after another a call comes for which it was worth it."""

SHARE = Decimal("0.5")
"""Up to which part of a limit any of it is held for calls to come: far from what anybody is refused for."""

_FULL_SECONDS = 10.0
"""For how long nothing is kept of limits of which too much was in use."""

_MOST_IDLE = 32
_ROOM = 2
"""How many times what its call may use one has for the next: a conversation grows."""

_Key = tuple[tuple[Window, Decimal], ...]


@dataclass(slots=True)
class _Pool:
    """Of calls that count in the same limits: the idle ones, each until when it may be lent and since when it waits.

    `none_until`: too much of these limits is in use for any to be kept.
    """

    asked_at: float = -inf
    again: bool = False
    none_until: float = -inf
    idle: list[tuple[Part, float, float]] = field(default_factory=list)


class Spares:
    """The spare reservations of one process: `take`, call, ask which are `kept`, enter the call, and `put` them back.

    None while they are not `open`, and while the process does not hear where others need them (`heard`). The ledger has
    them in the database; here is which of them is whose. One is good for `life` seconds, and then it is given back:
    what a process believes to hold was there a short while ago.
    """

    def __init__(self, life: float, clock: Callable[[], float] = monotonic) -> None:
        self.open, self.heard = False, False
        self._life = life
        self._clock = clock
        self._pools: dict[UUID, dict[_Key, _Pool]] = defaultdict(dict)
        self._lent: dict[UUID, dict[UUID, float]] = defaultdict(dict)
        self._over: set[UUID] = set()
        self._none_until: dict[UUID, float] = {}

    def take(self, tenant_id: UUID, claims: Sequence[Claim]) -> Part | None:
        """One that holds all of this."""
        if not (self.open and self.heard):
            return None
        pool, moment = self._pools[tenant_id].setdefault(_key(claims), _Pool()), self._clock()
        pool.again, pool.asked_at = moment - pool.asked_at < IDLE_SECONDS, moment
        for place, (part, until, _) in enumerate(pool.idle):
            if until > moment and _covers(part.claims, claims):
                del pool.idle[place]
                self._lent[tenant_id][part.id] = until
                return part
        return None

    def over(self, tenant_id: UUID, ids: Collection[UUID]) -> bool:
        """Whether these come back in a moment, since the calls that they were lent to are over; not where one of them
        was recalled meanwhile.
        """
        lent = self._lent.get(tenant_id, {})
        if any(lent.get(part_id, -inf) == -inf for part_id in ids):
            return False
        self._over.update(ids)
        return True

    def kept(self, tenant_id: UUID, holds: Sequence[Hold]) -> tuple[list[Part], list[Part]]:
        """What is to be held of what calls had that are over: spare ones that go on, and new ones."""
        moment = self._clock()
        again: list[Part] = []
        begun: list[Part] = []
        if not self._keeps(tenant_id, moment):
            return again, begun
        pools, lent = self._pools[tenant_id], self._lent[tenant_id]
        room: dict[_Key, int] = {}
        for part in (hold.parts[0] for hold in holds if hold.parts):
            key = _key(part.claims)
            pool = pools.get(key)
            if pool is None or not pool.again or not pool.none_until <= moment < pool.asked_at + IDLE_SECONDS:
                continue
            left = room.get(key, _MOST_IDLE - len(pool.idle))
            if left <= 0 or (part.spare and lent.get(part.id, -inf) <= moment):
                continue
            room[key] = left - 1
            if part.spare:
                again.append(part)
            else:
                begun.append(Part(uuid7(), [_roomy(claim) for claim in part.claims], spare=True))
        return again, begun

    def put(self, tenant_id: UUID, again: Sequence[Part], begun: Sequence[Part], since: float) -> list[Part]:
        """Those go on being held, and these begin to, at that moment. Gives those that are not to be any more."""
        moment = self._clock()
        lent = self._lent[tenant_id]
        untils = [*((part, lent.pop(part.id, -inf)) for part in again), *((part, since + self._life) for part in begun)]
        self._over.difference_update(part.id for part in again)
        if not self._keeps(tenant_id, moment):
            return [part for part, _ in untils]
        for part, until in untils:
            if until > moment:
                pool = self._pools[tenant_id].setdefault(_key(part.claims), _Pool())
                pool.idle.append((part, until, moment))
        return [part for part, until in untils if until <= moment]

    def _keeps(self, tenant_id: UUID, moment: float) -> bool:
        return self.open and self.heard and self._none_until.get(tenant_id, -inf) <= moment

    def forget(self, tenant_id: UUID, part_id: UUID) -> None:
        """It is held no longer."""
        self._over.discard(part_id)
        if (lent := self._lent.get(tenant_id)) is not None:
            lent.pop(part_id, None)

    def hold_off(self, tenant_id: UUID, parts: Iterable[Part]) -> None:
        """Nothing is kept of what these are of for some time: too much of it, or of some of it, is in use."""
        moment = self._clock()
        for part in parts:
            pool = self._pools[tenant_id].setdefault(_key(part.claims), _Pool())
            pool.none_until = moment + _FULL_SECONDS

    def recall(self, tenant_id: UUID, *, pause: bool = True) -> tuple[list[Part], list[UUID]]:
        """The idle ones, which are to be given back; and those of calls under way, whose alone they are from now on.
        What calls had that are over is given back as they are entered.

        `pause`: and none of the tenant's is kept for a while.
        """
        if pause:
            self._none_until[tenant_id] = self._clock() + IDLE_SECONDS
        pools, lent = self._pools.get(tenant_id, {}), self._lent.get(tenant_id, {})
        idle = [part for pool in pools.values() for part, _, _ in pool.idle]
        for pool in pools.values():
            pool.idle = []
        # Known of until their calls are over: whoever asks next may have to be told again.
        lent.update(dict.fromkeys(lent, -inf))
        return idle, [part_id for part_id in lent if part_id not in self._over]

    def too_idle(self) -> Mapping[UUID, list[Part]]:
        """Those that nobody came for in time, by their tenants: they are to be given back."""
        moment = self._clock()
        self._none_until = {tenant_id: until for tenant_id, until in self._none_until.items() if until > moment}
        found = {tenant_id: list(_aged(pools, moment)) for tenant_id, pools in self._pools.items()}
        self._pools = defaultdict(dict, {tenant_id: pools for tenant_id, pools in self._pools.items() if pools})
        self._lent = defaultdict(dict, {tenant_id: lent for tenant_id, lent in self._lent.items() if lent})
        return {tenant_id: parts for tenant_id, parts in found.items() if parts}

    @property
    def tenants(self) -> list[UUID]:
        """Whose there may be."""
        return list(self._pools.keys() | self._lent.keys())


def _aged(pools: dict[_Key, _Pool], moment: float) -> Iterator[Part]:
    """Takes out what is idle for too long, and the pools that nobody asks."""
    for key, pool in list(pools.items()):
        kept = []
        for one in pool.idle:
            part, until, since = one
            if until <= moment or moment - since >= IDLE_SECONDS:
                yield part
            else:
                kept.append(one)
        pool.idle = kept
        if not kept and moment >= max(pool.asked_at + IDLE_SECONDS, pool.none_until):
            del pools[key]


def _covers(held: Sequence[Claim], claims: Sequence[Claim]) -> bool:
    return all(had.amount >= claim.amount for had, claim in zip(held, claims, strict=True))


def _key(claims: Sequence[Claim]) -> _Key:
    return tuple((claim.window, claim.limit) for claim in claims)


def _roomy(claim: Claim) -> Claim:
    return claim._replace(amount=claim.amount * _ROOM) if claim.window.measure in ("tokens", "cost") else claim
