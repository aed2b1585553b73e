"""From when on entries of the audit log may still come."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime
from math import inf
from time import monotonic

from server.audit.store import entries
from server.db.database import Database

_MOST_LOOKS = 1_000
_PAUSE_SECONDS = 0.05


class Settling:
    """Knows up to when all entries are seen.

    They are seen when their transaction ends, and lie in the order in which they were made: of those made before a
    moment all are there once every transaction has ended that was under way then.
    """

    def __init__(self, database: Database, every: float = 0.0) -> None:
        """`every`: seconds between two looks at the database; whoever asks in between is told what the last found."""
        self._database = database
        self._every = every
        self._looked_at = -inf
        self._looking = asyncio.Lock()
        self._looks: deque[tuple[datetime, int]] = deque(maxlen=_MOST_LOOKS)
        self._until: datetime | None = None

    async def look(self) -> datetime | None:
        """Until when, by the database's clock; None: it cannot be told yet."""
        async with self._looking:
            if monotonic() - self._looked_at >= self._every:
                async with self._database.global_tx() as tx:
                    moment, number, oldest = await entries.under_way(tx)
                self._looked_at = monotonic()
                while self._looks and self._looks[0][1] < oldest:
                    self._until = self._looks.popleft()[0]
                self._looks.append((moment, number))
        return self._until


async def settled(database: Database, patience: float) -> datetime | None:
    """Until when, as of now; None where a transaction that is under way goes on for longer than so many seconds."""
    settling = Settling(database)
    for _ in range(round(patience / _PAUSE_SECONDS)):
        if (until := await settling.look()) is not None:
            return until
        await asyncio.sleep(_PAUSE_SECONDS)  # nobody tells when another's transaction ends
    return None
