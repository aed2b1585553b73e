"""Calls that are sent again with the same idempotency key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from server.db.database import Database
from server.identity.domain import IdempotencyKeyReused
from server.identity.store import idempotency as store
from server.kernel.principal import current_call

# Twins of a call that is under way ask again so often, each time without holding a connection meanwhile.
_AGAIN_SECONDS = 0.02


class Repeats:
    """Remembers answers in the transaction of what they answer: both are there, or neither."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def once(self, key: str, request_hash: str, act: Callable[[], Awaitable[bytes]]) -> bytes | None:
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
                        await store.keep(tx, caller, call.method, key, request_hash, response)
                        return None
                    if found[0] != request_hash:
                        raise IdempotencyKeyReused
                    return found[1]
            await asyncio.sleep(_AGAIN_SECONDS)
