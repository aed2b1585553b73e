"""Rendered texts that are remembered: which ones, and how many."""

from __future__ import annotations

from server.prompt.service.texts import Texts


def test_it_gives_what_was_kept_for_the_same_values_alone():
    texts = Texts()
    texts.keep(1, b"1", ["one"])
    assert texts.recall(1, b"1") == ["one"]
    assert texts.recall(1, b"2") is None
    assert texts.recall(2, b"1") is None


def test_what_was_used_longest_ago_makes_room():
    texts = Texts(most_bytes=2_500)
    for number in range(4):
        texts.keep(1, b"%d" % number, ["text"])
    assert texts.recall(1, b"0") is not None
    texts.keep(1, b"4", ["text"])
    assert [texts.recall(1, b"%d" % number) is not None for number in range(5)] == [True, False, True, True, True]


def test_one_long_text_does_not_take_the_place_of_many():
    texts = Texts()
    texts.keep(1, b"1", ["x" * 100_000])
    texts.keep(1, b"2" * 100_000, ["x"])
    assert texts.recall(1, b"1") is None
    assert texts.recall(1, b"2" * 100_000) is None


def test_keeping_one_again_counts_it_once():
    texts = Texts(most_bytes=1_100)
    for _ in range(100):
        texts.keep(1, b"1", ["x"])
    texts.keep(1, b"2", ["x"])
    assert texts.recall(1, b"1") == ["x"]
