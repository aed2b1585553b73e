"""What the roles of a user say, as a part of a query about that user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select

from server.identity.tables import permissions, role_permissions, roles, user_roles, users
from server.kernel.permissions import Decided, Grant, Permission, decide, ends

GRANTS = (
    select(
        func.json_agg(
            func.json_build_array(
                permissions.c.resource + ":" + permissions.c.action,
                role_permissions.c.effect == "allow",
                roles.c.code,
                roles.c.priority,
                user_roles.c.expires_at,
            )
        )
    )
    .select_from(user_roles)
    .join(roles, roles.c.id == user_roles.c.role_id)
    .join(role_permissions, role_permissions.c.role_id == roles.c.id)
    .join(permissions, permissions.c.id == role_permissions.c.permission_id)
    .where(
        user_roles.c.user_id == users.c.id,
        or_(user_roles.c.expires_at.is_(None), user_roles.c.expires_at > func.now()),
        roles.c.deleted_at.is_(None),
    )
    .correlate(users)
    .scalar_subquery()
)
"""The entries of every role that the user of a surrounding query holds now, as JSON."""

NEXT_EXPIRY = (
    select(func.min(user_roles.c.expires_at))
    .where(user_roles.c.user_id == users.c.id, user_roles.c.expires_at > func.now())
    .correlate(users)
    .scalar_subquery()
)
"""When a role that such a user holds for a time ends next; NULL: none does."""


KNOWN = frozenset(Permission)
"""What this version knows of. A newer one may have migrated the database already, and what it brought means nothing
here."""


def known(entries: Iterable[Any]) -> Iterator[Grant]:
    """The entries, each as GRANTS has them, of permissions that this version knows."""
    for code, allow, role_code, priority, until in entries:
        if code in KNOWN:
            end = datetime.fromisoformat(until) if isinstance(until, str) else until  # JSON has no moments
            yield Grant(Permission(code), allow, role_code, priority, end)


def held_by(found: Sequence[Any] | None) -> frozenset[str]:
    """The codes of the roles that the entries of GRANTS are of, whatever versions know of what they say."""
    return frozenset(code for _, _, code, _, _ in found or ())


def decided_by(found: Sequence[Any] | None) -> Decided:
    """What the entries of GRANTS come to."""
    return decide(known(found or ()))


def ends_of(found: Sequence[Any] | None) -> Mapping[Permission, datetime]:
    """When what they give ends, where it does."""
    return ends(list(known(found or ())))
