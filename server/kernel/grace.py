"""The time from the word to stop to the end of the process: one deadline, of which every part is given what is left."""

from __future__ import annotations

from time import monotonic

_RECORDING_SECONDS = 1.0
_RECORDING_PART = 0.25


class Grace:
    """How long what is under way may still take, counted from the word to stop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._recording = min(_RECORDING_SECONDS, seconds * _RECORDING_PART)
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
