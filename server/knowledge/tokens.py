"""Where the tokens of a text begin, so that any part of it can be counted without being read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from server.embedded.embedding import tokenizer

Tokenize: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[int]]]
"""For each text, where each of its tokens begins, in order: the offset, in characters, of the first in it that is not
white, if there is one.
"""

_ATOM = 2_000
"""Characters that are read at once: what a tokenizer takes grows faster than its text."""

_BATCH = 200


def local_tokens(texts: Sequence[str]) -> list[list[int]]:
    """Of the embedding model that comes with Atrium; other models' tokens are about as many."""
    encodings = tokenizer().encode_batch(list(texts), add_special_tokens=False)
    return [
        # A word has the space before it in its token.
        [start + (end - start > 1 and text[start] == " " != text[start + 1]) for start, end in encoding.offsets]
        for text, encoding in zip(texts, encodings, strict=True)
    ]


class Tokens:
    """The tokens of one text. Where it was read in parts there may be one more or less than in the whole."""

    def __init__(self, text: str, tokenize: Tokenize) -> None:
        found: list[NDArray[np.int32]] = []
        atoms = _atoms(text)
        while batch := list(islice(atoms, _BATCH)):
            for start, tokens in zip(batch, tokenize([text[start:end] for start, end in batch]), strict=True):
                found.append(np.asarray(tokens, np.int32) + np.int32(start[0]))
        self._starts = np.concatenate(found) if found else np.empty(0, np.int32)
        self._end = len(text)

    def count(self, start: int, end: int) -> int:
        """Those that begin between the offsets."""
        return self._index(end) - self._index(start)

    def after(self, start: int, count: int) -> int:
        """The furthest offset with no more than so many between."""
        index = self._index(start) + count
        return int(self._starts[index]) if index < len(self._starts) else self._end

    def before(self, end: int, count: int) -> int:
        """The first offset with no more than so many between."""
        index = self._index(end) - count
        if index <= 0:
            return 0
        start = int(self._starts[index])
        # A character of several tokens begins where the one before may already be one too many.
        return start if int(self._starts[index - 1]) < start else start + 1

    def _index(self, offset: int) -> int:
        # Of the array's own type: for another one, all of it would be copied.
        return int(np.searchsorted(self._starts, np.int32(offset)))


def _atoms(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = min(start + _ATOM, len(text))
        if end < len(text):
            # A token has at most the space before it in it.
            line, space = text.rfind("\n", start + 1, end), text.rfind(" ", start + 1, end)
            end = line if line > 0 else space if space > 0 else end
        yield start, end
        start = end
