"""Calls that are sent again with the same idempotency key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from server.db.database import Database
from server.identity.domain import IdempotencyKeyReused
from server.identity.store import idempotency as store
from server.identity.store.idempotency import Remembered
from server.kernel.principal import current_call
from server.kernel.tasks import Background

# Twins of a call that is under way ask again so often, each time without holding a connection meanwhile.
_AGAIN_SECONDS = 0.02
_AGAIN_DETACHED_SECONDS = 0.2


class Repeats:
    """Remembers answers in the transaction of what they answer: both are there, or neither."""

    def __init__(self, database: Database, background: Background) -> None:
        self._database = database
        self._background = background

    async def once(self, key: str, hashes: Sequence[str], act: Callable[[], Awaitable[bytes]]) -> bytes | None:
        """None where `act` was run and what it gave kept; else what it gave the first time.

        Raises IdempotencyKeyReused, and whatever `act` raises, which is not remembered.
        """
        call = current_call()
        caller = call.caller.api_key_id or call.caller.user_id
        while True:
            async with self._database.whole_tx(call.caller.tenant_id) as tx:
                if await store.claim(tx, caller, call.method, key):
                    found = await store.find(tx, caller, call.method, key)
                    if found is None:
                        response = await act()
                        await store.keep(tx, caller, call.method, key, hashes[0], response)
                        return None
                    return _answer(found, hashes)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def once_detached(self, key: str, hashes: Sequence[str], act: Callable[[], Awaitable[bytes]]) -> bytes | None:
        """The same for a call that waits for others than the database: no transaction is open meanwhile.

        Where its server dies between the call and the answer's being kept, the next one with the key makes it again.
        """
        call = current_call()
        place = (call.caller.api_key_id or call.caller.user_id, call.method, key)
        tenant_id = call.caller.tenant_id
        while True:
            async with self._database.tenant_tx(tenant_id) as tx:
                if await store.claim(tx, *place):
                    found = await store.find(tx, *place)
                    if found is None:
                        await store.begin(tx, *place, hashes[0])
                        break
                    if not found.running or found.request_hash not in hashes:
                        return _answer(found, hashes)
            await asyncio.sleep(_AGAIN_DETACHED_SECONDS)
        try:
            response = await act()
        except BaseException:
            self._background.start(self._release(tenant_id, *place), "idempotency key")
            raise
        async with self._database.tenant_tx(tenant_id) as tx:
            await store.keep(tx, *place, hashes[0], response)
        return None

    async def _release(self, tenant_id: UUID, caller: UUID, method: str, key: str) -> None:
        async with self._database.tenant_tx(tenant_id) as tx:
            await store.release(tx, caller, method, key)


def _answer(found: Remembered, hashes: Sequence[str]) -> bytes:
    """Raises IdempotencyKeyReused."""
    if found.request_hash not in hashes:
        raise IdempotencyKeyReused
    assert found.response is not None
    return found.response
