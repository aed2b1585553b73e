"""Soft delete: what was deleted is hidden and kept, and only who may look at it is shown it."""

from __future__ import annotations

from typing import Literal

from server.kernel.errors import FailedPrecondition
from server.kernel.permissions import Permission
from server.kernel.principal import Principal

Deleted = Literal["exclude", "include", "only"]
"""Whether a read looks at live rows only, at all, or at deleted ones only."""


class NotDeleted(FailedPrecondition):
    """The {subject} is not deleted."""


def check_deleted(caller: Principal, deleted: Deleted) -> None:
    """Raises PermissionMissing where the caller asks for what was deleted and may not."""
    if deleted != "exclude":
        caller.require(Permission.DELETED_READ)
