"""The words of texts, and the literals that PostgreSQL reads them from."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.knowledge.words import LONGEST, MOST, counts_of, tsvector_of, words

_LEXEME = re.compile(r"'((?:[^'\\]|''|\\.)*)':([\d,]+)(?: |$)", re.DOTALL)


def _read(literal: str) -> dict[str, list[int]]:
    """A tsvector's literal, as PostgreSQL's manual describes it."""
    read, end = {}, 0
    while end < len(literal):
        found = _LEXEME.match(literal, end)
        assert found is not None, literal[end : end + 50]
        end = found.end()
        read[re.sub(r"''|\\(.)", lambda one: one[1] or "'", found[1])] = [int(place) for place in found[2].split(",")]
    return read


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Panthers' defence gave up", ["the", "panther", "defenc", "gave", "up"]),
        ("don't — DON’T", ["don't", "don't"]),
        ("Ada's machine", ["ada", "machin"]),
        ("1,234,567.5 of 3.14, 1,2 and 2024", ["1234567.5", "of", "3.14", "1", "2", "and", "2024"]),
        ("gpt-4o v2.1 snake_case", ["gpt", "4o", "v2.1", "snake", "case"]),
        ("Straße ＡＢＣ ﬁne", ["strass", "abc", "fine"]),
        ("Café déjà", ["café", "déjà"]),
        ("北京大学的学生", ["北京", "大学", "北京大学", "的", "学生"]),
        ("我用Python写3个程序", ["我用", "python", "写", "3", "个", "程序"]),
        ("東京タワー", ["東京", "タワ", "ワー"]),
        ("한국어 말", ["한국", "국어", "말"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("Привет, мир", ["привет", "мир"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        (" …!? 🎉 \x00\n", []),
    ],
)
def test_a_text_comes_to_its_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text())
def test_no_text_is_without_words_for_being_strange(text: str) -> None:
    for word in words(text):
        assert 0 < len(word) <= LONGEST
        assert word == word.strip()
        assert "\x00" not in word


@given(st.text())
def test_it_makes_no_difference_how_a_text_is_encoded_or_whether_it_shouts(text: str) -> None:
    assert words(text.casefold()) == words(text)


def test_a_word_that_is_too_long_for_anybody_to_ask_for_is_cut() -> None:
    assert words("a" * 5000 + "1") == ["a" * LONGEST]


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1)))
def test_a_literal_has_every_word_at_each_of_its_places(split: list[str]) -> None:
    read = _read(tsvector_of(split))

    assert read == {word: [n for n, one in enumerate(split, start=1) if one == word] for word in split}


def test_a_literal_has_no_more_places_than_a_tsvector_knows() -> None:
    read = _read(tsvector_of([f"w{n}" if n % 2 else "often" for n in range(20_000)]))

    assert max(place for places in read.values() for place in places) <= MOST
    assert len(read["often"]) == 255


def test_a_literal_has_room_in_a_tsvector_whatever_its_words_are() -> None:
    literal = tsvector_of(["語" * LONGEST + str(n) for n in range(MOST)])

    assert len(literal.encode()) < 1 << 20


def test_chunks_are_counted_by_word_once_each_and_by_length_in_full() -> None:
    counts = counts_of([["a", "b", "a"], ["b"], []])

    assert (counts.words, counts.chunks, counts.length) == ({"a": 1, "b": 2}, 3, 4)
