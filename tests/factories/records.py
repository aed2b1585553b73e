"""Records of calls that were not made."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from server.kernel.ids import uuid7
from server.model.domain import CallLog


def make_record(**changes: Any) -> CallLog:
    """Of a chat that just ended."""
    values: dict[str, Any] = {
        **dict.fromkeys(CallLog.__dataclass_fields__),
        "id": uuid7(),
        "model_id": uuid4(),
        "kind": "chat",
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "cached_tokens": 0,
        "total_tokens": 7,
        "total_cost": Decimal("0.5"),
        "status": "success",
        "created_at": datetime.now(UTC),
        "attempts": 1,
        "reasoning_tokens": 0,
        "cached": False,
    }
    return CallLog(**values | changes)
