"""Reserving before a call and settling after it, exact across every process that calls for a tenant."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from time import monotonic
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from server.db.database import Database, Tx
from server.db.together import Together
from server.kernel.audit import Change
from server.kernel.clock import now
from server.kernel.errors import DatabaseUnavailable
from server.kernel.ids import uuid7
from server.kernel.tasks import Background
from server.model.domain import CallLog
from server.model.limits import WARNINGS, Claim, LimitReached, Window, crossed
from server.model.ports import AuditLog
from server.model.store import ledger as store
from server.model.store.ledger import Balance, Wanted

_log = structlog.get_logger("atrium.ledger")

_KEEP_SECONDS = store.LEASE_SECONDS / 3
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Hold:
    """What one call has reserved; empty where nothing limits it."""

    claims: Sequence[tuple[UUID, Claim]] = ()

    @property
    def reservations(self) -> list[tuple[UUID, Claim]]:
        """Those that are rows: a request counts as used from its beginning."""
        return [(reservation, claim) for reservation, claim in self.claims if claim.reserved]

    @property
    def ids(self) -> list[UUID]:
        return [reservation for reservation, _ in self.reservations]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a call used of what it had reserved."""

    hold: Hold
    tokens: int
    cost: Decimal

    def used(self, window: Window) -> Decimal:
        return {"tokens": Decimal(self.tokens), "cost": self.cost}.get(window.measure, _ZERO)


NO_HOLD = Hold()


class Ledger:
    """Admits calls to what their limits leave. Those of one tenant that ask at one moment share a transaction.

    A reservation expires by itself unless the process that made it keeps it: then what a dead one held is free again.
    """

    def __init__(
        self, database: Database, audit: AuditLog, background: Background, clock: Callable[[], datetime] = now
    ) -> None:
        self._database = database
        self._audit = audit
        self._background = background
        self._clock = clock
        self._desks: WeakValueDictionary[UUID, Together[Sequence[Claim], Hold | LimitReached]] = WeakValueDictionary()
        self._held: dict[UUID, dict[UUID, float]] = defaultdict(dict)

    async def reserve(self, tenant_id: UUID, claims: Sequence[Claim]) -> Hold:
        """Holds all of it or nothing. Raises LimitReached."""
        if not claims:
            return NO_HOLD
        desk = self._desks.get(tenant_id)
        if desk is None:
            desk = Together(partial(self._admit, tenant_id), unclaimed=partial(self._give_back, tenant_id))
            self._desks[tenant_id] = desk
        outcome = await desk(claims)
        if isinstance(outcome, LimitReached):
            raise outcome
        return outcome

    async def enter(
        self,
        tenant_id: UUID,
        settlements: Sequence[Settlement],
        records: Sequence[CallLog],
        beside: Callable[[Tx], Awaitable[None]] | None = None,
    ) -> None:
        """Writes calls down, gives back what they held and counts what they used, in one transaction.

        `beside`: what else is a part of it.
        """
        used: dict[Window, Wanted] = {}
        for settlement in settlements:
            for _, claim in settlement.hold.claims:
                before = used[claim.window].used if claim.window in used else _ZERO
                used[claim.window] = Wanted(claim.limit, _ZERO, before + settlement.used(claim.window))
        ids = [reservation for settlement in settlements for reservation in settlement.hold.ids]
        enter = partial(store.enter, tenant_id=tenant_id, used=used, ids=ids, records=records)
        if beside is not None or not await enter(self._database.at_once, warnings=WARNINGS):
            async with self._database.tenant_tx(tenant_id) as tx:
                if beside is not None:
                    await beside(tx)
                balances = await store.lock(tx, used)
                await enter(tx.fetchval, warnings=())
                for window, balance in balances.items():
                    await self._warn(tx, window, used[window].limit, balance.used, balance.used + used[window].used)
        held = self._held.get(tenant_id, {})
        for reservation in ids:
            held.pop(reservation, None)
        if not held:
            self._held.pop(tenant_id, None)

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Keeps the reservations of calls under way, as long as the context is open."""
        task = asyncio.create_task(self._keep(), name="ledger")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def sweep(self, tenant_id: UUID) -> None:
        """Gives up what dead processes held of a tenant's limits, and forgets minutes that are long over."""
        async with self._database.tenant_tx(tenant_id) as tx:
            windows = await store.expired(tx)
            if windows:
                await store.lock(tx, windows)
                await self._expire(tx, windows)
            await store.prune(tx)

    async def _admit(self, tenant_id: UUID, asked: Sequence[Sequence[Claim]]) -> Sequence[Hold | LimitReached]:
        holds = [_held(claims) for claims in asked]
        outcomes: Sequence[Hold | LimitReached] = holds
        if not await _reserve(self._database.at_once, tenant_id, holds, min):
            outcomes = await self._admit_some(tenant_id, asked)
        held, moment = self._held[tenant_id], monotonic()
        for outcome in outcomes:
            if isinstance(outcome, Hold):
                held.update(dict.fromkeys(outcome.ids, moment))
        return outcomes

    async def _admit_some(self, tenant_id: UUID, asked: Sequence[Sequence[Claim]]) -> list[Hold | LimitReached]:
        """Where not all fit, or a limit has no row yet: those who do fit, first come first."""
        windows = {claim.window for claims in asked for claim in claims}
        while True:
            async with self._database.tenant_tx(tenant_id, durable=False) as tx:
                balances = await store.lock(tx, windows)
                missing = windows - balances.keys()
                if not missing:
                    outcomes = self._decide(asked, balances)
                    if any(isinstance(outcome, LimitReached) for outcome in outcomes):
                        freed = await self._expire(tx, windows)
                        outcomes = self._decide(asked, _without(balances, freed)) if freed else outcomes
                    holds = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
                    if holds:
                        await _reserve(tx.fetchval, tenant_id, holds, max)
                    return outcomes
            # By themselves: whoever made them while holding others could wait for one who waits for these.
            async with self._database.tenant_tx(tenant_id, durable=False) as tx:
                await store.open_rows(tx, missing)

    async def _expire(self, tx: Tx, windows: Iterable[Window]) -> dict[Window, Decimal]:
        """Gives up what dead processes held of limits that are held; how much."""
        freed = await store.expire(tx, windows)
        if freed:
            await store.give_back(tx, freed)
        return freed

    def _decide(self, asked: Sequence[Sequence[Claim]], before: dict[Window, Balance]) -> list[Hold | LimitReached]:
        moment, standing = self._clock(), dict(before)
        outcomes: list[Hold | LimitReached] = []
        for claims in asked:
            refusals = (claim.refusal(*standing[claim.window], moment) for claim in claims)
            refusal = next((refusal for refusal in refusals if refusal is not None), None)
            if refusal is not None:
                outcomes.append(refusal)
                continue
            for claim in claims:
                reserved, used = standing[claim.window]
                standing[claim.window] = Balance(reserved + claim.reserved, used + claim.used)
            outcomes.append(_held(claims))
        return outcomes

    def _give_back(self, tenant_id: UUID, outcome: Hold | LimitReached) -> None:
        """Whoever asked has gone before the answer."""
        if isinstance(outcome, Hold):
            self._background.start(self._free(tenant_id, outcome), "reservation given back")

    async def _free(self, tenant_id: UUID, hold: Hold) -> None:
        await self.enter(tenant_id, [Settlement(hold, 0, _ZERO)], [])

    async def _warn(self, tx: Tx, window: Window, limit: Decimal, before: Decimal, after: Decimal) -> None:
        if window.kind != "month":
            return
        for part in crossed(limit, before, after):
            details = {
                "subject": window.subject,
                "kind": window.measure,
                "month": f"{window.start:%Y-%m}",
                "limit": str(limit),
                "used": str(after),
                "percent": int(part * 100),
            }
            await self._audit.record(tx, Change("limits.warning", "model_limits", window.subject, details=details))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_SECONDS / 2)
            oldest = monotonic() - _KEEP_SECONDS
            for tenant_id, held in list(self._held.items()):
                old = [reservation for reservation, kept_at in held.items() if kept_at < oldest]
                if not old:
                    continue
                try:
                    async with self._database.tenant_tx(tenant_id) as tx:
                        await store.extend(tx, old)
                except DatabaseUnavailable:
                    _log.warning("reservations not kept", tenant_id=tenant_id, count=len(old))
                    continue
                moment = monotonic()
                for reservation in old:
                    if reservation in held:
                        held[reservation] = moment


def _held(claims: Sequence[Claim]) -> Hold:
    return Hold([(uuid7(), claim) for claim in claims])


async def _reserve(
    run: store.Run, tenant_id: UUID, holds: Sequence[Hold], limit: Callable[[Decimal, Decimal], Decimal]
) -> bool:
    """`limit`: which one counts where calls know a limit before and after its change."""
    wanted: dict[Window, Wanted] = {}
    for hold in holds:
        for _, claim in hold.claims:
            most, reserved, used = wanted.get(claim.window, (claim.limit, _ZERO, _ZERO))
            wanted[claim.window] = Wanted(limit(most, claim.limit), reserved + claim.reserved, used + claim.used)
    rows = [(reservation, claim.window, claim.amount) for hold in holds for reservation, claim in hold.reservations]
    return await store.reserve(run, tenant_id, wanted, rows)


def _without(balances: Mapping[Window, Balance], freed: Mapping[Window, Decimal]) -> dict[Window, Balance]:
    return {
        window: Balance(balance.reserved - freed.get(window, _ZERO), balance.used)
        for window, balance in balances.items()
    }
