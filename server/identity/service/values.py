"""What the audit log keeps of the slice's objects: their fields as JSON values, and no secret among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from server.identity.domain import ApiKey, Role, RoleEntry, RoleGrant, Session, User


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
        "is_system": role.is_system,
        "is_default": role.is_default,
        "priority": role.priority,
        **_deletion(role),
    }


def _deletion(of: User | Role) -> dict[str, Any]:
    return {"deleted_at": of.deleted_at and of.deleted_at.isoformat(), "deleted_by": of.deleted_by}


def entry_values(entries: Iterable[RoleEntry]) -> dict[str, Any]:
    return {entry.permission.value: "allow" if entry.allow else "deny" for entry in entries}


def grant_values(role: Role, grant: RoleGrant | None) -> dict[str, Any] | None:
    """That somebody holds the role; None: that they do not."""
    if grant is None:
        return None
    return {
        "role": role.code,
        "granted_by": grant.granted_by and str(grant.granted_by),
        "expires_at": grant.expires_at and grant.expires_at.isoformat(),
    }


def session_values(session: Session) -> dict[str, Any]:
    return {
        "user_id": str(session.user_id),
        "rotated_at": session.rotated_at and session.rotated_at.isoformat(),
        "expires_at": session.expires_at.isoformat(),
        "revoked_at": session.revoked_at and session.revoked_at.isoformat(),
        "revoke_reason": session.revoke_reason,
    }


def key_values(key: ApiKey) -> dict[str, Any]:
    return {
        "user_id": str(key.user_id),
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "allowed_models": key.allowed_models and list(key.allowed_models),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "previous_valid_until": key.previous_valid_until and key.previous_valid_until.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
    }
