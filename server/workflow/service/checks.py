"""What is checked of callers, and of what models say."""

from __future__ import annotations

from typing import Any

import orjson

from server.kernel.errors import PermissionMissing
from server.kernel.permissions import Permission
from server.kernel.principal import current_call
from server.workflow.errors import AnswerNotJson


def check_permission(permission: Permission) -> None:
    """Raises PermissionMissing where the caller does not hold it, or not any more."""
    if permission not in current_call().caller.permissions:
        raise PermissionMissing(permission=permission)


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
