"""Version 7 UUIDs (RFC 9562, section 5.7): identifiers whose order is the order of their making."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

PLATFORM_TENANT_ID = UUID(int=0)
"""The tenant that is the platform itself: its administrators and whatever is public."""

_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62
_LAST_MILLISECOND = 253_402_300_799_000
_RANDOM_BITS = (1 << 62) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """A new id: 48 bits of milliseconds, 12 bits of their fraction, 62 random bits; rising within a process.

    The fraction of a millisecond stands in `rand_a` (method 3 of RFC 9562, section 6.2), so that ids made within one
    millisecond keep their order.
    """
    global _last
    with _lock:
        ticks = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        _last = ticks
    return _of(ticks)


def uuid7_at(moment: datetime, order: int = 0) -> UUID:
    """A new id of that moment, as if made then; of several of one moment, in their order."""
    ticks = (moment - _EPOCH) // _MICROSECOND * 4096 // 1000 + order
    return _of(ticks)


def uuid7_floor(moment: datetime) -> UUID:
    """The smallest version 7 id of the moment's millisecond: every id made from then on is at least this."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | _VERSION | _VARIANT)


def _of(ticks: int) -> UUID:
    """`ticks`: since 1970, 4,096 to a millisecond."""
    random = int.from_bytes(os.urandom(8)) & _RANDOM_BITS
    return UUID(int=(ticks >> 12) << 80 | _VERSION | (ticks & 0xFFF) << 64 | _VARIANT | random)


def uuid7_moment(id_: UUID) -> datetime:
    """When a version 7 id was made, to the millisecond; in the year 9999 where it says a later one."""
    return datetime.fromtimestamp(min(id_.int >> 80, _LAST_MILLISECOND) / 1000, UTC)
