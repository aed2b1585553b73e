"""Reserving before a call and settling after it, exact across every process that calls for a tenant."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
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
from server.model.limits import Claim, LimitReached, Window, crossed
from server.model.ports import AuditLog
from server.model.store import ledger as store
from server.model.store.ledger import Balance

_log = structlog.get_logger("atrium.ledger")

_KEEP_SECONDS = store.LEASE_SECONDS / 3
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Hold:
    """What one call has reserved; empty where nothing limits it."""

    claims: Sequence[tuple[UUID, Claim]] = ()

    @property
    def ids(self) -> list[UUID]:
        """Those reservations that are rows: a request counts as used from its beginning."""
        return [reservation for reservation, claim in self.claims if claim.window.measure != "requests"]


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

    async def settle(self, tx: Tx, settlements: Sequence[Settlement]) -> None:
        """Gives back what was held and counts what was used, in the transaction that writes the calls down."""
        used: defaultdict[Window, Decimal] = defaultdict(Decimal)
        limits: dict[Window, Decimal] = {}
        for settlement in settlements:
            for _, claim in settlement.hold.claims:
                used[claim.window] += settlement.used(claim.window)
                limits[claim.window] = claim.limit
        if not used:
            return
        ids = [reservation for settlement in settlements for reservation in settlement.hold.ids]
        for window, balance in (await store.settle(tx, used, ids)).items():
            if window.kind == "month":
                await self._warn(tx, window, limits[window], balance.used - used[window], balance.used)
        held = self._held.get(tx.tenant_id, {})
        for reservation in ids:
            held.pop(reservation, None)
        if not held:
            self._held.pop(tx.tenant_id, None)

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
                freed = await store.expire(tx, windows)
                await store.change(tx, {window: Balance(-amount, _ZERO) for window, amount in freed.items()})
            await store.prune(tx)

    async def _admit(self, tenant_id: UUID, asked: Sequence[Sequence[Claim]]) -> list[Hold | LimitReached]:
        windows = {claim.window for claims in asked for claim in claims}
        while True:
            # A reservation that a crash of the database itself takes back was of a call that has failed with it.
            async with self._database.tenant_tx(tenant_id, durable=False) as tx:
                before = await store.lock(tx, windows)
                missing = windows - before.keys()
                outcomes = [] if missing else await self._reserved(tx, asked, before)
            if not missing:
                break
            # By themselves: whoever made them while holding others could wait for one who waits for these.
            async with self._database.tenant_tx(tenant_id, durable=False) as tx:
                await store.open_rows(tx, missing)
        held, moment = self._held[tenant_id], monotonic()
        for outcome in outcomes:
            if isinstance(outcome, Hold):
                held.update(dict.fromkeys(outcome.ids, moment))
        return outcomes

    async def _reserved(
        self, tx: Tx, asked: Sequence[Sequence[Claim]], before: dict[Window, Balance]
    ) -> list[Hold | LimitReached]:
        outcomes, after = self._decide(asked, before)
        if any(isinstance(outcome, LimitReached) for outcome in outcomes) and (freed := await store.expire(tx, before)):
            left = {
                window: Balance(balance.reserved - freed.get(window, _ZERO), balance.used)
                for window, balance in before.items()
            }
            outcomes, after = self._decide(asked, left)
        changes = {
            window: Balance(after[window].reserved - balance.reserved, after[window].used - balance.used)
            for window, balance in before.items()
            if after[window] != balance
        }
        rows = [
            (reservation, claim.window, claim.amount)
            for outcome in outcomes
            if isinstance(outcome, Hold)
            for reservation, claim in outcome.claims
            if claim.window.measure != "requests"
        ]
        if changes or rows:
            await store.hold(tx, changes, rows)
        return outcomes

    def _decide(
        self, asked: Sequence[Sequence[Claim]], before: dict[Window, Balance]
    ) -> tuple[list[Hold | LimitReached], dict[Window, Balance]]:
        """Who is admitted, first come first, and what the limits stand at with them."""
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
                if claim.window.measure == "requests":
                    standing[claim.window] = Balance(reserved, used + claim.amount)
                else:
                    standing[claim.window] = Balance(reserved + claim.amount, used)
            outcomes.append(Hold([(uuid7(), claim) for claim in claims]))
        return outcomes, standing

    def _give_back(self, tenant_id: UUID, outcome: Hold | LimitReached) -> None:
        """Whoever asked has gone before the answer."""
        if isinstance(outcome, Hold):
            self._background.start(self._free(tenant_id, outcome), "reservation given back")

    async def _free(self, tenant_id: UUID, hold: Hold) -> None:
        async with self._database.tenant_tx(tenant_id) as tx:
            await self.settle(tx, [Settlement(hold, 0, _ZERO)])

    async def _warn(self, tx: Tx, window: Window, limit: Decimal, before: Decimal, after: Decimal) -> None:
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
