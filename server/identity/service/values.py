"""What the audit log keeps of the slice's objects: their fields as JSON values, and no secret among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from server.identity.domain import Role, RoleEntry, User


def user_values(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "email": user.email,
        "kind": user.kind,
        "full_name": user.full_name,
        "avatar_url": user.avatar_url,
        "phone": user.phone,
        "locale": user.locale,
        "timezone": user.timezone,
        "status": user.status,
        "email_verified": user.email_verified,
        **_deletion(user),
    }


def role_values(role: Role) -> dict[str, Any]:
    return {
        "name": role.name,
        "code": role.code,
        "description": role.description,
        "is_default": role.is_default,
        "priority": role.priority,
        **_deletion(role),
    }


def _deletion(of: User | Role) -> dict[str, Any]:
    return {"deleted_at": of.deleted_at and of.deleted_at.isoformat(), "deleted_by": of.deleted_by}


def entry_values(entries: Iterable[RoleEntry]) -> dict[str, Any]:
    return {entry.permission.value: "allow" if entry.allow else "deny" for entry in entries}
