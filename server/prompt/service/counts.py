"""How often templates are rendered: counted in the process, and written every moment."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from server.db.database import Database
from server.kernel.errors import DatabaseUnavailable
from server.kernel.tasks import going_on
from server.prompt.store import templates

_SECONDS = 1.0


class Counts:
    """Gathers, since a row that every call adds to would have all of them wait for one another.

    A process that is killed loses the last second's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: defaultdict[UUID, Counter[UUID]] = defaultdict(Counter)

    def add(self, tenant_id: UUID, template_id: UUID) -> None:
        """One more."""
        self._counts[tenant_id][template_id] += 1

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Writes them down every moment, and what is left at the end."""
        try:
            async with going_on(self._write, "prompt counts", every=_SECONDS):
                yield
        finally:
            await self._write()

    async def _write(self) -> None:
        try:
            for tenant_id in list(self._counts):  # what is counted meanwhile is for the next moment
                await self._write_next(tenant_id)
        except DatabaseUnavailable:  # they are written when the database is back
            return

    async def _write_next(self, tenant_id: UUID) -> None:
        """Writes one tenant's. Raises DatabaseUnavailable; what was not written stays, behind what is of others: a
        template that is held for long keeps no other tenant's from being written.
        """
        counts = self._counts.pop(tenant_id)
        try:
            async with self._database.tenant_tx(tenant_id) as tx:
                await templates.count(tx, counts)
        except (DatabaseUnavailable, asyncio.CancelledError):
            self._counts[tenant_id].update(counts)
            raise
