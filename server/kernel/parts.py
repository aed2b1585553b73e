"""Rows that are streamed as text: in numbered parts, each of which can be gone on behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream of rows goes on: behind a row. `seq`, `rows`: how many parts and rows came up to there."""

    seq: int
    rows: int
    table: str
    key: Sequence[str]


@dataclass(frozen=True, slots=True)
class Lines:
    """A part. `behind`: where it ends; None: within a line, which the next one goes on with."""

    seq: int
    lines: bytes
    behind: Place | None


@dataclass(frozen=True, slots=True)
class Beat:
    """There is no more yet."""

    seq: int


@dataclass(frozen=True, slots=True)
class Ended:
    """That was all. `rows`: how many rows it was, from the beginning."""

    seq: int
    rows: int
