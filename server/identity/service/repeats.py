"""Calls that are sent again with the same idempotency key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from server.db.database import Database, Tx
from server.identity.domain import IdempotencyKeyReused
from server.identity.store import idempotency as store
from server.identity.store.idempotency import Remembered
from server.kernel.errors import DatabaseUnavailable
from server.kernel.principal import current_call
from server.kernel.tasks import Background, persistently

# Twins of a call that is under way ask again so often, each time without holding a connection meanwhile.
_AGAIN_SECONDS = 0.02
_AGAIN_DETACHED_SECONDS = 0.2

_PATIENCE_SECONDS = 60.0
"""For how long it is tried to note what became of a call, where the database does not answer."""


Noted = TypeVar("Noted")


class _Overtaken(Exception):
    """Another process makes the call, or has made it meanwhile."""


class Repeats:
    """Remembers answers in the transaction of what they answer: both are there, or neither."""

    def __init__(self, database: Database, background: Background) -> None:
        self._database = database
        self._background = background
        self._turns: WeakValueDictionary[tuple[UUID, str, str], asyncio.Lock] = WeakValueDictionary()

    async def once(self, key: str, hashes: Sequence[str], act: Callable[[], Awaitable[bytes]]) -> bytes | None:
        """None where `act` was run and what it gave kept; else what it gave the first time.

        Raises IdempotencyKeyReused, and whatever `act` raises, which is not remembered.
        """
        call = current_call()
        tenant_id = call.caller.tenant_id
        place = (call.caller.api_key_id or call.caller.user_id, call.method, key)

        async def claim(tx: Tx) -> None:
            if not await store.claim(tx, *place) or await store.find(tx, *place) is not None:
                raise _Overtaken

        # Twins in this process come one after the other; those in others meet in the database.
        async with self._turns.setdefault(place, asyncio.Lock()):
            while True:
                found = await store.recall(self._database, tenant_id, *place)
                if found is not None:
                    return _answer(found, hashes)
                try:
                    # Begun, and the call claimed, with the first thing that it does in the database: what it waits for
                    # before that, such as the hash of a password, is waited for without a connection.
                    async with self._database.whole_tx(tenant_id, claim):
                        response = await act()
                        async with self._database.tenant_tx(tenant_id) as tx:
                            await store.keep(tx, *place, hashes[0], response)
                except _Overtaken:
                    await asyncio.sleep(_AGAIN_SECONDS)
                else:
                    return None

    async def once_detached(self, key: str, hashes: Sequence[str], act: Callable[[], Awaitable[bytes]]) -> bytes | None:
        """The same for a call that waits for others than the database: no transaction is open meanwhile.

        Where its server dies between the call and the answer's being kept, the next one with the key makes it again, as
        soon as nobody has renewed it for as long as it is waited for.
        """
        call = current_call()
        place = (call.caller.api_key_id or call.caller.user_id, call.method, key)
        tenant_id, claim = call.caller.tenant_id, uuid4()
        while True:
            async with self._database.tenant_tx(tenant_id) as tx:
                if await store.claim(tx, *place):
                    found = await store.find(tx, *place)
                    if found is None:
                        await store.begin(tx, *place, hashes[0], claim)
                        break
                    if not found.running or found.request_hash not in hashes:
                        return _answer(found, hashes)
            await asyncio.sleep(_AGAIN_DETACHED_SECONDS)
        renewing = self._background.start(self._renew(tenant_id, place, claim), "idempotency lease")
        try:
            response = await act()
        except BaseException:
            self._start(tenant_id, lambda tx: store.release(tx, *place, claim))
            raise
        finally:
            renewing.cancel()
        # The call is made and paid for: its answer is kept even if the caller leaves now.
        while not await asyncio.shield(
            self._start(tenant_id, lambda tx: store.end(tx, *place, hashes[0], response, claim))
        ):
            if (answer := await self._answer_of_another(tenant_id, place, hashes)) is not None:
                return answer
        return None

    async def _answer_of_another(
        self, tenant_id: UUID, place: tuple[UUID, str, str], hashes: Sequence[str]
    ) -> bytes | None:
        """What the one was answered who took this call's server for dead, as whoever repeats it is; None: nothing."""
        while found := await store.recall(self._database, tenant_id, *place):
            if not found.running:
                return _answer(found, hashes)
            await asyncio.sleep(_AGAIN_DETACHED_SECONDS)
        return None

    async def _renew(self, tenant_id: UUID, place: tuple[UUID, str, str], claim: UUID) -> None:
        while True:
            await asyncio.sleep(store.RENEW_SECONDS)
            with suppress(DatabaseUnavailable):
                async with self._database.tenant_tx(tenant_id) as tx:
                    await store.renew(tx, *place, claim)

    def _start(self, tenant_id: UUID, note: Callable[[Tx], Awaitable[Noted]]) -> asyncio.Task[Noted]:
        """Notes what became of a call, again where the database does not answer."""

        async def noted() -> Noted:
            async with self._database.tenant_tx(tenant_id) as tx:
                return await note(tx)

        return self._background.start(persistently(noted, _PATIENCE_SECONDS), "idempotency key")


def _answer(found: Remembered, hashes: Sequence[str]) -> bytes:
    """Raises IdempotencyKeyReused."""
    if found.request_hash not in hashes:
        raise IdempotencyKeyReused
    assert found.response is not None
    return found.response
