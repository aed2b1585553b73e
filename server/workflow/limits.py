"""What JSON may be that executions and agents keep."""

from __future__ import annotations

from typing import Any

import orjson

from server.kernel.json import MOST_DEPTH, depth, levels
from server.workflow.definition import MOST_BYTES


def problem(value: Any, most_bytes: int = MOST_BYTES, most_values: int | None = None) -> str | None:
    """What is wrong with the value; None: nothing. `most_bytes`: of it as JSON; `most_values`: in it, lists and objects
    too; None: any number.
    """
    if depth(value) > MOST_DEPTH:
        return f"is nested deeper than {MOST_DEPTH}"
    if most_values is not None and sum(map(len, levels(value))) > most_values:
        return f"has more than {most_values} values"
    if len(orjson.dumps(value)) > most_bytes:
        return f"has more than {most_bytes} bytes as JSON"
    return None
