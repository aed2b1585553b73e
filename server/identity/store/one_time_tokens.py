"""The tokens that people are sent by mail: each good once, for a while, and until the next one."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Interval, bindparam, delete, func, insert, select, update

from server.db.database import Tx
from server.db.statements import Statement
from server.identity.domain import TokenPurpose
from server.identity.tables import one_time_tokens as tokens

_OF_USER = tokens.c.user_id == bindparam("user_id")
_OF_PURPOSE = tokens.c.purpose == bindparam("purpose")
# By the database's clock, as `created_at` is.
_GOOD = (tokens.c.used_at.is_(None), tokens.c.expires_at > func.now())

_FORGET = Statement(delete(tokens).where(_OF_USER, tokens.c.created_at < func.now() - bindparam("age", type_=Interval)))
_COUNT = Statement(
    select(func.count()).where(
        _OF_USER, _OF_PURPOSE, tokens.c.created_at > func.now() - bindparam("window", type_=Interval)
    )
)
# Not to now(): a transaction that began before this one would still find it good.
_VOID = Statement(update(tokens).where(_OF_USER, _OF_PURPOSE, *_GOOD).values(expires_at=tokens.c.created_at))
_VOID_ALL = Statement(update(tokens).where(_OF_USER, *_GOOD).values(expires_at=tokens.c.created_at))
_CREATE = Statement(
    insert(tokens).values(
        tenant_id=bindparam("tenant_id"),
        id=bindparam("token_id"),
        user_id=bindparam("user_id"),
        purpose=bindparam("purpose"),
        token_hash=bindparam("token_hash"),
        expires_at=func.now() + bindparam("life", type_=Interval),
    )
)
_RENEW = Statement(
    update(tokens)
    .where(tokens.c.id == bindparam("token_id"), *_GOOD)
    .values(token_hash=bindparam("token_hash"), expires_at=func.now() + bindparam("life", type_=Interval))
    .returning(tokens.c.id)
)
_OWNER = Statement(select(tokens.c.user_id).where(tokens.c.id == bindparam("token_id"), _OF_PURPOSE, *_GOOD))
_THIS = (tokens.c.id == bindparam("token_id"), tokens.c.token_hash == bindparam("token_hash"), *_GOOD)
_IS_GOOD = Statement(select(tokens.c.id).where(*_THIS))
_USE = Statement(update(tokens).where(*_THIS).values(used_at=func.now()).returning(tokens.c.id))


async def forget(tx: Tx, user_id: UUID, age: timedelta) -> None:
    """Removes the user's tokens that are older."""
    await tx.execute(_FORGET, user_id=user_id, age=age)


async def void(tx: Tx, user_id: UUID) -> None:
    """Ends all that the user was sent, whatever for."""
    await tx.execute(_VOID_ALL, user_id=user_id)


async def count(tx: Tx, user_id: UUID, purpose: TokenPurpose, window: timedelta) -> int:
    """How many tokens for the purpose the user was sent in the time until now."""
    return int((await tx.fetchone(_COUNT, user_id=user_id, purpose=purpose, window=window))[0])


async def replace(
    tx: Tx,
    tenant_id: UUID,
    token_id: UUID,
    user_id: UUID,
    purpose: TokenPurpose,
    token_hash: str,
    life: timedelta,
) -> None:
    """A new token, and from now on the only one of the user that is good for the purpose."""
    await tx.execute(_VOID, user_id=user_id, purpose=purpose)
    await tx.execute(
        _CREATE,
        tenant_id=tenant_id,
        token_id=token_id,
        user_id=user_id,
        purpose=purpose,
        token_hash=token_hash,
        life=life,
    )


async def renew(tx: Tx, token_id: UUID, token_hash: str, life: timedelta) -> bool:
    """Gives the token another secret and its whole life anew; False where it was not good any more."""
    return await tx.fetchrow(_RENEW, token_id=token_id, token_hash=token_hash, life=life) is not None


async def owner(tx: Tx, token_id: UUID, purpose: TokenPurpose) -> UUID | None:
    """Whose token it is; None where there is none of that purpose, or it is used up or expired."""
    found: UUID | None = await tx.fetchval(_OWNER, token_id=token_id, purpose=purpose)
    return found


async def is_good(tx: Tx, token_id: UUID, token_hash: str) -> bool:
    """Whether the token could be used now."""
    return await tx.fetchrow(_IS_GOOD, token_id=token_id, token_hash=token_hash) is not None


async def use(tx: Tx, token_id: UUID, token_hash: str) -> bool:
    """Uses the token up; False where it was not good any more."""
    return await tx.fetchrow(_USE, token_id=token_id, token_hash=token_hash) is not None
