"""The ledger of limits: reservations and settlements of one tenant, beside a single row that is updated as often, and
beside those of a caller whose limits have room for half of those who ask at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from bench.figures import Figure, Side, alternate
from bench.stage import databased
from server.audit.service.log import AuditLog
from server.db.database import Database
from server.db.together import Together
from server.kernel.clock import now
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.tasks import Background
from server.model.holds import Settlement
from server.model.ledger import Ledger
from server.model.limits import LimitReached, Limits, claims
from server.settings import Settings

_CALLERS = (1, 4, 16)
_SLICES = 4
_SECONDS = 1.0
_PLENTY = 10**12
_LIMITS = Limits(_PLENTY, _PLENTY, _PLENTY, Decimal(_PLENTY), _PLENTY)
"""One of each kind: five rows, which all callers contend for."""

_TIGHT = f"user/{UUID(int=1)}"
"""Whose limits are nearly used: where not all who ask together have room, each is decided on by itself."""


def run() -> list[Figure]:
    """About a minute."""
    with databased() as settings:
        return asyncio.run(_measure(settings))


async def _measure(settings: Settings) -> list[Figure]:
    figures: list[Figure] = []
    async with _ledger(settings) as pair_of, _row(settings, max(_CALLERS)) as update:
        for callers in _CALLERS:
            ours, bare = Side(pair_of("tenant", _LIMITS), os.getpid()), Side(update, os.getpid())
            ratio = await alternate(ours, bare, slices=_SLICES, seconds=_SECONDS, callers=callers)
            at_once = f"{callers} at once" if callers > 1 else "one at a time"
            figures += [
                Figure(f"ledger / one row, {at_once}", ratio, "of its rate"),
                Figure(f"reservations and settlements, {at_once}", ours.rate, "a second"),
                Figure(f"updates of one row, {at_once}", bare.rate, "a second"),
            ]
            nearly_used = replace(_LIMITS, parallel_calls=callers // 2)
            tight, ours = Side(pair_of(_TIGHT, nearly_used), os.getpid()), Side(ours.work, os.getpid())
            ratio = await alternate(tight, ours, slices=_SLICES, seconds=_SECONDS, callers=callers)
            room = f"with room for {callers // 2}, {at_once}"
            figures += [
                Figure(f"ledger {room} / with room for all", ratio, "of its rate"),
                Figure(f"reservations, refusals and settlements {room}", tight.rate, "a second"),
            ]
    return figures


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[Any]:
    """What somebody with these limits does: one reservation and its settlement, or one refusal. Those that end at one
    moment are settled together, as calls are.
    """
    background = Background()
    async with Database.open(settings) as database:
        ledger = Ledger(database, AuditLog(database), background)

        async def settle(settlements: Any) -> list[None]:
            await ledger.enter(PLATFORM_TENANT_ID, settlements)
            return [None] * len(settlements)

        settled = Together[Settlement, None](settle)

        def pair_of(subject: str, limits: Limits) -> Any:
            async def pair() -> int:
                asked = claims([(subject, limits)], 1_000, Decimal("0.01"), now())
                try:
                    hold = await ledger.reserve(PLATFORM_TENANT_ID, asked)
                except LimitReached:
                    return 1
                await settled(Settlement(hold, 100, Decimal("0.001")))
                return 2

            return pair

        yield pair_of
        await background.close(5.0)


@asynccontextmanager
async def _row(settings: Settings, most: int) -> AsyncIterator[Any]:
    """Two updates of the one row there is. As the ledger does, one does not wait for the disk, and one does."""
    sql = "UPDATE hot SET used = used + 1 WHERE id = 1"
    async with AsyncExitStack() as stack:
        admin: Any = await asyncpg.connect(settings.admin_database_url)
        stack.push_async_callback(admin.close)
        await admin.execute("CREATE TABLE hot (id int PRIMARY KEY, used numeric NOT NULL) WITH (fillfactor = 50)")
        await admin.execute("INSERT INTO hot VALUES (1, 0)")
        free: list[tuple[Any, Any]] = []
        for _ in range(most):
            both: list[Any] = []
            for waits in ("off", "on"):
                options = {"synchronous_commit": waits}
                both.append(await asyncpg.connect(settings.admin_database_url, server_settings=options))
                stack.push_async_callback(both[-1].close)
            free.append((both[0], both[1]))

        async def update() -> int:
            lent = free.pop()
            for connection in lent:
                await connection.execute(sql)
            free.append(lent)
            return 2

        yield update
