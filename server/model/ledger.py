"""Reserving before a call and settling after it, exact across every process that calls for a tenant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager
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
from server.kernel.ids import uuid7
from server.kernel.tasks import Background, going_on, persistently
from server.model.domain import CallLog
from server.model.limits import (
    WARNINGS,
    Claim,
    LimitReached,
    Limits,
    Window,
    due,
    longest,
    mark,
    months,
    windows,
)
from server.model.ports import AuditLog
from server.model.store import ledger as store
from server.model.store.ledger import Balance, Wanted

_log = structlog.get_logger("atrium.ledger")

_ZERO = Decimal(0)
_FULL = Decimal(1)

PATIENCE_SECONDS = 3600.0
"""For how long it is tried to write down what is over, where the database does not answer."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What one call has reserved, in parts that were reserved together; empty where nothing limits it."""

    parts: Sequence[tuple[UUID, Sequence[Claim]]] = ()

    def with_more(self, more: Hold) -> Hold:
        """This and what the call has reserved beside it."""
        return Hold([*self.parts, *more.parts]) if more.parts else self

    @property
    def claims(self) -> list[Claim]:
        """All that it was made of."""
        return [claim for _, claims in self.parts for claim in claims]

    @property
    def held(self) -> Mapping[UUID, Mapping[Window, Decimal]]:
        """What each part has of limits, where it has anything: a request counts as used from its beginning."""
        parts = ((part, {claim.window: claim.reserved for claim in claims}) for part, claims in self.parts)
        return {part: amounts for part, amounts in parts if any(amounts.values())}


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a call used of what it had reserved. `calls`: the records of it, one for each model that was asked."""

    hold: Hold
    tokens: int
    cost: Decimal
    calls: Sequence[CallLog] = ()

    @property
    def uses(self) -> Iterator[tuple[Window, Decimal | None, Decimal]]:
        """What it used of each limit, and the limit; None: of a month that it claimed nothing of, which counts it all
        the same where somebody's limit was set while it ran, or was there before.
        """
        used = {"tokens": Decimal(self.tokens), "cost": self.cost}
        # Each once, however often more of it was reserved.
        limits = {claim.window: claim.limit for claim in self.hold.claims}
        for window, limit in limits.items():
            yield window, limit, used.get(window.measure, _ZERO)
        claimed = {(window.subject, window.measure) for window in limits if window.kind == "month"}
        for call in self.calls:
            for window, amount in months(call):
                if amount and (window.subject, window.measure) not in claimed:
                    yield window, None, amount


NO_HOLD = Hold()


class Ledger:
    """Admits calls to what their limits leave. Those of one tenant that ask at one moment share a transaction.

    A reservation expires by itself unless the process that made it keeps it: then what a dead one held is free again.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        background: Background,
        clock: Callable[[], datetime] = now,
        *,
        lease: float = store.LEASE_SECONDS,
    ) -> None:
        """`lease`: seconds for which a reservation holds that nobody keeps."""
        self._lease = lease
        self._database = database
        self._audit = audit
        self._background = background
        self._clock = clock
        self._desks: WeakValueDictionary[UUID, Together[Sequence[Claim], Hold | LimitReached]] = WeakValueDictionary()
        self._kept: dict[UUID, dict[UUID, float]] = defaultdict(dict)

    async def reserve(
        self, tenant_id: UUID, claims: Sequence[Claim], meanwhile: Callable[[], None] | None = None
    ) -> Hold:
        """Holds all of it or nothing. Raises LimitReached. `meanwhile`: may be called while the database is at it."""
        if not claims:
            return NO_HOLD
        desk = self._desks.get(tenant_id)
        if desk is None:
            desk = Together(partial(self._admit, tenant_id), unclaimed=partial(self._give_back, tenant_id))
            self._desks[tenant_id] = desk
        outcome = await desk(claims, meanwhile)
        if isinstance(outcome, LimitReached):
            raise outcome
        return outcome

    async def enter(
        self,
        tenant_id: UUID,
        settlements: Sequence[Settlement],
        beside: Callable[[Tx], Awaitable[None]] | None = None,
    ) -> None:
        """Writes calls down, gives back what they held and counts what they used, in one transaction.

        Where it fails, whoever asked either asks again or lets go. The same settlements together may be entered again,
        and count once: of a commit whose answer is lost nobody knows whether it was one. `beside`: what else is a part
        of it, and may be done again too.
        """
        used: dict[Window, Wanted] = {}
        for settlement in settlements:
            for window, limit, amount in settlement.uses:
                if (before := used.get(window)) is None:
                    used[window] = Wanted(limit, _ZERO, amount)
                else:
                    used[window] = Wanted(before.limit if limit is None else limit, _ZERO, before.used + amount)
        held = _held(settlement.hold for settlement in settlements)
        records = [call for settlement in settlements for call in settlement.calls]
        enter = partial(store.enter, tenant_id=tenant_id, used=used, held=held, records=records)
        if beside is not None or await enter(self._database.at_once, warnings=WARNINGS) == "warns":
            async with self._database.tenant_tx(tenant_id) as tx:
                if beside is not None:
                    await beside(tx)
                await store.share_months(tx)
                balances = await store.lock(tx, used)
                if await enter(tx.fetchval, warnings=()) == "entered":
                    for window, balance in balances.items():
                        wanted = used[window]
                        if wanted.limit is not None:
                            await self._warn(tx, window, wanted.limit, balance, balance.used + wanted.used)
        self._forget(tenant_id, held)

    def let_go(self, tenant_id: UUID, holds: Iterable[Hold]) -> None:
        """Keeps these no longer: they end by themselves."""
        self._forget(tenant_id, _held(holds))

    def _forget(self, tenant_id: UUID, ids: Iterable[UUID]) -> None:
        kept = self._kept.get(tenant_id)
        if kept is None:
            return
        for part in ids:
            kept.pop(part, None)
        if not kept:
            del self._kept[tenant_id]

    async def look(self, tenant_id: UUID, subject: str, limits: Limits) -> None:
        """Warns of what is passed already of limits that were set or changed."""
        counted = {window: limit for window, limit in windows(subject, limits, self._clock()) if window.kind == "month"}
        if not counted:
            return
        async with self._database.tenant_tx(tenant_id) as tx:
            await store.open_rows(tx, counted)
        async with self._database.tenant_tx(tenant_id) as tx:
            for window, balance in (await store.lock(tx, counted)).items():
                await self._warn(tx, window, counted[window], balance, balance.used)

    def keeping(self) -> AbstractAsyncContextManager[None]:
        """Keeps the reservations of calls under way, as long as the context is open."""
        return going_on(self._keep, "keeping reservations", every=self._lease / 6)

    async def sweep(self, tenant_id: UUID) -> None:
        """Gives up what dead processes held of a tenant's limits, and forgets minutes that are long over."""
        await self._give_up(tenant_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            await store.prune(tx)

    async def _admit(self, tenant_id: UUID, asked: Sequence[Sequence[Claim]]) -> Sequence[Hold | LimitReached]:
        holds = [_hold(claims) for claims in asked]
        held = _held(holds)
        outcomes: Sequence[Hold | LimitReached] = holds
        if not await self._reserve(self._database.at_once, tenant_id, holds, held, min):
            outcomes = await self._admit_some(tenant_id, asked)
            held = _held(outcome for outcome in outcomes if isinstance(outcome, Hold))
        if held:
            self._kept[tenant_id].update(dict.fromkeys(held, monotonic()))
        return outcomes

    async def _admit_some(self, tenant_id: UUID, asked: Sequence[Sequence[Claim]]) -> list[Hold | LimitReached]:
        """Where not all fit, or a limit has no row yet: those who do fit, first come first."""
        windows = {claim.window for claims in asked for claim in claims}
        given_up = False
        while True:
            async with self._database.tenant_tx(tenant_id, durable=False) as tx:
                balances = await store.lock(tx, windows)
                missing = windows - balances.keys()
                if not missing:
                    outcomes, full = self._decide(asked, balances)
                    refused = any(isinstance(outcome, LimitReached) for outcome in outcomes)
                    if not refused or given_up or not await self._stale(tx, windows):
                        for window, limit in full.items():
                            await self._warn(tx, window, limit, balances[window], balances[window].used, full=True)
                        holds = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
                        if holds:
                            await self._reserve(tx.fetchval, tenant_id, holds, _held(holds), max)
                        return outcomes
            # By themselves: whoever took rows while holding others could wait for one who waits for these.
            if missing:
                async with self._database.tenant_tx(tenant_id, durable=False) as tx:
                    await store.open_rows(tx, missing)
            else:
                await self._give_up(tenant_id)
                given_up = True  # what is left then is just being settled

    async def _stale(self, tx: Tx, windows: Set[Window]) -> bool:
        """Whether dead processes have left anything on these limits."""
        _, left = await store.expired(tx)
        return not left.isdisjoint(windows)

    async def _give_up(self, tenant_id: UUID) -> None:
        """Gives back what dead processes held."""
        async with self._database.tenant_tx(tenant_id) as tx:
            ids, windows = await store.expired(tx)
            if ids:
                await store.lock(tx, windows)
                if freed := await store.expire(tx, ids):
                    await store.give_back(tx, freed)

    def _decide(
        self, asked: Sequence[Sequence[Claim]], before: Mapping[Window, Balance]
    ) -> tuple[list[Hold | LimitReached], dict[Window, Decimal]]:
        """What becomes of each; and the months that are used up for a call which would fit into an empty one."""
        moment, standing = self._clock(), dict(before)
        outcomes: list[Hold | LimitReached] = []
        full: dict[Window, Decimal] = {}
        for claims in asked:
            refusals = []
            for claim in claims:
                balance = standing[claim.window]
                if (refusal := claim.refusal(balance.reserved, balance.used, moment)) is not None:
                    refusals.append(refusal)
                    if claim.window.kind == "month" and claim.amount <= claim.limit and claim.outgrows(balance.used):
                        full[claim.window] = claim.limit
            if refusals:
                outcomes.append(longest(refusals))
                continue
            for claim in claims:
                balance = standing[claim.window]
                standing[claim.window] = Balance(balance.reserved + claim.reserved, balance.used + claim.used)
            outcomes.append(_hold(claims))
        return outcomes, full

    def _give_back(self, tenant_id: UUID, outcome: Hold | LimitReached) -> None:
        """Whoever asked has gone before the answer."""
        if isinstance(outcome, Hold):
            self._background.start(self._free(tenant_id, outcome), "reservation given back")

    async def _free(self, tenant_id: UUID, hold: Hold) -> None:
        given_back = [Settlement(hold, 0, _ZERO)]
        try:
            await persistently(lambda: self.enter(tenant_id, given_back), PATIENCE_SECONDS)
        finally:
            self.let_go(tenant_id, [hold])

    async def _warn(
        self, tx: Tx, window: Window, limit: Decimal, balance: Balance, used: Decimal, *, full: bool = False
    ) -> None:
        """Writes the warnings that are due where so much is used of a limit that is held. `full`: a call is refused."""
        if window.kind != "month":
            return
        parts = due(limit, used, balance.warned)
        if full and _FULL not in parts and mark(limit, _FULL) not in balance.warned:
            parts.append(_FULL)
        for part in parts:
            details = {
                "subject": window.subject,
                "kind": window.measure,
                "month": f"{window.start:%Y-%m}",
                "limit": str(limit),
                "used": str(used),
                "percent": int(part * 100),
            }
            await self._audit.record(tx, Change("limits.warning", "model_limits", window.subject, details=details))
        if parts:
            await store.note_warned(tx, window, [mark(limit, part) for part in parts])

    async def _keep(self) -> None:
        oldest = monotonic() - self._lease / 3
        for tenant_id, kept in list(self._kept.items()):
            old = [part for part, kept_at in kept.items() if kept_at < oldest]
            if not old:
                continue
            try:
                async with self._database.tenant_tx(tenant_id) as tx:
                    await store.extend(tx, old, self._lease)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other tenants' are kept
                _log.warning("reservations not kept", tenant_id=tenant_id, count=len(old), error=type(error).__name__)
                continue
            moment = monotonic()
            for part in old:
                if part in kept:
                    kept[part] = moment

    async def _reserve(
        self,
        run: store.Run,
        tenant_id: UUID,
        holds: Sequence[Hold],
        held: store.Held,
        limit: Callable[[Decimal, Decimal], Decimal],
    ) -> bool:
        """`limit`: which one counts where calls know a limit before and after its change."""
        wanted: dict[Window, Wanted] = {}
        for claim in (claim for hold in holds for claim in hold.claims):
            asked = Wanted(claim.limit, claim.reserved, claim.used)
            if (before := wanted.get(claim.window)) is not None:
                most = limit(before.limit or _ZERO, claim.limit)
                asked = Wanted(most, before.reserved + asked.reserved, before.used + asked.used)
            wanted[claim.window] = asked
        return await store.reserve(run, tenant_id, wanted, held, self._lease)


def _hold(claims: Sequence[Claim]) -> Hold:
    return Hold([(uuid7(), claims)])


def _held(holds: Iterable[Hold]) -> store.Held:
    return {part: amounts for hold in holds for part, amounts in hold.held.items()}
