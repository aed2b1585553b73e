"""What is checked of what models say."""

from __future__ import annotations

from typing import Any

import orjson

from server.workflow.errors import AnswerNotJson


def whole(text: str) -> str:
    """Providers may send half a character; where the other half does not follow, it is the sign for what is none."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_json(text: str) -> Any:
    """Models like to put it between fences. Raises AnswerNotJson."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json").strip()
    try:
        return orjson.loads(bare)
    except orjson.JSONDecodeError:
        raise AnswerNotJson from None
