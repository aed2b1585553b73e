"""The order of what was found, and its scores."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.knowledge.ranking import Candidate, Mode, ranked

_MODES: list[Mode] = ["vector", "text", "hybrid"]


def _found(n: int, similarity: float | None = None, bm25: float | None = None, bound: float = 20.0) -> Candidate:
    return Candidate(UUID(int=n), UUID(int=1), UUID(int=2), similarity, bm25, None if bm25 is None else bound)


def _order(candidates: list[Candidate], mode: Mode, top_k: int = 10) -> list[int]:
    return [hit.chunk_id.int for hit in ranked(candidates, mode, top_k)]


_SIMILARITY = st.none() | st.floats(-1, 1)
_BM25 = st.none() | st.floats(0, 500)
_CANDIDATES = st.lists(st.tuples(_SIMILARITY, _BM25), max_size=30).map(
    lambda pairs: [_found(n, similarity, bm25, 500.0) for n, (similarity, bm25) in enumerate(pairs)]
)


@given(_CANDIDATES, st.sampled_from(_MODES), st.integers(1, 40))
def test_scores_are_from_0_to_1_and_fall(candidates: list[Candidate], mode: Mode, top_k: int) -> None:
    scores = [hit.score for hit in ranked(candidates, mode, top_k)]

    assert len(scores) == min(top_k, len(candidates))
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@given(_CANDIDATES, st.sampled_from(_MODES))
def test_the_order_does_not_depend_on_what_was_found_first(candidates: list[Candidate], mode: Mode) -> None:
    assert ranked(candidates[::-1], mode, 100) == ranked(candidates, mode, 100)


def test_by_vector_the_score_is_the_cosine_and_none_is_below_0() -> None:
    hits = ranked([_found(1, -0.2), _found(2, 0.7), _found(3, -0.1)], "vector", 10)

    assert [(hit.chunk_id.int, hit.score, hit.similarity) for hit in hits] == [
        (2, 0.7, 0.7),
        (3, 0.0, -0.1),
        (1, 0.0, -0.2),
    ]


def test_by_words_the_score_is_how_much_of_them_there_is() -> None:
    (hit,) = ranked([_found(1, bm25=5.0, bound=20.0)], "text", 10)

    assert (hit.score, hit.bm25, hit.similarity) == (0.25, 5.0, None)


def test_words_decide_where_vectors_tell_nothing_apart() -> None:
    assert _order([_found(1, 0.80, 2.0), _found(2, 0.82, 16.0), _found(3, 0.81, 9.0)], "hybrid") == [2, 3, 1]


def test_vectors_decide_where_words_tell_nothing_apart() -> None:
    assert _order([_found(1, 0.2, 2.1), _found(2, 0.8, 2.0), _found(3, 0.3, 2.2)], "hybrid") == [2, 3, 1]


def test_what_both_ways_find_is_before_what_one_finds() -> None:
    assert _order([_found(1, 0.5), _found(2, 0.5, 8.0), _found(3, None, 8.0)], "hybrid")[0] == 2


@pytest.mark.parametrize("mode", _MODES)
def test_of_nothing_there_is_no_order(mode: Mode) -> None:
    assert ranked([], mode, 10) == []
