"""Sessions: the refresh state of each sign-in, and what a session gives at this moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Interval, and_, bindparam, cast, false, func, insert, literal, not_, select, update

from server.db.database import Database, Tx
from server.db.statements import HotStatement, Statement
from server.identity.domain import Access, Session, SessionNotFound, StoredSession
from server.identity.store.grants import GRANTS, NEXT_EXPIRY, decided_by, ends_of, held_by
from server.identity.tables import sessions, users
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import allowed
from server.kernel.principal import Principal

CHANGED = "atrium_access_changed"
"""Channel that says whose access changed: `<tenant>/<user>`, or `<tenant>/` for everyone in the tenant."""

_THIS = sessions.c.id == bindparam("session_id")
_COLUMNS = tuple(sessions.c[name] for name in Session.__dataclass_fields__)

_CREATE = Statement(
    insert(sessions)
    .values(
        tenant_id=bindparam("tenant_id"),
        id=bindparam("session_id"),
        user_id=bindparam("user_id"),
        refresh_hash=bindparam("refresh_hash"),
        user_agent=bindparam("user_agent"),
        ip_address=bindparam("address"),
        expires_at=bindparam("expires_at"),
    )
    .returning(*_COLUMNS)
)
_LIVE = and_(sessions.c.revoked_at.is_(None), sessions.c.expires_at > func.now())
_GRACE = cast(literal(timedelta(seconds=5)), Interval)
_LOCK = Statement(
    select(
        sessions.c.user_id,
        sessions.c.refresh_hash,
        sessions.c.previous_hash,
        sessions.c.generation,
        _LIVE.label("live"),
        # Not by the clock of whichever server rotated it.
        func.coalesce(func.now() - sessions.c.rotated_at <= _GRACE, false()).label("just_rotated"),
    )
    .where(_THIS)
    .with_for_update()
)
_HOLD = Statement(select(_LIVE).where(_THIS).with_for_update())
_ROTATE = Statement(
    update(sessions)
    .where(_THIS)
    .values(
        previous_hash=sessions.c.refresh_hash,
        refresh_hash=bindparam("refresh_hash"),
        generation=sessions.c.generation + 1,
        rotated_at=func.now(),
        expires_at=bindparam("expires_at"),
    )
)
_REVOKE = Statement(
    update(sessions)
    .where(_THIS, sessions.c.revoked_at.is_(None))
    .values(revoked_at=func.now(), revoke_reason=bindparam("reason"))
    .returning(*_COLUMNS)
)
_REVOKE_OTHERS = Statement(
    update(sessions)
    .where(
        sessions.c.user_id == bindparam("user_id"), sessions.c.id != bindparam("kept"), sessions.c.revoked_at.is_(None)
    )
    .values(revoked_at=func.now(), revoke_reason=bindparam("reason"))
)
_REVOKE_ALL = Statement(
    update(sessions)
    .where(sessions.c.user_id == bindparam("user_id"), sessions.c.revoked_at.is_(None))
    .values(revoked_at=func.now(), revoke_reason=bindparam("reason"))
)

_GET = Statement(select(*_COLUMNS).where(_THIS))
_LIST = Statement(
    select(*_COLUMNS)
    .where(sessions.c.user_id == bindparam("user_id"), sessions.c.id < bindparam("before"))
    .order_by(sessions.c.id.desc())
    .limit(bindparam("most"))
)

# The tenant and its settings are looked at by functions of the schema: their tables are another slice's.
# A service account reads no mail.
UNVERIFIED = and_(not_(users.c.email_verified), users.c.kind == "person", func.atrium_verified_email_required())
"""Whether such a user must verify their e-mail address before they may do anything else."""

_ACCESS = HotStatement(
    select(
        users.c.id,
        users.c.token_epoch,
        GRANTS.label("grants"),
        func.least(sessions.c.expires_at, NEXT_EXPIRY).label("good_until"),
        UNVERIFIED.label("unverified"),
    )
    .join_from(sessions, users, users.c.id == sessions.c.user_id)
    .where(
        _THIS,
        _LIVE,
        users.c.status == "active",
        users.c.deleted_at.is_(None),
        func.atrium_tenant_is_active(),
    )
)


async def access(database: Database, tenant_id: UUID, session_id: UUID) -> Access | None:
    """What the session gives now, in one round trip; None where it, its user or its tenant is not good any more."""
    row = await database.hot(tenant_id, _ACCESS, session_id=session_id)
    if row is None:
        return None
    unverified = row["unverified"]
    grants = () if unverified else row["grants"]
    decided = decided_by(grants)
    principal = Principal(
        tenant_id,
        row["id"],
        session_id,
        allowed(decided),
        unverified=unverified,
        roles=held_by(grants),
        decided=decided,
        ends=ends_of(grants),
    )
    return Access(principal, row["token_epoch"], row["good_until"])


async def create(
    tx: Tx,
    tenant_id: UUID,
    session_id: UUID,
    user_id: UUID,
    refresh_hash: str,
    expires_at: datetime,
    address: str | None,
    user_agent: str | None,
) -> Session:
    row = await tx.fetchone(
        _CREATE,
        tenant_id=tenant_id,
        session_id=session_id,
        user_id=user_id,
        refresh_hash=refresh_hash,
        expires_at=expires_at,
        address=address,
        user_agent=user_agent,
    )
    return Session(*row)


async def lock(tx: Tx, session_id: UUID) -> StoredSession | None:
    """The session, held until the transaction ends: of two refreshes with one token the second sees the first."""
    row = await tx.fetchrow(_LOCK, session_id=session_id)
    return None if row is None else StoredSession(*row)


async def is_live(tx: Tx, session_id: UUID) -> bool:
    """Whether the session goes on, and will until the transaction ends."""
    return bool(await tx.fetchval(_HOLD, session_id=session_id))


async def get(tx: Tx, session_id: UUID) -> Session:
    """Raises SessionNotFound."""
    row = await tx.fetchrow(_GET, session_id=session_id)
    if row is None:
        raise SessionNotFound(session_id)
    return Session(*row)


async def page(tx: Tx, request: PageRequest, user_id: UUID) -> Page[Session]:
    """The user's sessions, newest first, ended ones too."""
    rows = await tx.fetch(_LIST, user_id=user_id, before=request.before, most=request.size + 1)
    return Page.cut([Session(*row) for row in rows], [row["id"] for row in rows], request.size)


async def rotate(tx: Tx, session_id: UUID, refresh_hash: str, expires_at: datetime) -> None:
    await tx.execute(_ROTATE, session_id=session_id, refresh_hash=refresh_hash, expires_at=expires_at)


async def revoke(tx: Tx, session_id: UUID, reason: str) -> Session | None:
    """Ends the session; None where it has ended already."""
    row = await tx.fetchrow(_REVOKE, session_id=session_id, reason=reason)
    return None if row is None else Session(*row)


async def revoke_others(tx: Tx, user_id: UUID, kept: UUID, reason: str) -> None:
    """Ends every session of the user but one."""
    await tx.execute(_REVOKE_OTHERS, user_id=user_id, kept=kept, reason=reason)


async def revoke_all(tx: Tx, user_id: UUID, reason: str) -> None:
    """Ends every session of the user."""
    await tx.execute(_REVOKE_ALL, user_id=user_id, reason=reason)


async def tell_changed(tx: Tx, tenant_id: UUID, user_id: UUID | None) -> None:
    """Has every process forget what it remembers of the user's access (None: of everyone's in the tenant) on commit."""
    await tx.notify(CHANGED, f"{tenant_id}/{user_id or ''}")
