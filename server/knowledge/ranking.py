"""Ranking: how what was found by vector and what was found by words come to one order, and to scores of 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Mode = Literal["vector", "text", "hybrid"]

DEPTH = 50
"""How many each way finds, at the least, for the two to be weighed against each other."""

COSINE_SHARPNESS = 8.0
BM25_SHARPNESS = 0.25
"""How much likelier a chunk is the right one, as a power of e, for a score that is higher by 1.

Both were chosen by figures of XQuAD's questions in English and in Chinese, with the local embedding, with one that was
made better, and with questions of which two words in three were left out; what lies around them does as well. They are
not held to be better than words alone on sets like these: they are to lose nothing where one of the two ways is weak.
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that was found, by vector, by words or by both."""

    chunk_id: UUID
    base_id: UUID
    document_id: UUID
    similarity: float | None
    """The cosine, -1 to 1; None: nobody asked, or the chunk has no vector of that length."""
    bm25: float | None
    """From 0; None: it was not among those found by words."""
    bm25_bound: float | None
    """What no chunk's BM25 reaches, whatever it has of the words; None likewise."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that is given out. `score`: 0 to 1, by which they are ordered; the parts' raw scores are beside it."""

    chunk_id: UUID
    base_id: UUID
    document_id: UUID
    score: float
    similarity: float | None
    bm25: float | None


def ranked(candidates: Sequence[Candidate], mode: Mode, top_k: int) -> list[Hit]:
    """The best of them, the best first.

    The score is the cosine, clipped at 0 (vector); how much it has of the words, weighed by how rare they are (text);
    or how likely it is the right one of these candidates (hybrid).
    """
    match mode:
        case "vector":
            scores = [max(0.0, one.similarity or 0.0) for one in candidates]
            # Below 0 too, the nearer one comes first.
            keys = [-2.0 if one.similarity is None else one.similarity for one in candidates]
        case "text":
            scores = [one.bm25 / one.bm25_bound if one.bm25 and one.bm25_bound else 0.0 for one in candidates]
            keys = [one.bm25 or 0.0 for one in candidates]
        case "hybrid":
            scores = keys = _fused(candidates)
    order = sorted(range(len(candidates)), key=lambda n: (-keys[n], candidates[n].base_id, candidates[n].chunk_id))
    return [_hit(candidates[n], min(1.0, scores[n])) for n in order[:top_k]]


def _fused(candidates: Sequence[Candidate]) -> list[float]:
    """Of each, the mean of how likely it is by its vector and how likely by its words.

    A sum of scores or of ranks is as good as its weights, and a weight is right for one embedding and one kind of
    question. A softmax of the raw scores has none: where a way sets one chunk apart, that chunk has most of its
    likelihood; where it does not, as a weak embedding or words that are everywhere, that is spread over all of them and
    decides nothing. BM25 is a sum of logarithms of odds, which is what a softmax takes.
    """
    found = [one.similarity for one in candidates if one.similarity is not None]
    furthest = min(found, default=0.0)
    near = _softmax([COSINE_SHARPNESS * (furthest if one.similarity is None else one.similarity) for one in candidates])
    said = _softmax([BM25_SHARPNESS * (one.bm25 or 0.0) for one in candidates])
    return [(a + b) / 2 for a, b in zip(near, said, strict=True)]


def _softmax(values: Sequence[float]) -> list[float]:
    highest = max(values, default=0.0)
    powers = [math.exp(value - highest) for value in values]
    total = math.fsum(powers)
    return [power / total for power in powers]


def _hit(one: Candidate, score: float) -> Hit:
    return Hit(one.chunk_id, one.base_id, one.document_id, score, one.similarity, one.bm25)
