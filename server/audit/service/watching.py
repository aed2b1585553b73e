"""Watching the audit log: entries told as they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from uuid import UUID

from server.audit.domain import Entry, Filter
from server.audit.service.log import AuditLog
from server.audit.store import entries
from server.db.database import Database
from server.kernel.audit import Change
from server.kernel.ids import uuid7_floor
from server.kernel.principal import current_call

_MOST = 200
_LOOK_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0
_LIFE_SECONDS = 3_500.0

_MARGIN = timedelta(seconds=2)
"""How far the clocks of those who write entries may be behind the database's: what comes later is told to nobody."""


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
        self._look = look
        self._heartbeat = heartbeat
        self._life = life

    async def watch(self, wanted: Filter, after: UUID | None) -> AsyncGenerator[News, None]:
        """What is written from now on, or from the filter's time to its other one; with `after`, behind that."""
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            await self._audit.record(tx, Change("audit_logs.watch", "audit_log"))
            since = wanted.since or await entries.horizon(tx, _MARGIN)
        behind, begun, told = after or uuid7_floor(since), monotonic(), monotonic()
        while monotonic() - begun < self._life:
            async with self._database.tenant_tx(tenant_id) as tx:
                # Entries of transactions under way are not seen yet, and lie before others that are.
                before = uuid7_floor(await entries.horizon(tx, _MARGIN))
                page = await entries.following(tx, behind, before, _MOST, wanted)
            behind = page.next_cursor or max(behind, UUID(int=before.int - 1))
            if page.items or monotonic() - told >= self._heartbeat:
                yield News(page.items, behind)
                told = monotonic()
            if page.next_cursor is None:
                if wanted.until is not None and behind >= uuid7_floor(wanted.until):
                    return
                await asyncio.sleep(self._look)
