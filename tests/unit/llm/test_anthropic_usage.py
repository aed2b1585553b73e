"""What an answer of Claude's uses, of which its provider tells at the end alone."""

from __future__ import annotations

import pytest

from server.llm.anthropic import AnthropicChat, AnthropicEndpoint
from server.llm.port import ChatChunk, ModelAnswerBroken, Usage
from tests.unit.llm.chats import asking, heard_into


async def test_words_that_are_long_are_no_more_tokens_than_were_asked_for(claude: AnthropicEndpoint) -> None:
    chunks: list[ChatChunk] = []
    with pytest.raises(ModelAnswerBroken):
        await heard_into(chunks, AnthropicChat(claude), asking("stub-cut-sentences-20", max_tokens=40))

    assert chunks[-1].usage == Usage(11, completion_tokens=40, cached_tokens=4, estimated=True)


async def test_an_answer_of_long_tokens_is_not_too_long_as_it_is_estimated_here(claude: AnthropicEndpoint) -> None:
    """The API counts at the end alone: until then it is about four bytes to a token, and these have six."""
    chunks: list[ChatChunk] = []
    await heard_into(chunks, AnthropicChat(claude), asking("stub-fast-2900", max_tokens=3000))

    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.completion_tokens, chunks[-1].usage.estimated) == (2900, False)
