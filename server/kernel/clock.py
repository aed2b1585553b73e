"""The time. Whatever depends on it takes a `Clock`, so that a test can turn it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """The moment, aware, in UTC."""
    return datetime.now(UTC)
