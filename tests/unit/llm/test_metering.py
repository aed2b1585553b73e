"""What is counted where a provider does not count, or has not yet."""

from __future__ import annotations

import pytest

from server.llm.metering import AnswerMeter
from server.llm.port import ChatChunk, ChatRequest, Message, ModelAnswerTooLong, ToolCallDelta, Usage

REQUEST = ChatRequest("model", [Message("user", "x" * 400)], temperature=0, max_tokens=100)


@pytest.mark.parametrize(
    ("chunks", "tokens"),
    [
        ([ChatChunk("a"), ChatChunk("b")], 2),
        ([ChatChunk("x" * 40), ChatChunk("y" * 40)], 20),
        ([ChatChunk("租户租户")], 3),
        ([ChatChunk(tool_calls=(ToolCallDelta(0, "id" * 50, "n" * 8, "a" * 32),))], 10),
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


def test_no_more_is_estimated_than_was_asked_for() -> None:
    """A token may have many bytes, and thoughts come beside what is held to the most that was asked for."""
    meter = AnswerMeter(REQUEST)

    (written,) = meter.counted([ChatChunk("x" * 1200)])
    (thought,) = meter.counted([ChatChunk(thought=4000)])
    (last,) = meter.counted([ChatChunk("y" * 1200)])

    assert meter.failure is not None
    assert [chunk.usage for chunk in (written, thought, last)] == [Usage(101, 100, estimated=True)] * 3


def test_what_the_provider_counts_is_not_estimated() -> None:
    meter = AnswerMeter(REQUEST)
    told = Usage(7, 3)

    counted = [
        chunk for chunk in (ChatChunk("x" * 40), ChatChunk("", "stop", told)) for chunk in meter.counted([chunk])
    ]

    assert counted[-1].usage == told


@pytest.mark.parametrize(
    ("told", "used"),
    [
        (Usage(0, 0), Usage(101, 10, estimated=True)),
        (Usage(7, 0, 3), Usage(7, 10, 3, estimated=True)),
        (Usage(0, 3), Usage(101, 3, estimated=True)),
        (Usage(7, 3), Usage(7, 3)),
    ],
)
@pytest.mark.parametrize("reason", [None, "stop"])
def test_a_nought_that_cannot_be_is_not_told(told: Usage, used: Usage, reason: str | None) -> None:
    """Some tell noughts until the end, and some have nothing else to tell."""
    meter = AnswerMeter(REQUEST)

    meter.counted([ChatChunk("x" * 20, usage=told)])
    (last,) = meter.counted([ChatChunk("x" * 20, reason, told)])

    assert last == ChatChunk("x" * 20, reason, used)


def test_an_answer_that_has_nothing_in_it_has_used_no_tokens_of_its_own() -> None:
    (last,) = AnswerMeter(REQUEST).counted([ChatChunk("", "stop", Usage(7, 0))])

    assert last.usage == Usage(7, 0)


@pytest.mark.parametrize(
    "chunks",
    [
        [ChatChunk("a")] * (116 * 16 + 1),
        [ChatChunk("x" * 2000)],
        [ChatChunk("x" * 20, usage=Usage(7, 1))] * 100,
        [ChatChunk("a", usage=Usage(7, 117))],
        [ChatChunk(thought=65_536), ChatChunk(thought=116 * 16 + 1)],
        [ChatChunk(tool_calls=(ToolCallDelta(0),))] * 117,
        [ChatChunk(tool_calls=(ToolCallDelta(0),) * 117)],
        [ChatChunk(tool_calls=(ToolCallDelta(0, "x" * 1_048_576),))] * 17,
    ],
    ids=[
        *("parts", "bytes", "bytes and a count that stands still", "as its provider counts", "thoughts without end"),
        *("parts of calls with nothing in them", "such parts in one piece", "ids without end"),
    ],
)
def test_an_answer_that_goes_on_beyond_what_was_asked_for_ends_with_what_it_used(chunks: list[ChatChunk]) -> None:
    meter = AnswerMeter(REQUEST)

    (last,) = meter.counted(chunks)

    assert isinstance(meter.failure, ModelAnswerTooLong)
    assert (last.text, last.usage is not None) == ("", True)


@pytest.mark.parametrize(
    "chunks",
    [
        [ChatChunk(letter) for letter in "These are about as many words as are asked for. " * 8],
        [ChatChunk(tool_calls=(ToolCallDelta(0, arguments=digit),)) for digit in "1234567890" * 30],
        [ChatChunk(" " * 128, usage=Usage(7, number)) for number in range(1, 101)],
        [ChatChunk(" " * 12_800, "stop", Usage(7, 100))],
        [ChatChunk(tool_calls=(ToolCallDelta(0),), usage=Usage(7, number)) for number in range(1, 101)],
        [ChatChunk(thought=65_536), ChatChunk(thought=116 * 16), ChatChunk("x" * 400)],
    ],
    ids=[
        *("letters", "digits of a call", "long tokens that are counted", "all of them in one piece", "hollow ones"),
        "behind long thoughts",
    ],
)
def test_an_answer_within_what_was_asked_for_is_whole_however_small_its_pieces_and_long_its_tokens_are(
    chunks: list[ChatChunk],
) -> None:
    meter = AnswerMeter(REQUEST)

    given = [part for chunk in chunks for part in meter.counted([chunk])]

    assert meter.failure is None
    assert [(part.text, part.tool_calls) for part in given] == [(part.text, part.tool_calls) for part in chunks]


def test_what_is_told_of_an_answer_that_is_over_is_what_it_used() -> None:
    """Thoughts count in it, and not every provider holds them to what was asked for."""
    meter = AnswerMeter(REQUEST)

    meter.counted([ChatChunk("a"), ChatChunk(finish_reason="stop"), ChatChunk(usage=Usage(7, 5000))])

    assert meter.failure is None


def test_thoughts_that_are_told_while_it_is_written_are_not_held_to_what_was_asked_for() -> None:
    meter = AnswerMeter(REQUEST)

    meter.counted([ChatChunk("a", usage=Usage(7, 5000, reasoning_tokens=4990))])

    assert meter.failure is None


def test_thoughts_that_are_shown_are_estimated_too() -> None:
    (last,) = AnswerMeter(REQUEST).counted([ChatChunk(thought=80)])

    assert last.usage == Usage(101, 20, estimated=True)
