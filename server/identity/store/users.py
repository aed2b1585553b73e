"""Users, and how they sign in."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    Uuid,
    any_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import INET

from server.db.base import among
from server.db.database import Database, Tx
from server.db.errors import constraint_errors
from server.db.removal import forgetting_deleters
from server.db.statements import HotStatement, Statement
from server.identity.domain import EmailTaken, LoginCandidate, User, UserDeleted, UsernameTaken, UserNotFound
from server.identity.store.throttle import over
from server.identity.tables import roles, sessions, user_roles, users
from server.kernel.deletion import Deleted
from server.kernel.names import likeness
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
    users.c.deleted_at,
    users.c.deleted_by,
)
LIVE = users.c.deleted_at.is_(None)
THIS = users.c.id == bindparam("user_id")
_TAKEN = {
    "uq_users_username_key": UsernameTaken,
    "uq_users_likeness": UsernameTaken,
    "uq_users_email_key": EmailTaken,
}

_GET = {
    deleted: HotStatement(select(*COLUMNS).where(THIS, *among(users.c.deleted_at, deleted)))
    for deleted in get_args(Deleted)
}
# Not against those who refer to the row: whoever changes another refers to themselves in the audit log, and two who
# change each other would wait for one another.
_LOCK = Statement(select(*COLUMNS).where(THIS).with_for_update(key_share=True))
_LOGIN_KEY = func.lower(bindparam("login"))
_SECRETS = (users.c.password_hash, users.c.token_epoch, users.c.login_attempts, users.c.locked_until)
_FAMILIAR = exists().where(
    sessions.c.user_id == users.c.id,
    sessions.c.ip_address.op("<<=", is_comparison=True)(bindparam("network", type_=INET)),
)
_FIND = Statement(
    select(*COLUMNS, *_SECRETS, _FAMILIAR.label("familiar"))
    # A service account does not sign in, whatever password it has: for a sign-in it is not there.
    .where(or_(users.c.username_key == _LOGIN_KEY, users.c.email_key == _LOGIN_KEY), users.c.kind == "person", LIVE)
    # A username may read like another's e-mail address: the one whose username it is comes first.
    .order_by((users.c.username_key == _LOGIN_KEY).desc())
    .limit(1)
)
_CANDIDATE = Statement(select(*COLUMNS, *_SECRETS, _FAMILIAR.label("familiar")).where(THIS, LIVE))
_LOCK_CANDIDATE = Statement(
    select(*COLUMNS, *_SECRETS, false().label("familiar")).where(THIS, LIVE).with_for_update(key_share=True)
)
# Whether they are still who the password was checked for is asked again: the hash took its time.
_STILL_CHECKED = (THIS, LIVE, users.c.status == "active", users.c.password_hash == bindparam("checked_hash"))
_SIGNED_IN = Statement(
    update(users)
    .where(
        *_STILL_CHECKED,
        or_(bindparam("familiar", type_=Boolean), over(users.c.locked_until, "own_wait")),
    )
    .values(last_login_at=func.now(), last_login_ip=bindparam("address"), login_attempts=0, locked_until=None)
    .returning(*COLUMNS)
)
_DELETE = Statement(
    update(users).where(THIS).values(deleted_at=func.now(), deleted_by=bindparam("deleted_by")).returning(*COLUMNS)
)
_RESTORE = Statement(update(users).where(THIS).values(deleted_at=None, deleted_by=None).returning(*COLUMNS))
_FORGET_GRANTER = Statement(
    update(user_roles).where(user_roles.c.granted_by == bindparam("user_id")).values(granted_by=None)
)
_FORGET_DELETERS = (forgetting_deleters(users), forgetting_deleters(roles))
_PURGE = Statement(delete(users).where(THIS))
_COUNT = Statement(select(func.count()).select_from(users).where(LIVE))
_LOCK_OUT = Statement(
    update(users)
    .where(THIS)
    .values(
        status="locked",
        former_status=case((users.c.status == "locked", users.c.former_status), else_=users.c.status),
    )
    .returning(*COLUMNS)
)
_UNLOCK = Statement(
    update(users)
    .where(THIS)
    .values(
        # Who was locked by a version that did not note what they were before was active for all that is known.
        status=case((users.c.status == "locked", func.coalesce(users.c.former_status, "active")), else_=users.c.status),
        former_status=None,
        login_attempts=0,
        locked_until=None,
    )
    .returning(*COLUMNS)
)
_NEW_PASSWORD = {"password_hash": bindparam("password_hash"), "login_attempts": 0, "locked_until": None}
_RESET_PASSWORD = Statement(update(users).where(THIS).values(**_NEW_PASSWORD, token_epoch=users.c.token_epoch + 1))
_REPLACE_PASSWORD = Statement(update(users).where(*_STILL_CHECKED).values(**_NEW_PASSWORD).returning(users.c.id))
_EXISTS = Statement(select(users.c.id).where(THIS, LIVE))
_THERE = Statement(select(users.c.id).where(users.c.id == any_(bindparam("user_ids", type_=ARRAY(Uuid))), LIVE))
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
def _list(filters: tuple[str, ...], deleted: Deleted = "exclude") -> Statement:
    live = among(users.c.deleted_at, deleted)
    statement = select(*COLUMNS).where(*live, users.c.id < bindparam("before"), *(_FILTERS[name] for name in filters))
    return Statement(statement.order_by(users.c.id.desc()).limit(bindparam("most")))


async def get(database: Database, tenant_id: UUID, user_id: UUID, deleted: Deleted) -> User:
    """One round trip. Raises UserNotFound."""
    row = await database.hot(tenant_id, _GET[deleted], user_id=user_id)
    if row is None:
        raise UserNotFound(user_id)
    return User(*row)


async def lock(tx: Tx, user_id: UUID) -> User:
    """The live user, held until the transaction ends. Raises UserNotFound."""
    user = await lock_any(tx, user_id)
    if user.deleted_at is not None:
        raise UserNotFound(user_id)
    return user


async def lock_referred(tx: Tx, user_id: UUID) -> User:
    """The same for a user that a request uses and is not about. Raises UserNotFound, UserDeleted."""
    user = await lock_any(tx, user_id)
    if user.deleted_at is not None:
        raise UserDeleted(user.username)
    return user


async def lock_any(tx: Tx, user_id: UUID) -> User:
    """The user, live or deleted, held until the transaction ends. Raises UserNotFound."""
    row = await tx.fetchrow(_LOCK, user_id=user_id)
    if row is None:
        raise UserNotFound(user_id)
    return User(*row)


async def is_there(tx: Tx, user_id: UUID) -> bool:
    """Whether there is such a user, who is not deleted."""
    return await tx.fetchrow(_EXISTS, user_id=user_id) is not None


async def there(tx: Tx, user_ids: Sequence[UUID]) -> set[UUID]:
    """Which of them there are, who are not deleted."""
    return {user_id for (user_id,) in await tx.fetch(_THERE, user_ids=list(user_ids))}


async def require(tx: Tx, user_id: UUID) -> None:
    """Raises UserNotFound."""
    if not await is_there(tx, user_id):
        raise UserNotFound(user_id)


async def page(tx: Tx, request: PageRequest, deleted: Deleted, filters: Mapping[str, Any]) -> Page[User]:
    """Users, newest first. `filters`: any of _FILTERS, with its value."""
    names = tuple(sorted(filters))
    rows = await tx.fetch(_list(names, deleted), before=request.before, most=request.size + 1, **filters)
    return Page.cut([User(*row) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, values: Mapping[str, Any]) -> User:
    """Raises UsernameTaken or EmailTaken."""
    row = _with_likeness(values)
    with constraint_errors(_TAKEN):
        return User(*await tx.fetchone(_insert(tuple(sorted(row))), **row))


async def change(tx: Tx, user_id: UUID, values: Mapping[str, Any]) -> User:
    """Raises UsernameTaken or EmailTaken."""
    row = _with_likeness(values)
    with constraint_errors(_TAKEN):
        return User(*await tx.fetchone(_update(tuple(sorted(row))), user_id=user_id, **row))


def _with_likeness(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**values, "likeness": likeness(values["username"])} if "username" in values else values


async def find_login(tx: Tx, login: str, network: str | None) -> LoginCandidate | None:
    """The live person of that username or e-mail address, in whatever case. `network`: where they call from."""
    written = unicodedata.normalize("NFKC", login)  # as usernames are kept
    return _login_candidate(await tx.fetchrow(_FIND, login=written, network=network))


def _login_candidate(row: Any) -> LoginCandidate | None:
    if row is None:
        return None
    return LoginCandidate(User(*row[: len(COLUMNS)]), *row[len(COLUMNS) :])


async def candidate(tx: Tx, user_id: UUID, network: str | None = None) -> LoginCandidate | None:
    """The same for a user who is known already."""
    return _login_candidate(await tx.fetchrow(_CANDIDATE, user_id=user_id, network=network))


async def lock_candidate(tx: Tx, user_id: UUID) -> LoginCandidate | None:
    """The same, held until the transaction ends; from nowhere."""
    return _login_candidate(await tx.fetchrow(_LOCK_CANDIDATE, user_id=user_id))


async def signed_in(tx: Tx, candidate: LoginCandidate, address: str | None, own_wait: datetime | None) -> User | None:
    """Notes the sign-in and forgets the failed ones before it.

    None where the user or their password changed since, or where attempts after it, whose own wait is given, have the
    account wait.
    """
    row = await tx.fetchrow(
        _SIGNED_IN,
        user_id=candidate.user.id,
        checked_hash=candidate.password_hash,
        familiar=candidate.familiar,
        own_wait=own_wait,
        address=address,
    )
    return None if row is None else User(*row)


async def lock_out(tx: Tx, user_id: UUID) -> User:
    """Makes the user a locked one, and notes what they were before."""
    return User(*await tx.fetchone(_LOCK_OUT, user_id=user_id))


async def unlock(tx: Tx, user_id: UUID) -> User:
    """Makes a locked user what they were before, and forgets their failed sign-ins."""
    return User(*await tx.fetchone(_UNLOCK, user_id=user_id))


async def mark_deleted(tx: Tx, user_id: UUID, by: UUID | None) -> User:
    return User(*await tx.fetchone(_DELETE, user_id=user_id, deleted_by=by and str(by)))


async def restore(tx: Tx, user_id: UUID) -> User:
    """Raises UsernameTaken or EmailTaken."""
    with constraint_errors(_TAKEN):
        return User(*await tx.fetchone(_RESTORE, user_id=user_id))


async def purge(tx: Tx, user_id: UUID) -> None:
    """Removes the user with all that is theirs. What they gave stays, and nobody gave it."""
    await tx.execute(_FORGET_GRANTER, user_id=user_id)
    await tx.execute(_PURGE, user_id=user_id)


async def forget_deleters(tx: Tx, purged: Sequence[UUID]) -> None:
    """What these have deleted was deleted by nobody."""
    if purged:
        for statement in _FORGET_DELETERS:
            await tx.execute(statement, deleters=[str(one) for one in purged])


async def count(tx: Tx) -> int:
    """How many live users the tenant has."""
    return int(await tx.fetchval(_COUNT))


async def reset_password(tx: Tx, user_id: UUID, password_hash: str) -> None:
    """Sets the password, whatever it was; no access token from before is good any more."""
    await tx.execute(_RESET_PASSWORD, user_id=user_id, password_hash=password_hash)


async def replace_password(tx: Tx, candidate: LoginCandidate, password_hash: str) -> bool:
    """Sets the password; False where the user or the password that was checked changed since."""
    values = {"user_id": candidate.user.id, "checked_hash": candidate.password_hash, "password_hash": password_hash}
    return await tx.fetchrow(_REPLACE_PASSWORD, **values) is not None


async def anyone(tx: Tx) -> bool:
    """Whether the tenant has, or ever had, a user."""
    return await tx.fetchrow(_ANY) is not None
