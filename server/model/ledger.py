"""Reserving before a call and settling after it, exact across every process that calls for a tenant."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from math import inf
from time import monotonic
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from server.db.database import Database, Tx
from server.db.together import Together
from server.kernel.clock import now
from server.kernel.errors import DatabaseUnavailable
from server.kernel.tasks import Background, going_on, persistently
from server.model import journal
from server.model.admission import decide
from server.model.holds import NO_HOLD, Hold, Part, Settlement, Wanted, claimed, held_by, used_by
from server.model.limits import WARNINGS, Claim, LimitReached, Limits, Window, windows
from server.model.ports import AuditLog
from server.model.spares import IDLE_SECONDS, SHARE, Spares
from server.model.store import journal as notes
from server.model.store import ledger as store
from server.model.warnings import Warnings

_log = structlog.get_logger("atrium.ledger")

_ZERO = Decimal(0)

PATIENCE_SECONDS = 3600.0
"""For how long it is tried to write down what is over, where the database does not answer."""

_RECALL_SECONDS = 0.25
_UNHEARD_SECONDS = 5.0
_TO_LOOK = "look"


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
        spares: Spares | None = None,
    ) -> None:
        """`lease`: seconds for which a reservation holds that nobody keeps. `spares`: None: good for a sixth of it."""
        self.hurry: Callable[[UUID], None] = lambda _: None  # who counts a tenant's calls waits for no more of them
        self._lease = lease
        self._spares = Spares(lease / 6) if spares is None else spares
        self._stuck = journal.Stuck()
        self._unheard: dict[UUID, float] = {}
        self._database = database
        self._warnings = Warnings(audit)
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
        if (spare := self._spares.take(tenant_id, claims)) is not None:
            return Hold([spare])
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
        *,
        noted: bool = False,
    ) -> None:
        """Writes calls down, gives back what they held and counts what they used, in one transaction.

        Where it fails, whoever asked either asks again or lets go. The same settlements together may be entered again,
        and count once: of a commit whose answer is lost nobody knows whether it was one. `beside`: what else is a part
        of it, and may be done again too. `noted`: they are from the journal, and who noted them may have entered them.
        """
        parts = [part for settlement in settlements for part in settlement.hold.parts]
        again: Sequence[Part] = ()
        begun: Sequence[Part] = ()
        if beside is None:
            again, begun = self._spares.kept(tenant_id, [settlement.hold for settlement in settlements])
        began = monotonic()
        outcome = (
            "differs" if beside else await self._enter(tenant_id, settlements, _without(parts, again), again, begun)
        )
        if outcome == "differs":
            self._spares.hold_off(tenant_id, (*again, *begun))
            outcome, again, begun = await self._enter_slowly(tenant_id, settlements, parts, beside), (), ()
        if outcome == "repeated" and noted:  # who entered them knows what is held on
            return
        if outcome == "repeated":  # what the first time held for others ends by itself
            again, begun = (), ()
        self._forget(tenant_id, (part.id for part in _without(parts, again)))
        if again or begun:
            self._kept[tenant_id].update((part.id, began) for part in begun)
            if unwanted := self._spares.put(tenant_id, again, begun, began):
                self._start_to_return(tenant_id, unwanted)

    async def _enter(
        self,
        tenant_id: UUID,
        settlements: Sequence[Settlement],
        over: Iterable[Part],
        again: Sequence[Part],
        begun: Sequence[Part],
    ) -> store.Outcome:
        """In one round trip, where nothing is unusual. `over`: what is given back; `again`: what goes on being held for
        calls to come, and `begun`: what begins to be.
        """
        return await store.enter(
            self._database.at_once,
            tenant_id,
            used_by(settlements, begun),
            held_by(over),
            [call for settlement in settlements for call in settlement.calls],
            warnings=WARNINGS,
            share=SHARE if again or begun else None,
            spares=held_by(begun),
            lease=self._lease,
        )

    async def _enter_slowly(
        self,
        tenant_id: UUID,
        settlements: Sequence[Settlement],
        parts: Iterable[Part],
        beside: Callable[[Tx], Awaitable[None]] | None,
    ) -> store.Outcome:
        """Step by step, with the warnings that are due."""
        used = used_by(settlements, ())
        records = [call for settlement in settlements for call in settlement.calls]
        async with self._database.tenant_tx(tenant_id) as tx:
            if beside is not None:
                await beside(tx)
            await store.share_months(tx)
            balances = await store.lock(tx, used)
            outcome = await store.enter(tx.fetchval, tenant_id, used, held_by(parts), records)
            if outcome == "entered":
                for window, balance in balances.items():
                    wanted = used[window]
                    if wanted.limit is not None:
                        await self._warnings.warn(tx, window, wanted.limit, balance, balance.used + wanted.used)
        return outcome

    def over(self, tenant_id: UUID, hold: Hold) -> bool:
        """Whether its call, which is over, may be entered in a moment: nobody is refused for what it holds."""
        return all(part.spare for part in hold.parts) and self._spares.over(tenant_id, [part.id for part in hold.parts])

    async def noted(self, tenant_id: UUID) -> set[UUID]:
        """The tenant's calls that are noted and can be counted. Raises DatabaseUnavailable."""
        return self._stuck.without(await notes.noted(self._database, tenant_id))

    async def count_noted(self, tenant_id: UUID, ids: Collection[UUID]) -> None:
        """Enters those of these calls that are noted still. Raises DatabaseUnavailable."""
        self._stuck.add(await journal.count(self._database, partial(self.enter, noted=True), tenant_id, ids))

    def let_go(self, tenant_id: UUID, holds: Iterable[Hold]) -> None:
        """Keeps these no longer: they end by themselves."""
        self._forget(tenant_id, (part.id for hold in holds for part in hold.parts))

    def _forget(self, tenant_id: UUID, ids: Iterable[UUID]) -> None:
        kept = self._kept.get(tenant_id, {})
        for part_id in ids:
            kept.pop(part_id, None)
            self._spares.forget(tenant_id, part_id)
        if not kept:
            self._kept.pop(tenant_id, None)

    async def look(self, tenant_id: UUID, subject: str, limits: Limits) -> None:
        """Warns of what is passed already of limits that were set or changed."""
        counted = {window: limit for window, limit in windows(subject, limits, self._clock()) if window.kind == "month"}
        if not counted:
            return
        async with self._database.tenant_tx(tenant_id) as tx:
            await store.open_rows(tx, counted)
        async with self._database.tenant_tx(tenant_id) as tx:
            for window, balance in (await store.lock(tx, counted)).items():
                await self._warnings.warn(tx, window, counted[window], balance, balance.used)

    @asynccontextmanager
    async def keeping(self, *, ahead: bool = False) -> AsyncIterator[None]:
        """Keeps the reservations of calls under way, as long as the context is open.

        `ahead`: and holds some for calls to come, while the process hears of RECALLED.
        """
        async with (
            going_on(self._keep, "keeping reservations", every=self._lease / 6),
            going_on(self._return_idle, "giving spare reservations back", every=IDLE_SECONDS / 2),
        ):
            self._spares.open = ahead
            try:
                yield
            finally:
                self._spares.open = False
                self._recall_all()

    def listening(self, connected: bool) -> None:
        """Whether this process hears of RECALLED just now: it holds nothing for calls to come where it does not."""
        self._spares.heard = connected
        if not connected:
            self._recall_all()

    def recalled(self, payload: str) -> None:
        """Somebody needs what this process holds for calls to come, or to know what calls under way have."""
        tenant_id, _, what_for = payload.partition("/")
        self._recall(UUID(tenant_id), pause=what_for != _TO_LOOK)

    async def recall(self, tenant_id: UUID, windows: Iterable[Window], *, to_look: bool = False) -> None:
        """Where anything is held of these limits for calls to come, every process gives back what it holds of the
        tenant's, and waits a while before it holds any again, but where it was `to_look` at them. Waits until that is
        done; a little at most, for one that does not answer.
        """
        async with self._database.tenant_tx(tenant_id) as tx:
            held = await store.spares(tx, windows)
            if not held:
                return
            await tx.notify(store.RECALLED, f"{tenant_id}/{_TO_LOOK}" if to_look else str(tenant_id))
        self._recall(tenant_id, pause=not to_look)
        if self._unheard.get(tenant_id, -inf) > monotonic():
            return
        until = monotonic() + _RECALL_SECONDS
        while monotonic() < until:
            async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
                left = await store.spares(tx, windows)
            if not left or (to_look and held.isdisjoint(left)):
                return
            await asyncio.sleep(_RECALL_SECONDS / 50)
        self._unheard[tenant_id] = monotonic() + _UNHEARD_SECONDS

    def _recall_all(self) -> None:
        for tenant_id in self._spares.tenants:
            self._recall(tenant_id)

    def _recall(self, tenant_id: UUID, *, pause: bool = True) -> None:
        idle, lent = self._spares.recall(tenant_id, pause=pause)
        self.hurry(tenant_id)
        if idle:
            self._start_to_return(tenant_id, idle)
        if lent:
            self._background.start(self._lend(tenant_id, lent), "spare reservations lent")

    async def _return_idle(self) -> None:
        moment = monotonic()
        self._unheard = {tenant_id: until for tenant_id, until in self._unheard.items() if until > moment}
        for tenant_id, parts in self._spares.too_idle().items():
            self._start_to_return(tenant_id, parts)

    def _start_to_return(self, tenant_id: UUID, parts: Sequence[Part]) -> None:
        """By itself: one tenant's locks hold up nobody else, and what ends waits for it."""
        self._background.start(self._return(tenant_id, parts), "spare reservations given back")

    async def _return(self, tenant_id: UUID, parts: Sequence[Part]) -> None:
        """Gives back what was held for calls that did not come. Where it cannot be, it ends by itself."""
        unused = {claim.window: Wanted(claim.limit, _ZERO, _ZERO) for part in parts for claim in part.claims}
        try:
            with suppress(DatabaseUnavailable):
                await store.enter(self._database.at_once, tenant_id, unused, held_by(parts))
        finally:
            self._forget(tenant_id, (part.id for part in parts))

    async def _lend(self, tenant_id: UUID, ids: Sequence[UUID]) -> None:
        with suppress(DatabaseUnavailable):  # whoever needs them tells of it again
            async with self._database.tenant_tx(tenant_id) as tx:
                await store.lend(tx, ids)

    async def sweep(self, tenant_id: UUID) -> None:
        """Gives up what dead processes held of a tenant's limits, and forgets minutes that are long over."""
        await self._give_up(tenant_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            await store.prune(tx)

    async def _admit(self, tenant_id: UUID, asked: Sequence[Sequence[Claim]]) -> Sequence[Hold | LimitReached]:
        holds = [Hold.of(claims) for claims in asked]
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
        freed = False
        while True:
            async with self._database.tenant_tx(tenant_id, durable=False) as tx:
                balances = await store.lock(tx, windows)
                missing = windows - balances.keys()
                if not missing:
                    outcomes, full, tight = decide(asked, balances, self._clock())
                    if not tight or freed or not await store.can_be_freed(tx, tight):
                        for window, limit in full.items():
                            balance = balances[window]
                            await self._warnings.warn(tx, window, limit, balance, balance.used, full=True)
                        holds = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
                        if holds:
                            await self._reserve(tx.fetchval, tenant_id, holds, _held(holds), max)
                        return outcomes
            # By themselves: whoever took rows while holding others could wait for one who waits for these.
            if missing:
                if any(window.kind == "month" for window in missing):  # which begins with what is counted
                    await self.count_noted(tenant_id, await self.noted(tenant_id))
                async with self._database.tenant_tx(tenant_id, durable=False) as tx:
                    await store.open_rows(tx, missing)
            else:
                await self._give_up(tenant_id)
                await self.recall(tenant_id, tight)
                freed = True  # what is left then is just being settled

    async def _give_up(self, tenant_id: UUID) -> None:
        """Counts what dead processes noted, and gives back what they held."""
        async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
            left = await notes.left(tx, self._lease)
        await self.count_noted(tenant_id, self._stuck.without(left))
        async with self._database.tenant_tx(tenant_id) as tx:
            ids, windows = await store.expired(tx)
            if ids:
                await store.lock(tx, windows)
                if freed := await store.expire(tx, ids):
                    await store.give_back(tx, freed)

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
        return await store.reserve(run, tenant_id, claimed(holds, limit), held, self._lease)


def _held(holds: Iterable[Hold]) -> store.Held:
    return held_by(part for hold in holds for part in hold.parts)


def _without(parts: Iterable[Part], others: Iterable[Part]) -> list[Part]:
    ids = {part.id for part in others}
    return [part for part in parts if part.id not in ids]
