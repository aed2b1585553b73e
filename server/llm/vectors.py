"""The vectors of an answer, taken out of it while it comes.

An answer of some hundred vectors has tens of megabytes, and more than ten times as many once it is Python's objects;
and orjson holds the interpreter while it parses, also in a thread of its own. So each vector is parsed by itself, as
soon as it is there, and is its floats from then on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import orjson

from server.llm.metering import estimated
from server.llm.port import EmbeddingResult, ModelResponseInvalid, Usage, Vector
from server.llm.sse import whole_number

_MOST_DIMENSIONS = 8192
"""More than any model has whose own are not known."""

_MOST_NUMBER_BYTES = 32
"""A number in plain JSON with what stands around it, pretty-printed too. In base64 it has 5.3."""

_MOST_AROUND_BYTES = 256
"""What else a vector's object holds: its index, its type."""

_LEAST_BYTES = 65_536
"""An answer is looked at when so much more of it has come: at each read, the reading of one long vector would cost the
square of its length. It is also the least that may stand before the vectors and behind them.
"""

_EMBEDDING = re.compile(rb'"embedding"\s*+:\s*+(\[[^\]"\[{]*+\]|"[^"]*+")')
"""Base64, or a list of what are no texts, lists or objects. No text in JSON holds this: its quotes are escaped."""


class VectorReader:
    """Reads the answer to a request for vectors. `dimensions`: the length that they must have; None: all the same.

    What it holds is bounded by how many vectors of that length there are to be, whatever comes.
    """

    def __init__(self, texts: Sequence[str], dimensions: int | None) -> None:
        self._texts = texts
        self._dimensions = dimensions
        self._most_bytes = _MOST_NUMBER_BYTES * (dimensions or _MOST_DIMENSIONS) + _LEAST_BYTES
        self._most_around = _MOST_AROUND_BYTES * len(texts) + _LEAST_BYTES
        self._vectors: list[Vector] = []
        self._around = bytearray()
        self._rest = bytearray()
        self._due = _LEAST_BYTES

    def feed(self, data: bytes) -> None:
        """Takes what has come. Raises ModelResponseInvalid."""
        self._rest += data
        if len(self._rest) >= self._due:
            self._take()

    def result(self) -> EmbeddingResult:
        """One vector a text, once all has come. Raises ModelResponseInvalid."""
        self._take()
        try:
            body = orjson.loads(self._around + self._rest)
            rows: list[dict[str, Any]] = body["data"]
            places = [_place(row, place) for place, row in enumerate(rows)]
            found = dict(zip(places, self._vectors, strict=True))
            # One for each text: with an index twice, or of no text, nobody knows whose they are.
            if len(rows) != len(self._texts):
                raise ModelResponseInvalid
            vectors = [found[index] for index in range(len(self._texts))]
            usage = _told(body) or estimated(self._texts)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ModelResponseInvalid from None
        return EmbeddingResult(vectors, usage)

    def used(self) -> Usage | None:
        """What an answer has used that gives no result: as it tells, or about where vectors came; None: neither did."""
        with suppress(ValueError, LookupError, TypeError, AttributeError):
            if (told := _told(orjson.loads(self._around + self._rest))) is not None:
                return told
        return estimated(self._texts) if self._vectors else None

    def _take(self) -> None:
        content, end = bytes(self._rest), 0
        for match in _EMBEDDING.finditer(content):
            self._vectors.append(self._vector(match[1]))
            if len(self._vectors) > len(self._texts):
                raise ModelResponseInvalid
            self._around += content[end : match.start()] + b'"embedding":null'
            end = match.end()
        del self._rest[:end]
        self._due = len(self._rest) + _LEAST_BYTES
        if len(self._rest) > self._most_bytes or len(self._around) > self._most_around:
            raise ModelResponseInvalid

    def _vector(self, told: bytes) -> Vector:
        """Base64 of little-endian floats, as asked for, or the plain list that some endpoints answer with all the same.

        Raises ModelResponseInvalid for what is none, or has another length than the model's or those before it.
        """
        if len(told) > self._most_bytes:
            raise ModelResponseInvalid
        try:
            value = orjson.loads(told)
            if isinstance(value, str):
                found = np.frombuffer(base64.b64decode(value, validate=True), "<f4")
            else:
                with np.errstate(over="ignore"):  # what is too large becomes infinite
                    found = np.array(value, "<f4")
        except (ValueError, TypeError):
            raise ModelResponseInvalid from None
        self._dimensions = self._dimensions or min(len(found), _MOST_DIMENSIONS)
        if not len(found) or len(found) != self._dimensions or not np.isfinite(found).all():
            raise ModelResponseInvalid
        return found


def _told(body: dict[str, Any]) -> Usage | None:
    """What the answer says that reading the texts took. Raises what looking into another form raises."""
    told = body.get("usage") or {}
    # Voyage has no other word for it than the total; some say a nought, which no text takes.
    read = told.get("prompt_tokens") or told.get("total_tokens")
    return Usage(int(read)) if read else None


def _place(row: dict[str, Any], place: int) -> int:
    """Whose vector it is. Gemini leaves out a nought, and others leave out what their order says."""
    index = row.get("index")
    return place if index is None else whole_number(index)
