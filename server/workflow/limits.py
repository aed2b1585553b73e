"""What JSON may be that executions and agents keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from server.workflow.definition import MOST_BYTES

MOST_DEPTH = 24
"""Lists and objects inside one another. Protobuf reads a hundred messages inside one another: an object is three, and
what a step comes to is inside what its execution comes to.
"""


def problem(value: Any, most_bytes: int = MOST_BYTES, most_values: int | None = None) -> str | None:
    """What is wrong with the value; None: nothing. `most_bytes`: of it as JSON; `most_values`: in it, lists and objects
    too; None: any number.
    """
    if depth(value) > MOST_DEPTH:
        return f"is nested deeper than {MOST_DEPTH}"
    if most_values is not None and sum(map(len, _levels(value))) > most_values:
        return f"has more than {most_values} values"
    if len(orjson.dumps(value)) > most_bytes:
        return f"has more than {most_bytes} bytes as JSON"
    return None


def depth(value: Any) -> int:
    """How many lists and objects are inside one another."""
    return sum(any(isinstance(one, list | dict) for one in level) for level in _levels(value))


def _levels(value: Any) -> Iterator[list[Any]]:
    """The value, what is directly in it, what is in that, and so on."""
    level = [value]
    while level:
        yield level
        inner = [one for one in level if isinstance(one, list | dict)]
        level = [item for one in inner for item in (one.values() if isinstance(one, dict) else one)]
