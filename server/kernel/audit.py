"""What the audit log says of a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Change:
    """One entry, for the audit log to complete with who, when and from where.

    `old`, `new`: the object's fields before and after, as JSON values; secrets and hashes never among them.
    `user_id`: for a call without a verified caller, the person it was about.
    """

    action: str
    resource_type: str
    resource_id: UUID | str | None = None
    old: Mapping[str, Any] | None = None
    new: Mapping[str, Any] | None = None
    details: Mapping[str, Any] | None = None
    status: Literal["success", "failure"] = "success"
    error_message: str | None = None
    user_id: UUID | None = None


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON has them: what is no JSON value becomes its text."""
    return {
        name: value if value is None or isinstance(value, bool | int | float | str | dict | list) else str(value)
        for name, value in values.items()
    }
