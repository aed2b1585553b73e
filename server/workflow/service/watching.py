"""Watching executions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from time import monotonic
from uuid import UUID

from server.db.database import Database
from server.kernel.principal import current_call
from server.kernel.watches import Watches
from server.workflow.definition import Definition
from server.workflow.errors import TooManyExecutionWatches
from server.workflow.executions import Event, Execution
from server.workflow.service.executions import seen
from server.workflow.store import executions as store

_LOOK_SECONDS = 0.25
_HEARTBEAT_SECONDS = 10.0
_LIFE_SECONDS = 3_500.0
_MOST_OF_TENANT = 50
_AT_ONCE = 500


class ExecutionWatching:
    """Tells what happens to executions."""

    def __init__(
        self,
        database: Database,
        look: float = _LOOK_SECONDS,
        heartbeat: float = _HEARTBEAT_SECONDS,
        life: float = _LIFE_SECONDS,
    ) -> None:
        """Seconds: after which it looks again, tells that nothing is new, and ends by itself."""
        self._database = database
        self._look = look
        self._heartbeat = heartbeat
        self._life = life
        self._watches = Watches(_MOST_OF_TENANT, TooManyExecutionWatches, "watches of executions at once")

    async def watch(self, execution_id: UUID, after_seq: int) -> AsyncGenerator[Event | Execution | None, None]:
        """What happened after that, and happens, until it has ended (None: nothing new), and then what it is.

        Raises ExecutionNotFound, TooManyExecutionWatches.
        """
        tenant_id = current_call().caller.tenant_id
        with self._watches.one_more(tenant_id):
            seq, said_at, begun = after_seq, monotonic(), monotonic()
            whole = await self._seen(tenant_id, execution_id)
            execution = replace(whole, definition=Definition(()), input=None, output=None)
            del whole  # much of it, and it is kept for an hour
            while True:
                seen(execution_id, execution)  # by its reader as they are now
                # Both at one moment: what is told of an execution that has ended is all there is.
                async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
                    goes_on = await store.goes_on(tx, execution_id)
                    events = await store.told(tx, execution_id, seq, _AT_ONCE)
                for event in events:
                    seq, said_at = event.seq, monotonic()
                    yield event
                if events:
                    continue
                if not goes_on or monotonic() - begun >= self._life:
                    yield await self._seen(tenant_id, execution_id)
                    return
                if monotonic() - said_at >= self._heartbeat:
                    said_at = monotonic()
                    yield None
                await asyncio.sleep(self._look)

    async def _seen(self, tenant_id: UUID, execution_id: UUID) -> Execution:
        """The whole, which may be much: it is not looked at again and again."""
        async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
            return seen(execution_id, await store.get(tx, execution_id))
