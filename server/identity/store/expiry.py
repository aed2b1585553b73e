"""What has expired, and what was deleted long ago."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func

from server.db.database import Tx
from server.db.removal import ago, long_deleted, removal
from server.db.statements import Statement
from server.identity.tables import (
    idempotency_keys,
    one_time_tokens,
    roles,
    sessions,
    sign_in_guesses,
    sign_in_throttle,
    users,
)

EXPIRED: dict[str, Statement] = {
    # A while longer than they are good, so that people see what there was.
    "sessions": removal(sessions, func.least(sessions.c.expires_at, sessions.c.revoked_at), ago(7)),
    "one_time_tokens": removal(
        one_time_tokens, func.least(one_time_tokens.c.expires_at, one_time_tokens.c.used_at), ago(1)
    ),
    "idempotency_keys": removal(idempotency_keys, idempotency_keys.c.expires_at, func.now()),
    "sign_in_throttle": removal(sign_in_throttle, sign_in_throttle.c.updated_at, ago(1)),
    "sign_in_guesses": removal(sign_in_guesses, sign_in_guesses.c.updated_at, ago(1)),
}
"""By table, what removes a batch of its rows that nobody needs any more, and says how many they were."""


_USERS = long_deleted(users)
_ROLES = long_deleted(roles)


async def users_deleted_before(tx: Tx, days: int) -> list[UUID]:
    """At most PURGED_AT_ONCE users who were deleted longer ago than that."""
    return [row["id"] for row in await tx.fetch(_USERS, days=days)]


async def roles_deleted_before(tx: Tx, days: int) -> list[UUID]:
    """The same of roles."""
    return [row["id"] for row in await tx.fetch(_ROLES, days=days)]
