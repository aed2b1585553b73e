"""Documents in pieces: where they are cut, what they have in common, and that nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from server.knowledge.chunking import Piece, chunks
from server.knowledge.parsing.parse import parse
from server.knowledge.parsing.parsed import Mark, Parsed
from server.knowledge.parsing.types import HTML, MARKDOWN
from server.knowledge.tokens import Tokens, local_tokens
from tests.unit.knowledge import documents

ENGLISH = (
    "Horns are grown by bulls and goats. They are made of keratin, as nails are. A goat keeps its horns for life. "
    "A deer has antlers. They are of bone, and fall off each year. "
)
CHINESE = "人工智能平台的后端面向许多客户。文档在这里被读取！然后分成小段？每段都有自己的位置。最后它们被检索出来。"


def characters(texts: Sequence[str]) -> list[list[int]]:
    """One token a character, whichever."""
    return [list(range(len(text))) for text in texts]


def words(texts: Sequence[str]) -> list[list[int]]:
    return [[match.start() for match in regex.finditer(r"\S+", text)] for text in texts]


def contents(pieces: Sequence[Piece]) -> list[str]:
    return [piece.content for piece in pieces]


def check(parsed: Parsed, pieces: Sequence[Piece], size: int, overlap: int) -> None:
    """What holds of every document, with one token a character."""
    text = parsed.text
    covered = set()
    ends = {0} | {match.end() for match in regex.finditer(r"\X", text)}
    for piece in pieces:
        assert text[piece.start_offset : piece.end_offset] == piece.content
        assert piece.content
        assert piece.content.strip()
        assert piece.token_count == len(piece.content)
        assert piece.token_count <= size or len(regex.findall(r"\X", piece.content)) == 1
        assert {piece.start_offset, piece.end_offset} <= ends
        covered |= set(range(piece.start_offset, piece.end_offset))
    for one, other in pairwise(pieces):
        assert one.start_offset < other.start_offset
        assert one.end_offset < other.end_offset
        assert one.end_offset - other.start_offset <= overlap
    assert all(character.isspace() for at, character in enumerate(text) if at not in covered)


def any_text() -> st.SearchStrategy[str]:
    parts = st.sampled_from(
        [
            "a",
            "Word",
            " ",
            "  ",
            "\n",
            "\n\n",
            ". ",
            "! ",
            "。",
            "，",
            "中文",
            "「",
            "」",
            "e\u0301",
            "👩‍👩‍👧",
            "🇩🇪🇫🇷",
            "- ",
            "\u0301",
        ]
    )
    return st.lists(parts, max_size=80).map("".join) | st.text(max_size=200)


@settings(deadline=None, max_examples=500)
@given(data=st.data(), text=any_text(), size=st.integers(1, 40), overlap=st.integers(0, 40))
def test_pieces_are_the_text_in_order_without_a_loss(data: st.DataObject, text: str, size: int, overlap: int) -> None:
    places = st.lists(st.integers(0, len(text)), unique=True, max_size=6).map(sorted)
    starts = data.draw(places)
    marks = [Mark(at, None, (str(number),)) for number, at in enumerate(data.draw(places))]
    parsed = Parsed(text, marks, [block for block in list(pairwise(starts))[::2] if block[0] < block[1]])

    check(parsed, chunks(parsed, size, overlap, characters), size, overlap)


@settings(deadline=None, max_examples=100)
@given(text=st.text() | any_text(), size=st.integers(1, 30), overlap=st.integers(0, 20))
def test_with_real_tokens_nothing_is_lost_either(text: str, size: int, overlap: int) -> None:
    pieces = chunks(Parsed(text), size, overlap)

    assert all(text[piece.start_offset : piece.end_offset] == piece.content for piece in pieces)
    covered = {at for piece in pieces for at in range(piece.start_offset, piece.end_offset)}
    assert all(character.isspace() for at, character in enumerate(text) if at not in covered)


def test_a_piece_that_began_with_white_space_is_not_in_the_next_as_a_whole() -> None:
    parsed = Parsed(" a aa")

    pieces = chunks(parsed, 4, 2, characters)

    check(parsed, pieces, 4, 2)
    assert contents(pieces) == ["a", "aa"]


def test_a_text_that_fits_is_one_piece() -> None:
    (piece,) = chunks(Parsed(f"  {ENGLISH}"), 100, 10, words)

    assert piece == Piece(ENGLISH.strip(), 2, 1 + len(ENGLISH), None, (), len(ENGLISH.split()))


def test_a_text_is_cut_between_sentences() -> None:
    assert contents(chunks(Parsed(ENGLISH), 16, 0, words)) == [
        "Horns are grown by bulls and goats. They are made of keratin, as nails are.",
        "A goat keeps its horns for life. A deer has antlers.",
        "They are of bone, and fall off each year.",
    ]


def test_a_chinese_text_is_cut_between_sentences() -> None:
    assert contents(chunks(Parsed(CHINESE), 26, 0, characters)) == [
        "人工智能平台的后端面向许多客户。文档在这里被读取！",
        "然后分成小段？每段都有自己的位置。",
        "最后它们被检索出来。",
    ]


def test_paragraphs_go_before_sentences() -> None:
    text = "One two three. Four five six seven.\n\nEight nine. Ten eleven twelve."

    assert contents(chunks(Parsed(text), 10, 0, words)) == text.split("\n\n")


def test_a_sentence_is_cut_between_words_and_a_word_between_characters() -> None:
    assert contents(chunks(Parsed("aaa bbb ccc"), 8, 0, characters)) == ["aaa bbb", "ccc"]
    assert contents(chunks(Parsed("e\u0301" * 4), 3, 0, characters)) == ["e\u0301"] * 4
    assert contents(chunks(Parsed("🇩🇪🇫🇷" * 40), 3, 0, characters)) == ["🇩🇪", "🇫🇷"] * 40


def test_a_piece_begins_with_the_last_sentences_of_the_one_before() -> None:
    first, second, *_ = chunks(Parsed(ENGLISH), 20, 8, words)

    assert first.content.endswith("A goat keeps its horns for life.") or first.content.endswith("as nails are.")
    assert second.start_offset < first.end_offset
    assert ENGLISH[: second.start_offset].rstrip().endswith(".")


def test_what_is_under_another_heading_is_another_piece_and_has_nothing_of_the_one_before() -> None:
    parsed = parse(f"# Horns\n\n{ENGLISH}\n\n## Chinese\n\n{ENGLISH}".encode(), MARKDOWN)

    pieces = chunks(parsed, 60, 20, words)

    assert [piece.heading for piece in pieces] == [("Horns",), ("Horns", "Chinese")]
    assert [piece.content.split()[0] for piece in pieces] == ["Horns", "Chinese"]


def test_what_is_little_is_kept_with_what_is_under_the_next_heading() -> None:
    parsed = parse(b"# A\n\n## B\n\none\n\n## C\n\ntwo", MARKDOWN)

    (piece,) = chunks(parsed, 60, 20, words)

    assert piece.heading == ("A",)


def test_a_piece_is_on_the_page_that_it_begins_on() -> None:
    parsed = Parsed("One two.\n\nThree four.\n\nFive.", [Mark(0, 1, ()), Mark(10, 2, ()), Mark(23, 3, ())])

    assert [piece.page for piece in chunks(parsed, 2, 0, words)] == [1, 2, 3]


def test_a_table_is_kept_whole_where_it_can_be_and_else_its_rows_are() -> None:
    rows = "".join(f"<tr><td>row {number}<td>of. it" for number in range(6))
    parsed = parse(f"<p>{'Before it is text. ' * 4}</p><table>{rows}</table>".encode(), HTML)
    ((start, end),) = parsed.blocks

    whole = chunks(parsed, 32, 0, words)
    apart = chunks(parsed, 12, 0, words)

    assert (whole[-1].start_offset, whole[-1].end_offset) == (start, end)
    assert all(any(f"row {row} | of. it" in content for content in contents(apart)) for row in range(6))
    assert len(apart) < 6


def test_code_is_kept_whole_where_it_can_be() -> None:
    parsed = parse(documents.MARKDOWN.encode(), MARKDOWN)

    for size in range(6, 30):
        assert any("x = 1\n\ny = 2" in content for content in contents(chunks(parsed, size, 0, words)))


@pytest.mark.parametrize("bounds", [(0, 0), (-1, 0), (1, -1)])
def test_bounds_that_are_none_are_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        chunks(Parsed("a"), *bounds, characters)


@pytest.mark.parametrize("text", [ENGLISH * 40, CHINESE * 40, "中" * 5_000, "a" * 5_000], ids=lambda text: text[:5])
def test_the_local_models_tokens_are_counted_within_a_few(text: str) -> None:
    pieces = chunks(Parsed(text), 128, 16)

    counted = [len(tokens) for tokens in local_tokens(contents(pieces))]

    assert all(abs(count - piece.token_count) <= 3 for count, piece in zip(counted, pieces, strict=True))
    assert max(counted) <= 130


def test_parts_of_a_text_are_counted_as_its_tokens() -> None:
    text = json.dumps({"key": ENGLISH}) * 30
    tokens = Tokens(text, characters)

    assert tokens.count(10, 5_000) == 4_990
    assert (tokens.after(100, 50), tokens.before(100, 50)) == (150, 50)
    assert (tokens.after(len(text) - 3, 50), tokens.before(3, 50)) == (len(text), 0)
