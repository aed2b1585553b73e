"""Reserving before a call and settling after it, exact across every process that calls for a tenant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
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
    """What one call has reserved; empty where nothing limits it."""

    claims: Sequence[tuple[UUID, Claim]] = ()

    def with_more(self, more: Hold) -> Hold:
        """This and what the call has reserved beside it."""
        return Hold([*self.claims, *more.claims]) if more.claims else self

    @property
    def reservations(self) -> list[tuple[UUID, Claim]]:
        """Those that are rows: a request counts as used from its beginning."""
        return [(reservation, claim) for reservation, claim in self.claims if claim.reserved]

    @property
    def ids(self) -> list[UUID]:
        return [reservation for reservation, _ in self.reservations]


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
        claimed = set()
        # Each once, however often more of it was reserved.
        for window, limit in {claim.window: claim.limit for _, claim in self.hold.claims}.items():
            kind, _, subject, measure = window
            claimed.add((kind, subject, measure))
            yield window, limit, used.get(measure, _ZERO)
        for call in self.calls:
            for window, amount in months(call):
                if amount and ("month", window.subject, window.measure) not in claimed:
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
                before = used.get(window, Wanted(None, _ZERO, _ZERO))
                used[window] = Wanted(before.limit if limit is None else limit, _ZERO, before.used + amount)
        holds = [settlement.hold for settlement in settlements]
        ids = [reservation for hold in holds for reservation in hold.ids]
        records = [call for settlement in settlements for call in settlement.calls]
        enter = partial(store.enter, tenant_id=tenant_id, used=used, ids=ids, records=records)
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
        self.let_go(tenant_id, holds)

    def let_go(self, tenant_id: UUID, holds: Iterable[Hold]) -> None:
        """Keeps these no longer: they are given back, or end by themselves."""
        held = self._held.get(tenant_id)
        if held is None:
            return
        for hold in holds:
            for reservation in hold.ids:
                held.pop(reservation, None)
        if not held:
            del self._held[tenant_id]

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
        async with self._database.tenant_tx(tenant_id) as tx:
            windows = await store.expired(tx)
            if windows:
                await store.lock(tx, windows)
                await self._expire(tx, windows)
            await store.prune(tx)

    async def _admit(self, tenant_id: UUID, asked: Sequence[Sequence[Claim]]) -> Sequence[Hold | LimitReached]:
        holds = [_held(claims) for claims in asked]
        outcomes: Sequence[Hold | LimitReached] = holds
        if not await self._reserve(self._database.at_once, tenant_id, holds, min):
            outcomes = await self._admit_some(tenant_id, asked)
        moment = monotonic()
        for outcome in outcomes:
            if isinstance(outcome, Hold) and outcome.ids:
                self._held[tenant_id].update(dict.fromkeys(outcome.ids, moment))
        return outcomes

    async def _admit_some(self, tenant_id: UUID, asked: Sequence[Sequence[Claim]]) -> list[Hold | LimitReached]:
        """Where not all fit, or a limit has no row yet: those who do fit, first come first."""
        windows = {claim.window for claims in asked for claim in claims}
        while True:
            async with self._database.tenant_tx(tenant_id, durable=False) as tx:
                balances = await store.lock(tx, windows)
                missing = windows - balances.keys()
                if not missing:
                    outcomes, full = self._decide(asked, balances)
                    if any(isinstance(outcome, LimitReached) for outcome in outcomes):
                        if freed := await self._expire(tx, windows):
                            outcomes, full = self._decide(asked, _without(balances, freed))
                        for window, limit in full.items():
                            await self._warn(tx, window, limit, balances[window], balances[window].used, full=True)
                    holds = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
                    if holds:
                        await self._reserve(tx.fetchval, tenant_id, holds, max)
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
            outcomes.append(_held(claims))
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
        for tenant_id, held in list(self._held.items()):
            old = [reservation for reservation, kept_at in held.items() if kept_at < oldest]
            if not old:
                continue
            try:
                async with self._database.tenant_tx(tenant_id) as tx:
                    await store.extend(tx, old, self._lease)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other tenants' are kept
                _log.warning("reservations not kept", tenant_id=tenant_id, count=len(old), error=type(error).__name__)
                continue
            moment = monotonic()
            for reservation in old:
                if reservation in held:
                    held[reservation] = moment

    async def _reserve(
        self,
        run: store.Run,
        tenant_id: UUID,
        holds: Sequence[Hold],
        limit: Callable[[Decimal, Decimal], Decimal],
    ) -> bool:
        """`limit`: which one counts where calls know a limit before and after its change."""
        most: dict[Window, Decimal] = {}
        asked: dict[Window, tuple[Decimal, Decimal]] = defaultdict(lambda: (_ZERO, _ZERO))
        for hold in holds:
            for _, claim in hold.claims:
                reserved, used = asked[claim.window]
                asked[claim.window] = reserved + claim.reserved, used + claim.used
                most[claim.window] = limit(most.get(claim.window, claim.limit), claim.limit)
        wanted = {window: Wanted(most[window], *amounts) for window, amounts in asked.items()}
        rows = [(reservation, claim.window, claim.amount) for hold in holds for reservation, claim in hold.reservations]
        return await store.reserve(run, tenant_id, wanted, rows, self._lease)


def _held(claims: Sequence[Claim]) -> Hold:
    return Hold([(uuid7(), claim) for claim in claims])


def _without(balances: Mapping[Window, Balance], freed: Mapping[Window, Decimal]) -> dict[Window, Balance]:
    return {
        window: Balance(balance.reserved - freed.get(window, _ZERO), balance.used)
        for window, balance in balances.items()
    }
