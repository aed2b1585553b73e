"""JSON that goes deep."""

from __future__ import annotations

from typing import Any


def nested(depth: int) -> dict[str, Any]:
    """So many objects inside one another."""
    made: dict[str, Any] = {}
    for _ in range(depth - 1):
        made = {"of": made}
    return made
