"""An answer that comes in one piece does not keep others from theirs, whatever is in it."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from server.llm.anthropic import AnthropicChat, AnthropicEndpoint
from server.llm.endpoint import HttpEndpoint
from server.llm.http import MOST_WHOLE_BRACKETS, MOST_WHOLE_BYTES, read_whole
from server.llm.openai import OpenAIChat
from server.llm.port import ChatChunk, ModelResponseInvalid
from server.llm.sse import ChunkReader
from tests.fakes.openai_stub import OpenAIStub
from tests.unit.llm.chats import asking, text_of

PART = 65_536


class _Parts:
    """An answer on its way. `taken`: bytes that were read of it."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), PART):
            self.taken = start + PART
            yield self._content[start : start + PART]


def _answer(text: str, **beside: Any) -> bytes:
    return orjson.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], **beside})


@pytest.fixture
def parsed_aside(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each piece of JSON that was parsed so far, whether that was in another thread than the loop's."""
    threads: list[bool] = []
    loop = threading.get_ident()

    def loads(content: bytes) -> Any:
        threads.append(threading.get_ident() != loop)
        return json.loads(content)

    monkeypatch.setattr(orjson, "loads", loads)
    return threads


async def _chunks(chat: OpenAIChat | AnthropicChat, words: int) -> list[ChatChunk]:
    async with aclosing(chat.stream(asking(f"stub-fast-{words}", streams=False, max_tokens=100_000))) as batches:
        return [chunk async for batch in batches for chunk in batch]


@pytest.mark.parametrize(("words", "aside"), [(3, False), (50_000, True)])
async def test_a_long_answer_is_looked_through_aside(
    endpoint: HttpEndpoint, parsed_aside: list[bool], words: int, aside: bool
) -> None:
    chunks = await _chunks(OpenAIChat(endpoint), words)

    assert text_of(chunks) == "".join(f"t{number} " for number in range(words))
    assert parsed_aside == [aside]


@pytest.mark.parametrize(("words", "aside"), [(3, False), (50_000, True)])
async def test_a_long_answer_of_anthropics_is_looked_through_aside(
    stub: OpenAIStub, parsed_aside: list[bool], words: int, aside: bool
) -> None:
    endpoint = AnthropicEndpoint(stub.base_url, "key-of-the-stub")
    try:
        chunks = await _chunks(AnthropicChat(endpoint), words)
    finally:
        await endpoint.close()

    assert text_of(chunks) == "".join(f"t{number} " for number in range(words))
    assert parsed_aside == [aside]


async def test_a_long_text_is_an_answer() -> None:
    text = "def answer(values: dict[str, list[int]]) -> int: return {'ÿ': [1]}\n" * 10_000

    assert await read_whole(aiter(_Parts(_answer(text))), ChunkReader().whole) == ChatChunk(text, "stop")


@pytest.mark.parametrize("beside", [[[]] * MOST_WHOLE_BRACKETS, [{}] * MOST_WHOLE_BRACKETS])
async def test_more_lists_and_objects_than_a_model_writes_are_not_parsed(
    beside: list[Any], parsed_aside: list[bool]
) -> None:
    with pytest.raises(ModelResponseInvalid):
        await read_whole(aiter(_Parts(_answer("a", beside=beside))), ChunkReader().whole)

    assert parsed_aside == []


async def test_no_more_than_a_model_writes_is_read(parsed_aside: list[bool]) -> None:
    parts = _Parts(_answer("a" * 3 * MOST_WHOLE_BYTES))

    with pytest.raises(ModelResponseInvalid):
        await read_whole(aiter(parts), ChunkReader().whole)

    assert parts.taken == MOST_WHOLE_BYTES + PART
    assert parsed_aside == []
