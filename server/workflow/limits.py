"""What JSON may be that executions and agents keep."""

from __future__ import annotations

from typing import Any

import orjson

from server.workflow.definition import MOST_BYTES

MOST_DEPTH = 24
"""Lists and objects inside one another. Protobuf reads a hundred messages inside one another: an object is three, and
what a step comes to is inside what its execution comes to.
"""


def problem(value: Any, most_bytes: int = MOST_BYTES) -> str | None:
    """What is wrong with the value; None: nothing. `most_bytes`: of it as JSON."""
    if depth(value) > MOST_DEPTH:
        return f"is nested deeper than {MOST_DEPTH}"
    if len(orjson.dumps(value)) > most_bytes:
        return f"has more than {most_bytes} bytes as JSON"
    return None


def depth(value: Any) -> int:
    """How many lists and objects are inside one another."""
    level, found = [value], 0
    while inner := [one for one in level if isinstance(one, list | dict)]:
        found += 1
        level = [item for one in inner for item in (one.values() if isinstance(one, dict) else one)]
    return found
