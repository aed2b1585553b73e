"""How a streamed answer is read: no more of it than was asked for, and in turn with what is beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from server.llm.metering import AnswerMeter
from server.llm.port import ChatChunk, ChatRequest, Message, ModelAnswerTooLong, ModelUnavailable
from server.llm.sse import ChunkReader
from server.llm.streamed import read_events

REQUEST = ChatRequest("model", [Message("user", "Hello")], temperature=0, max_tokens=100)
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
NO_TEXT = TEXT.replace(b'"a"', b'""')
COUNT = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
MOST_READ = 2_000_000


class Source:
    """Gives the pieces, and then the last of them again and again."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.given = 0

    async def __call__(self) -> bytes:
        piece = self._pieces.pop(0) if len(self._pieces) > 1 else self._pieces[0]
        self.given += len(piece)
        return piece


async def _read(source: Callable[[], Awaitable[bytes]], wordless: float = 3600.0) -> str:
    async def drain() -> None:
        pass

    events = read_events(ChunkReader(), AnswerMeter(REQUEST), source, drain, wordless)
    return "".join([chunk.text async for batch in events for chunk in batch if isinstance(chunk, ChatChunk)])


@pytest.mark.parametrize(
    "piece", [b"\n", b": at work\n\n", NO_TEXT, COUNT], ids=["empty lines", "comments", "no text", "counts"]
)
@pytest.mark.parametrize("begin", [b"", TEXT], ids=["from the beginning", "behind some text"])
async def test_what_writes_nothing_without_end_is_broken_off(piece: bytes, begin: bytes) -> None:
    source = Source(begin + piece * 1000, piece * 1000)

    with pytest.raises(ModelAnswerTooLong):
        await _read(source)

    assert source.given < MOST_READ


async def test_an_event_for_each_token_that_is_held_back_is_no_flood() -> None:
    assert await _read(Source((NO_TEXT * 5 + TEXT) * 100, END)) == "a" * 100


async def test_what_is_beside_it_has_its_turns_while_much_is_read() -> None:
    turns = 0

    async def beside() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(beside())
    await _read(Source(NO_TEXT * 10_000, END))
    task.cancel()

    assert turns > len(NO_TEXT) * 10_000 / 20_000


async def test_how_long_a_reader_takes_is_no_silence_of_the_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 0.0
    monkeypatch.setattr("server.llm.streamed.monotonic", lambda: moment)

    async def drain() -> None:
        pass

    texts = []
    async for batch in read_events(
        ChunkReader(), AnswerMeter(REQUEST), Source(TEXT, COUNT, b": at work\n\n", END), drain, 1.0
    ):
        texts += [chunk.text for chunk in batch]
        moment += 60.0

    assert "".join(texts) == "a"


async def test_one_that_says_nothing_but_that_it_is_at_work_counts_as_silent() -> None:
    with pytest.raises(ModelUnavailable):
        await _read(Source(b": at work\n\n"), wordless=0.0)
    with pytest.raises(ModelUnavailable):
        await _read(Source(TEXT, COUNT), wordless=0.0)

    assert await _read(Source(TEXT, TEXT, END), wordless=0.0) == "aa"
