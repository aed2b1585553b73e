"""The time from the word to stop to the end of the process: one deadline, of which every part is given what is left."""

from __future__ import annotations

from time import monotonic

_LAST_SECONDS = 1.0
_LAST_PART = 0.25


def last(seconds: float) -> float:
    """The last seconds of a time to end in, which are left to whatever comes after: of a short time a part."""
    return min(_LAST_SECONDS, seconds * _LAST_PART)


class Grace:
    """How long what is under way may still take, counted from the word to stop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._recording = last(seconds)
        self._ends_at: float | None = None

    def begin(self) -> None:
        """The word to stop. Heard again, it changes nothing."""
        if self._ends_at is None:
            self._ends_at = monotonic() + self._seconds

    @property
    def left(self) -> float:
        """Seconds until the end; all of them while nobody has said to stop."""
        return self._seconds if self._ends_at is None else max(0.0, self._ends_at - monotonic())

    @property
    def to_finish(self) -> float:
        """Seconds until what has not finished is cut short: before the end, so that what it used can be recorded."""
        return max(0.0, self.left - self._recording)
