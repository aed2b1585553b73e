"""What was used of models: what it may be asked by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from server.kernel.errors import InvalidArgument

Dimension = Literal["day", "model", "user", "api_key", "prompt_version"]


class DimensionsExclusive(InvalidArgument):
    """Usage is kept by user, by API key and by prompt version, and not by two of them at once."""

    def __init__(self) -> None:
        super().__init__(
            [("group_by", "names two of user, API key and prompt version, or one beside another's filter")]
        )


class _Kept(NamedTuple):
    column: str
    grain: str | None
    """Where it is kept; None: everywhere."""


DIMENSIONS: Mapping[Dimension, _Kept] = {
    "day": _Kept("day", None),
    "model": _Kept("model_id", None),
    "user": _Kept("user_id", "user"),
    "api_key": _Kept("api_key_id", "api_key"),
    "prompt_version": _Kept("prompt_template_version_id", "prompt"),
}


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Sums, in the order of their dimensions. `follows`: those of the last one, where more sums are behind it."""

    sums: Sequence[Usage]
    follows: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over calls. `by`: what they have in common."""

    by: Mapping[Dimension, Any]
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: Decimal
    errors: int
    latency_ms: int


def grain_of(by: Iterable[Dimension], filters: Iterable[str]) -> str:
    """Where sums by these, of these columns, are kept. Raises DimensionsExclusive."""
    grains = {DIMENSIONS[dimension].grain for dimension in by}
    grains |= {kept.grain for kept in DIMENSIONS.values() if kept.column in set(filters)}
    kept = {grain for grain in grains if grain is not None}
    if len(kept) > 1:
        raise DimensionsExclusive
    return kept.pop() if kept else "model"
