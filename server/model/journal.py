"""Counting calls that are noted: what other processes noted, and who sees that it is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from time import monotonic
from uuid import UUID

import structlog

from server.db.database import Database
from server.db.errors import is_unwritable
from server.kernel.errors import DatabaseUnavailable, TenantGone
from server.model.holds import Settlement
from server.model.store import journal as store

_log = structlog.get_logger("atrium.journal")

MOST_TOGETHER = 100
"""Calls that are counted in one transaction."""

_STUCK_SECONDS = 60.0

Enter = Callable[[UUID, Sequence[Settlement]], Awaitable[None]]
"""Enters calls in the ledger, which removes what is noted of them."""


class Stuck:
    """Calls that could not be counted: for a minute nobody of this process tries them again, or waits for them."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._until: dict[UUID, float] = {}

    def add(self, ids: Iterable[UUID]) -> None:
        self._until |= dict.fromkeys(ids, self._clock() + _STUCK_SECONDS)

    def without(self, ids: Iterable[UUID]) -> set[UUID]:
        """The others of these."""
        moment = self._clock()
        self._until = {one: until for one, until in self._until.items() if until > moment}
        return set(ids) - self._until.keys()


async def count(database: Database, enter: Enter, tenant_id: UUID, ids: Collection[UUID]) -> list[UUID]:
    """Counts those of these that are not counted yet, whoever noted them. Where that process comes to it after all,
    they count once. Gives those that could not be, and are tried again later. Raises DatabaseUnavailable.
    """
    every, stuck = list(ids), []
    for start in range(0, len(every), MOST_TOGETHER):
        some = every[start : start + MOST_TOGETHER]
        try:
            await _count(database, enter, tenant_id, some)
        except DatabaseUnavailable:
            raise
        except Exception:  # noqa: BLE001 - one of them cannot be counted, or somebody counts others of them
            stuck += [one for one in some if not await _count_one(database, enter, tenant_id, one)]
    return stuck


async def _count_one(database: Database, enter: Enter, tenant_id: UUID, call_log_id: UUID) -> bool:
    """Whether it needs no other try."""
    try:
        await _count(database, enter, tenant_id, [call_log_id])
    except DatabaseUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, others are counted
        if not is_unwritable(error):  # it is no fault of the call's, and is tried again
            _log.exception("a call stays noted", tenant_id=tenant_id, call_log_id=call_log_id)
            return False
        with suppress(TenantGone):  # nobody is to stumble over it again
            async with database.tenant_tx(tenant_id) as tx:
                removed = await store.remove(tx, call_log_id)
            _log.exception("a call is not written down", tenant_id=tenant_id, call_log_id=call_log_id, noted=removed)
    return True


async def _count(database: Database, enter: Enter, tenant_id: UUID, ids: Collection[UUID]) -> None:
    async with database.tenant_tx(tenant_id, read_only=True) as tx:
        settlements = await store.read(tx, ids)
    if settlements:
        await enter(tenant_id, settlements)
