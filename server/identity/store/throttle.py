"""How long attempts at passwords that failed have the next ones wait: by account, by address, and by both.

An attempt is counted before its password is looked at, so that as many are looked at as are allowed, however many come
at once. Whoever comes from where the account was signed in from before waits for what was tried from there on that
account alone: so nobody locks another out of their own place by what they try elsewhere, or on other accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Float,
    Interval,
    Table,
    Uuid,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Tx
from server.db.statements import Statement
from server.identity.domain import LoginCandidate
from server.identity.tables import sign_in_guesses as guesses
from server.identity.tables import sign_in_throttle as throttle
from server.identity.tables import users

FREE_OF_ACCOUNT = 5
"""Attempts at an account before the next ones wait."""

FREE_OF_ADDRESS = 20
"""The same from one address, behind which there may be a whole company."""

LONGEST_SECONDS = 900
QUIET_SECONDS = 3_600
"""After so long without an attempt an address begins anew."""

_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was counted. `allowed`: whether its password counts for anything.

    `aimed_at`: whose account it was counted for together with its address, where it was; else it was for the address.
    `account_wait`, `address_wait`: until when it has the next ones wait by itself.
    """

    allowed: bool
    network: str | None
    aimed_at: UUID | None
    account_wait: datetime | None
    address_wait: datetime | None


def over(wait: ColumnElement[Any], own: str) -> ColumnElement[bool]:
    """Whether nobody need wait any more but for what the attempt, whose own wait is the value of that name, has set."""
    return or_(wait.is_(None), wait <= func.now(), wait.is_not_distinct_from(bindparam(own, type_=wait.type)))


def _wait(failures: ColumnElement[Any], free: int) -> ColumnElement[Any]:
    """Until when to wait after so many failures: a second after the last free one, and twice as long each time."""
    doubled = func.least(literal(LONGEST_SECONDS), func.power(literal(2), func.least(failures - free, literal(20))))
    seconds = cast(doubled, Float) * cast(literal(timedelta(seconds=1)), Interval)
    return case((failures >= free, func.now() + seconds))


def _count(table: Table, free: int, *key: str) -> Statement:
    """Counts where nobody has to wait; gives until when the next ones wait, and no row where it did not count."""
    quiet = table.c.updated_at < func.now() - cast(literal(timedelta(seconds=QUIET_SECONDS)), Interval)
    failures = case((quiet, literal(1)), else_=table.c.failures + 1)
    values = [bindparam(name, type_=table.c[name].type) for name in key]
    return Statement(
        upsert(table)
        .from_select(key, select(*values).where(bindparam("counts", type_=Boolean)), include_defaults=False)
        .on_conflict_do_update(
            index_elements=list(key),
            set_={"failures": failures, "blocked_until": _wait(failures, free)},
            where=or_(table.c.blocked_until.is_(None), table.c.blocked_until <= func.now()),
        )
        .returning(table.c.blocked_until)
    )


_NETWORK = bindparam("address", type_=INET)
_BLOCKED = exists().where(throttle.c.address == _NETWORK, throttle.c.blocked_until > func.now())
_COUNT_ACCOUNT = Statement(
    update(users)
    .where(
        users.c.id == bindparam("user_id", type_=Uuid),
        or_(users.c.locked_until.is_(None), users.c.locked_until <= func.now()),
        ~_BLOCKED,
    )
    .values(login_attempts=users.c.login_attempts + 1, locked_until=_wait(users.c.login_attempts + 1, FREE_OF_ACCOUNT))
    .returning(users.c.locked_until)
)
_COUNT_ADDRESS = _count(throttle, FREE_OF_ADDRESS, "tenant_id", "address")
_COUNT_GUESS = _count(guesses, FREE_OF_ACCOUNT, "tenant_id", "user_id", "address")
_THESE = (guesses.c.user_id == bindparam("user_id"), guesses.c.address == _NETWORK)
_ARE_OVER = Statement(select(over(guesses.c.blocked_until, "own_wait")).where(*_THESE).with_for_update())
_FORGET_GUESSES = Statement(delete(guesses).where(*_THESE))
_FORGET_ALL = Statement(delete(guesses).where(guesses.c.user_id == bindparam("user_id")))
_WAITS = Statement(
    select(
        or_(
            exists().where(users.c.id == bindparam("user_id", type_=Uuid), users.c.locked_until > func.now()),
            exists().where(guesses.c.user_id == bindparam("user_id", type_=Uuid), guesses.c.blocked_until > func.now()),
        )
    )
)
_TAKE_BACK = Statement(
    update(throttle)
    .where(throttle.c.address == _NETWORK)
    .values(
        failures=func.greatest(throttle.c.failures - 1, 0),
        blocked_until=func.nullif(throttle.c.blocked_until, bindparam("own_wait", type_=throttle.c.blocked_until.type)),
    )
)


async def count(tx: Tx, found: LoginCandidate | None, network: str | None, *, known_tenant: bool = True) -> Attempt:
    """Counts an attempt, in the same two statements whomever it is of.

    `known_tenant`: False where the transaction's tenant is not the one that was named; then nobody in it waits for it.
    """
    account = found.user.id if found is not None and not found.familiar else None
    row = await tx.fetchrow(_COUNT_ACCOUNT, user_id=account, address=network)
    allowed = account is None or row is not None
    aimed_at = None
    if not known_tenant:
        aimed_at = _NOBODY
    elif found is not None and found.familiar:
        aimed_at = found.user.id
    account_wait = None if row is None else row["locked_until"]
    if network is None:
        return Attempt(allowed, network, aimed_at, account_wait, None)
    key = {"tenant_id": tx.tenant_id, "address": network, "counts": allowed}
    if aimed_at is None:
        counted = await tx.fetchrow(_COUNT_ADDRESS, **key)
    else:
        counted = await tx.fetchrow(_COUNT_GUESS, user_id=aimed_at, **key)
    address_wait = None if counted is None else counted["blocked_until"]
    return Attempt(allowed and counted is not None, network, aimed_at, account_wait, address_wait)


async def forget(tx: Tx, attempt: Attempt) -> bool:
    """The password was right: the attempt was none that counts. False where others have to be waited for meanwhile.

    What was counted for the account is forgotten with what the right password does to it.
    """
    if attempt.network is None:
        return True
    if attempt.aimed_at is None:
        await tx.execute(_TAKE_BACK, address=attempt.network, own_wait=attempt.address_wait)
        return True
    these = {"user_id": attempt.aimed_at, "address": attempt.network}
    # There are none where another right password, beside this one, had them forgotten.
    if await tx.fetchval(_ARE_OVER, **these, own_wait=attempt.address_wait) is False:
        return False
    await tx.execute(_FORGET_GUESSES, **these)
    return True


async def waits(tx: Tx, user_id: UUID) -> bool:
    """Whether attempts that failed have the next ones at the account wait, from wherever."""
    return bool(await tx.fetchval(_WAITS, user_id=user_id))


async def forget_all(tx: Tx, user_id: UUID) -> None:
    """Whatever was tried at the account from where it was signed in before has nobody wait any more."""
    await tx.execute(_FORGET_ALL, user_id=user_id)
