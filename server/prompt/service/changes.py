"""Changes of a tenant's prompts: one after another in a process, so that they have one of its connections at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary

from server.db.database import Database, Tx
from server.kernel.principal import current_call
from server.prompt.errors import PromptsBusy

_MOST_SECONDS = 10.0
"""How long a change waits for those of its tenant before it."""

_RETRY_SECONDS = 1.0


class PromptChanges:
    """Transactions that change prompts of the caller's tenant.

    One waits for another in the database: for a template's row, and for whoever looks at what protected labels stand
    for, which may take a part of a second. Those who wait there hold connections that other tenants need.
    """

    def __init__(self, database: Database, seconds: float = _MOST_SECONDS) -> None:
        """`seconds`: how long one waits for those before it."""
        self._database = database
        self._seconds = seconds
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def tx(self) -> AsyncIterator[Tx]:
        """One of them, when its turn comes. Raises PromptsBusy where that takes too long."""
        tenant_id = current_call().caller.tenant_id
        turn = self._turns.setdefault(tenant_id, asyncio.Lock())
        try:
            async with asyncio.timeout(self._seconds):
                await turn.acquire()
        except TimeoutError:
            raise PromptsBusy("changes of prompts at once", _RETRY_SECONDS) from None
        try:
            async with self._database.tenant_tx(tenant_id) as tx:
                yield tx
        finally:
            turn.release()
