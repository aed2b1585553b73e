"""Watching the audit log: entries told as they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from uuid import UUID

from server.audit.domain import Entry, Filter, TooManyWatches
from server.audit.service.log import AuditLog
from server.audit.service.settling import Settling
from server.audit.store import entries
from server.db.database import Database
from server.kernel.audit import Change
from server.kernel.ids import uuid7_floor, uuid7_moment
from server.kernel.principal import current_call
from server.kernel.watches import Watches

_MOST = 200
_LOOK_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0
_LIFE_SECONDS = 3_500.0

_MOST_OF_TENANT = 20
"""Watches of a tenant in a process: each looks into the database again and again."""

_MARGIN = timedelta(seconds=1)
"""How far a clock may be behind by which entries were given their ids: what comes later is told to nobody."""

_WINDOW = timedelta(days=1)
"""How much of the past is looked through at once for what a filter chooses."""


@dataclass(frozen=True, slots=True)
class News:
    """Entries that are new, or none. `behind`: no entry up to there is yet to be told."""

    entries: Sequence[Entry]
    behind: UUID


class AuditWatching:
    """Tells of entries of the caller's tenant, in their order, once no other can come in between."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        look: float = _LOOK_SECONDS,
        heartbeat: float = _HEARTBEAT_SECONDS,
        life: float = _LIFE_SECONDS,
    ) -> None:
        """Seconds: after which it looks again, is told that nothing is new, and ends by itself."""
        self._database = database
        self._audit = audit
        self._settling = Settling(database, every=look)
        self._look = look
        self._heartbeat = heartbeat
        self._life = life
        self._watches = Watches(_MOST_OF_TENANT, TooManyWatches, "watches of the audit log at once")

    async def watch(self, wanted: Filter, after: UUID | None) -> AsyncGenerator[News, None]:
        """What is written from now on, or from the filter's time to its other one; with `after`, behind that.

        Raises TooManyWatches.
        """
        tenant_id = current_call().caller.tenant_id
        with self._watches.one_more(tenant_id):
            async with self._database.tenant_tx(tenant_id) as tx:
                await self._audit.record(tx, Change("audit_logs.watch", "audit_log"))
                moment, _, _ = await entries.under_way(tx)
            begun = told = monotonic()
            behind = after or uuid7_floor(wanted.since or moment - _MARGIN)
            while monotonic() - begun < self._life:
                news, more = await self._next(tenant_id, wanted, behind)
                behind = news.behind
                if news.entries or monotonic() - told >= self._heartbeat:
                    yield news
                    told = monotonic()
                if wanted.until is not None and behind >= uuid7_floor(wanted.until):
                    return
                if not more:
                    await asyncio.sleep(self._look)

    async def _next(self, tenant_id: UUID, wanted: Filter, behind: UUID) -> tuple[News, bool]:
        """The next entries, or how far there are none; and whether there may be more by now."""
        until = await self._settling.look()
        if until is None:
            return News((), behind), False
        now = uuid7_floor(until - _MARGIN)
        async with self._database.tenant_tx(tenant_id) as tx:
            first = await entries.first(tx, behind, now)
            if first is None:
                return News((), max(behind, UUID(int=now.int - 1))), False
            end = min(now, uuid7_floor(uuid7_moment(first) + _WINDOW))
            page = await entries.following(tx, behind, end, _MOST, wanted)
        return News(page.items, page.next_cursor or UUID(int=end.int - 1)), page.next_cursor is not None or end < now
