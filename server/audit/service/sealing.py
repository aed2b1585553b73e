"""Sealing the audit log: what was written is signed, stretch by stretch, each following the one before."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from server.audit.domain import Checkpoint, Seal
from server.audit.ports import Signer
from server.audit.store import checkpoints, entries
from server.db.database import Database
from server.kernel.ids import uuid7, uuid7_floor

BEGINNING = UUID(int=0)
"""What lies before every entry."""

MOST_ENTRIES = 1_000
"""Entries of a stretch: so many are looked at in one statement."""

MOST_BYTES = 16 << 20
"""None more once those there are take so much room: a value may be of some megabytes."""

_MARGIN = timedelta(minutes=10)


class Sealing:
    """Seals what has been added to tenants' logs, and is not added to any more."""

    def __init__(self, database: Database, signer: Signer, margin: timedelta = _MARGIN) -> None:
        """`margin`: how far the clocks of those who write entries may be behind the database's."""
        self._database = database
        self._signer = signer
        self._margin = margin

    async def __call__(self, tenant_id: UUID) -> int:
        """How many entries were sealed."""
        total = 0
        while (count := await self._next(tenant_id)) is not None:
            total += count
        return total

    async def _next(self, tenant_id: UUID) -> int | None:
        """Seals the next stretch; None: there is none, or another worker is at it."""
        async with self._database.tenant_tx(tenant_id) as tx:
            before = uuid7_floor(await entries.horizon(tx, self._margin))
            last = await checkpoints.last(tx)
            after = BEGINNING if last is None else last.seal.to_position
            to = await checkpoints.reach(tx, after, before, MOST_ENTRIES, MOST_BYTES)
            stretch = None if to is None else await checkpoints.stretch(tx, after, to, MOST_ENTRIES)
        if stretch is None:
            return None
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
            return stretch.row_count if await checkpoints.add(tx, checkpoint) else None
