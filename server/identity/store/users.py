"""Users, and how they sign in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, or_, select, update

from server.db.database import Database, Tx
from server.db.errors import constraint_errors
from server.db.statements import HotStatement, Statement
from server.identity.domain import EmailTaken, LoginCandidate, User, UsernameTaken, UserNotFound
from server.identity.tables import users
from server.kernel.paging import Page, PageRequest

COLUMNS = (
    users.c.id,
    users.c.username,
    users.c.email,
    users.c.kind,
    users.c.full_name,
    users.c.avatar_url,
    users.c.phone,
    users.c.locale,
    users.c.timezone,
    users.c.status,
    users.c.email_verified,
    users.c.last_login_at,
    users.c.revision,
    users.c.created_at,
    users.c.updated_at,
)
LIVE = users.c.deleted_at.is_(None)
THIS = users.c.id == bindparam("user_id")
_TAKEN = {"uq_users_username_key": UsernameTaken, "uq_users_email_key": EmailTaken}

_GET = HotStatement(select(*COLUMNS).where(THIS, LIVE))
_LOCK = Statement(select(*COLUMNS).where(THIS, LIVE).with_for_update())
_LOGIN_KEY = func.lower(bindparam("login"))
_FIND = Statement(
    select(*COLUMNS, users.c.password_hash, users.c.token_epoch)
    .where(or_(users.c.username_key == _LOGIN_KEY, users.c.email_key == _LOGIN_KEY), LIVE)
    # A username may read like another's e-mail address: the one whose username it is comes first.
    .order_by((users.c.username_key == _LOGIN_KEY).desc())
    .limit(1)
)
_CANDIDATE = Statement(select(*COLUMNS, users.c.password_hash, users.c.token_epoch).where(THIS, LIVE))
_LOCK_CANDIDATE = Statement(
    select(*COLUMNS, users.c.password_hash, users.c.token_epoch).where(THIS, LIVE).with_for_update()
)
_SIGNED_IN = Statement(
    update(users)
    .where(THIS)
    .values(last_login_at=func.now(), last_login_ip=bindparam("address"), login_attempts=0)
    .returning(*COLUMNS)
)
_SET_PASSWORD = Statement(update(users).where(THIS).values(password_hash=bindparam("password_hash")))
_EXISTS = Statement(select(users.c.id).where(THIS, LIVE))
_ANY = Statement(select(users.c.id).limit(1))


@cache
def _insert(fields: tuple[str, ...]) -> Statement:
    return Statement(insert(users).values({name: bindparam(name) for name in fields}).returning(*COLUMNS))


@cache
def _update(fields: tuple[str, ...]) -> Statement:
    return Statement(update(users).where(THIS).values({name: bindparam(name) for name in fields}).returning(*COLUMNS))


_FILTERS = {
    "status": users.c.status == bindparam("status"),
    "email_verified": users.c.email_verified == bindparam("email_verified"),
    "last_login_time_from": users.c.last_login_at >= bindparam("last_login_time_from"),
    "last_login_time_until": users.c.last_login_at < bindparam("last_login_time_until"),
}


@cache
def _list(filters: tuple[str, ...]) -> Statement:
    statement = select(*COLUMNS).where(LIVE, users.c.id < bindparam("before"), *(_FILTERS[name] for name in filters))
    return Statement(statement.order_by(users.c.id.desc()).limit(bindparam("most")))


async def get(database: Database, tenant_id: UUID, user_id: UUID) -> User:
    """One round trip. Raises UserNotFound."""
    row = await database.hot(tenant_id, _GET, user_id=user_id)
    if row is None:
        raise UserNotFound(user_id)
    return User(*row)


async def lock(tx: Tx, user_id: UUID) -> User:
    """The user, held until the transaction ends. Raises UserNotFound."""
    row = await tx.fetchrow(_LOCK, user_id=user_id)
    if row is None:
        raise UserNotFound(user_id)
    return User(*row)


async def require(tx: Tx, user_id: UUID) -> None:
    """Raises UserNotFound."""
    if await tx.fetchrow(_EXISTS, user_id=user_id) is None:
        raise UserNotFound(user_id)


async def page(tx: Tx, request: PageRequest, filters: Mapping[str, Any]) -> Page[User]:
    """Live users, newest first. `filters`: any of _FILTERS, with its value."""
    names = tuple(sorted(filters))
    rows = await tx.fetch(_list(names), before=request.before, most=request.size + 1, **filters)
    return Page.cut([User(*row) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, values: Mapping[str, Any]) -> User:
    """Raises UsernameTaken or EmailTaken."""
    with constraint_errors(_TAKEN):
        return User(*await tx.fetchone(_insert(tuple(sorted(values))), **values))


async def change(tx: Tx, user_id: UUID, values: Mapping[str, Any]) -> User:
    """Raises UsernameTaken or EmailTaken."""
    with constraint_errors(_TAKEN):
        return User(*await tx.fetchone(_update(tuple(sorted(values))), user_id=user_id, **values))


async def find_login(tx: Tx, login: str) -> LoginCandidate | None:
    """The live user of that username or e-mail address, in whatever case."""
    row = await tx.fetchrow(_FIND, login=login)
    return None if row is None else LoginCandidate(User(*row[:-2]), row["password_hash"], row["token_epoch"])


async def candidate(tx: Tx, user_id: UUID, *, lock: bool = False) -> LoginCandidate | None:
    """The same for a user who is known already. `lock`: held until the transaction ends."""
    row = await tx.fetchrow(_LOCK_CANDIDATE if lock else _CANDIDATE, user_id=user_id)
    return None if row is None else LoginCandidate(User(*row[:-2]), row["password_hash"], row["token_epoch"])


async def signed_in(tx: Tx, user_id: UUID, address: str | None) -> User:
    """Notes the sign-in and forgets the failed ones before it."""
    return User(*await tx.fetchone(_SIGNED_IN, user_id=user_id, address=address))


async def set_password(tx: Tx, user_id: UUID, password_hash: str) -> None:
    await tx.execute(_SET_PASSWORD, user_id=user_id, password_hash=password_hash)


async def anyone(tx: Tx) -> bool:
    """Whether the tenant has, or ever had, a user."""
    return await tx.fetchrow(_ANY) is not None
