"""JSON as callers may give it: how deep it goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_DEPTH = 24
"""Lists and objects inside one another. Protobuf reads a hundred messages inside one another: an object is three, and
what was given is told inside of other messages and objects.
"""

MOST_TOLD_DEPTH = 30
"""The same of what an answer has: more than that no client reads."""


def depth(value: Any) -> int:
    """How many lists and objects are inside one another."""
    return sum(any(isinstance(one, list | dict) for one in level) for level in levels(value))


def levels(value: Any) -> Iterator[list[Any]]:
    """The value, what is directly in it, what is in that, and so on."""
    level = [value]
    while level:
        yield level
        inner = [one for one in level if isinstance(one, list | dict)]
        level = [item for one in inner for item in (one.values() if isinstance(one, dict) else one)]


def shallow(value: Any, most: int) -> Any:
    """The same without the lists and objects that are deeper than so many: they are null."""
    if not isinstance(value, list | dict):
        return value
    if most == 0:
        return None
    if isinstance(value, dict):
        return {name: shallow(one, most - 1) for name, one in value.items()}
    return [shallow(one, most - 1) for one in value]
