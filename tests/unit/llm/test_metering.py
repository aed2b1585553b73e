"""What is counted where a provider does not count, or has not yet."""

from __future__ import annotations

import pytest

from server.llm.metering import AnswerMeter
from server.llm.port import ChatChunk, ChatRequest, Message, ToolCallDelta, Usage

REQUEST = ChatRequest("model", [Message("user", "x" * 400)], temperature=0, max_tokens=100)


@pytest.mark.parametrize(
    ("chunks", "tokens"),
    [
        ([ChatChunk("a"), ChatChunk("b")], 2),
        ([ChatChunk("x" * 40), ChatChunk("y" * 40)], 20),
        ([ChatChunk("租户租户")], 3),
        ([ChatChunk(tool_calls=(ToolCallDelta(0, "id", "n" * 8, "a" * 32),))], 10),
        ([ChatChunk(finish_reason="stop")], 0),
    ],
    ids=["a token a part", "many tokens a part", "bytes and not characters", "tool calls", "nothing"],
)
def test_an_answer_is_estimated_by_its_parts_or_by_its_bytes_whichever_is_more(
    chunks: list[ChatChunk], tokens: int
) -> None:
    meter = AnswerMeter(REQUEST)

    for chunk in chunks:
        last = meter.counted([chunk])[-1]

    assert last.usage == Usage(101, tokens, estimated=True)


def test_what_the_provider_counts_is_not_estimated() -> None:
    meter = AnswerMeter(REQUEST)
    told = Usage(7, 3)

    counted = [
        chunk for chunk in (ChatChunk("x" * 40), ChatChunk("", "stop", told)) for chunk in meter.counted([chunk])
    ]

    assert counted[-1].usage == told
