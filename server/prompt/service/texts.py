"""Texts that were rendered, remembered: a prompt is asked for again and again, and often with the same values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

MOST_BYTES = 16 * 1024 * 1024
"""What is remembered together at most, values and texts."""

_MOST_BYTES_OF_ONE = 64 * 1024
_BYTES_AT_LEAST = 500
_BYTES_OF_CHARACTER = 4


class Texts:
    """Remembers by a mark of what was rendered and the values that it was rendered with; what was used last is kept
    longest.

    Nothing but these has a say in a text: templates know no moment and no chance.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: OrderedDict[tuple[int, bytes], tuple[Sequence[str], int]] = OrderedDict()

    def recall(self, of: int, values: bytes) -> Sequence[str] | None:
        """The texts, one or one for each turn; None: they are not remembered."""
        known = self._known.get((of, values))
        if known is None:
            return None
        self._known.move_to_end((of, values))
        return known[0]

    def keep(self, of: int, values: bytes, texts: Sequence[str]) -> None:
        """Remembers the texts, unless they are long."""
        size = _BYTES_AT_LEAST + len(values) + _BYTES_OF_CHARACTER * sum(map(len, texts))
        if size > _MOST_BYTES_OF_ONE or (of, values) in self._known:
            return
        self._known[of, values] = texts, size
        self._bytes += size
        while self._bytes > self._most_bytes:
            _, (_, dropped) = self._known.popitem(last=False)
            self._bytes -= dropped
