"""Processes on one database that hold something of limits for calls to come, and who looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.db.listener import listening
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.tasks import Background
from server.model.holds import Hold, Settlement
from server.model.ledger import Ledger
from server.model.limits import Claim, Window
from server.model.spares import Spares
from server.model.store import ledger as store
from tests.databases import Scratch

MONTH = Window("month", datetime(2030, 1, 1, tzinfo=UTC), "tenant", "tokens")
MINUTE = Window("minute", datetime(2030, 1, 1, tzinfo=UTC), "tenant", "requests")
AT_ONCE = Window("none", datetime(1970, 1, 1, tzinfo=UTC), "tenant", "parallel")
MUCH = 1_000_000
NOT_FOR_EVER = 20.0
LIFE = 10.0


class Clock:
    """Stands still."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def process(scratch: Scratch, clock: Callable[[], float]) -> AsyncIterator[Ledger]:
    """A process that calls, and hears what others tell. `clock`: what it goes by."""
    background = Background()
    settings = scratch.settings(pool_size=4)
    async with Database.open(settings) as database:
        ledger = Ledger(database, AuditLog(database), background, spares=Spares(LIFE, clock))
        heard = asyncio.Event()

        def connected(yes: bool) -> None:
            ledger.listening(yes)
            if yes:
                heard.set()

        told = {store.RECALLED: ledger.recalled}
        async with listening(settings, told, connected, lambda _: None):
            async with asyncio.timeout(NOT_FOR_EVER):
                await heard.wait()
            async with ledger.keeping(ahead=True):
                yield ledger
        await background.close(NOT_FOR_EVER)


def claimed(limit: int = MUCH, amount: int = 10) -> list[Claim]:
    return [
        Claim(MINUTE, Decimal(limit), Decimal(1)),
        Claim(MONTH, Decimal(limit), Decimal(amount)),
        Claim(AT_ONCE, Decimal(limit), Decimal(1)),
    ]


async def begin(ledger: Ledger, claims: list[Claim] | None = None) -> Hold:
    return await ledger.reserve(PLATFORM_TENANT_ID, claimed() if claims is None else claims)


async def end(ledger: Ledger, *holds: Hold, tokens: int = 3) -> None:
    await ledger.enter(PLATFORM_TENANT_ID, [Settlement(hold, tokens, Decimal(0)) for hold in holds])


async def with_a_spare(ledger: Ledger, claims: list[Claim] | None = None) -> None:
    """Who called twice has one for the next call."""
    for _ in range(2):
        await end(ledger, await begin(ledger, claims))


async def rows_of(admin: Any) -> dict[str, tuple[int, int]]:
    """What is reserved and used, by what is counted."""
    rows = await admin.fetch("SELECT kind, reserved, used FROM quota_ledger")
    return {row["kind"]: (int(row["reserved"]), int(row["used"])) for row in rows}


async def spares_in(admin: Any) -> int:
    found: int = await admin.fetchval("SELECT count(*) FROM quota_holds WHERE spare")
    return found


async def until_nothing_is_held(admin: Any) -> None:
    async with asyncio.timeout(NOT_FOR_EVER):
        while await admin.fetchval("SELECT count(*) FROM quota_holds"):
            pass
