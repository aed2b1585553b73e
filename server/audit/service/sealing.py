"""Sealing the audit log: what was written is signed, stretch by stretch, each following the one before."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from server.audit.domain import Checkpoint, Seal
from server.audit.ports import Signer
from server.audit.service.settling import settled
from server.audit.store import checkpoints, entries
from server.db.database import Database
from server.kernel.ids import uuid7, uuid7_floor, uuid7_moment

BEGINNING = UUID(int=0)
"""What lies before every entry."""

MOST_ENTRIES = 1_000
"""Entries of a stretch: so many are looked at in one statement."""

MOST_BYTES = 1 << 20
"""None more once those there are take so much room, compressed: what is read of them may be a hundred times that."""

_MARGIN = timedelta(minutes=10)
_PATIENCE_SECONDS = 30.0

_log = structlog.get_logger("atrium.audit")


class Sealing:
    """Seals what has been added to tenants' logs, and is not added to any more."""

    def __init__(self, database: Database, signer: Signer, margin: timedelta = _MARGIN) -> None:
        """`margin`: how far a clock may be behind by which entries were given their ids: the database's, set back a
        little or another's after a failover, or that of a server of a version that gave them by its own.
        """
        self._database = database
        self._signer = signer
        self._margin = margin

    async def horizon(self) -> datetime | None:
        """Before when no entry is added any more; None where a transaction goes on for too long to say."""
        until = await settled(self._database, _PATIENCE_SECONDS)
        if until is None:
            _log.warning("a transaction that is under way keeps the audit log from being sealed; it is tried again")
        return None if until is None else until - self._margin

    async def __call__(self, tenant_id: UUID, before: datetime) -> int:
        """Seals what was added before then; how many entries that were."""
        async with self._database.tenant_tx(tenant_id) as tx:
            last = await checkpoints.last(tx)
        # Before anything is gone by: where the next stretch begins is what it says.
        if last is not None and not last.signed_by(await self._signer.verifiers({last.signing_kid})):
            _log.error("the audit log is not sealed: its last checkpoint is forged", tenant_id=tenant_id)
            return 0
        total, end = 0, uuid7_floor(before)
        while (last := await self._next(tenant_id, last, end)) is not None:
            total += last.seal.row_count
        return total

    async def _next(self, tenant_id: UUID, last: Checkpoint | None, end: UUID) -> Checkpoint | None:
        """Seals the stretch behind the last one; None: there is none, or another worker is at it."""
        after = BEGINNING if last is None else last.seal.to_position
        async with self._database.tenant_tx(tenant_id) as tx:
            first = await entries.first(tx, after, end)
            if first is None:
                return None
            # No stretch is of two days: it is removed as a whole.
            before = min(end, uuid7_floor(_day_after(uuid7_moment(first))))
            to = await checkpoints.reach(tx, after, before, MOST_ENTRIES, MOST_BYTES)
            stretch = await checkpoints.stretch(tx, after, to, MOST_ENTRIES)
        seal = Seal(
            tenant_id,
            uuid7(),
            stretch.from_position,
            stretch.to_position,
            stretch.row_count,
            stretch.root_hash,
            None if last is None else last.seal.hash(),
        )
        checkpoint = Checkpoint(seal, *await self._signer.sign(seal.statement()), removed_at=None)
        async with self._database.tenant_tx(tenant_id) as tx:
            return checkpoint if await checkpoints.add(tx, checkpoint) else None


def _day_after(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
