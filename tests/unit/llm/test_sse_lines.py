"""Lines of server-sent events that are long, or have no end."""

from __future__ import annotations

import json
import tracemalloc

from server.llm.port import ChatChunk, ModelResponseInvalid
from server.llm.sse import MOST_BYTES, ChunkReader


def _delta(text: str) -> bytes:
    fields = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def test_a_line_without_end_is_not_gathered() -> None:
    reader = ChunkReader()
    reader.feed(b"data: ")

    for _ in range(MOST_BYTES // 65_536 - 1):
        assert reader.feed(b"x" * 65_536) == []

    assert reader.failure is None
    reader.feed(b"x" * 65_536)
    assert isinstance(reader.failure, ModelResponseInvalid)


def test_what_has_come_of_a_long_line_is_not_copied_with_every_piece() -> None:
    """What the pieces allocate is counted."""
    line = _delta("x" * (MOST_BYTES - 1000)).strip()
    reader, allocated = ChunkReader(), 0

    tracemalloc.start()
    for start in range(0, len(line), 1024):
        piece = line[start : start + 1024]
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        reader.feed(piece)
        allocated += tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()

    assert allocated < 10 * len(line)
    assert reader.feed(b"\n\n") == [ChatChunk("x" * (MOST_BYTES - 1000))]


def test_a_line_may_not_be_longer_however_small_its_pieces_are() -> None:
    line = _delta("x" * MOST_BYTES)
    reader = ChunkReader()

    taken = 0
    while reader.failure is None:
        assert reader.feed(line[taken : taken + 64]) == []
        taken += 64

    assert isinstance(reader.failure, ModelResponseInvalid)
    assert MOST_BYTES < taken <= MOST_BYTES + 64


def test_a_line_may_not_be_longer_where_its_end_comes_with_it() -> None:
    reader = ChunkReader()

    assert reader.feed(_delta("x" * MOST_BYTES)) == []
    assert isinstance(reader.failure, ModelResponseInvalid)
