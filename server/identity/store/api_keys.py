"""API keys, and what a key gives at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, any_, bindparam, func, insert, or_, select, update

from server.db.database import Database, Tx
from server.db.statements import HotStatement, Statement
from server.identity.domain import Access, ApiKey, ApiKeyNotFound
from server.identity.store.grants import GRANTS, NEXT_EXPIRY, decided_by, ends_of
from server.identity.store.sessions import UNVERIFIED
from server.identity.tables import api_keys, users
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import Permission, allowed
from server.kernel.principal import Principal

_COLUMNS = tuple(api_keys.c[name] for name in ApiKey.__dataclass_fields__)
_THIS = api_keys.c.id == bindparam("key_id")

_CREATE = Statement(
    insert(api_keys)
    .values(
        {
            name: bindparam(name)
            for name in (
                *("tenant_id", "id", "user_id", "name", "prefix", "secret_hash"),
                *("scopes", "allowed_models", "expires_at"),
            )
        }
    )
    .returning(*_COLUMNS)
)
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_THERE = Statement(
    select(api_keys.c.id)
    .join_from(api_keys, users, users.c.id == api_keys.c.user_id)
    .where(api_keys.c.id == any_(bindparam("key_ids", type_=ARRAY(Uuid))), users.c.deleted_at.is_(None))
)
_LIST = Statement(
    select(*_COLUMNS)
    .where(api_keys.c.user_id == bindparam("user_id"), api_keys.c.id < bindparam("before"))
    .order_by(api_keys.c.id.desc())
    .limit(bindparam("most"))
)
_ROTATE = Statement(
    update(api_keys)
    .where(_THIS)
    .values(
        previous_hash=api_keys.c.secret_hash,
        previous_valid_until=bindparam("previous_valid_until"),
        secret_hash=bindparam("secret_hash"),
    )
    .returning(*_COLUMNS)
)
_GOOD = Statement(
    select(*_COLUMNS).where(
        _THIS,
        api_keys.c.revoked_at.is_(None),
        or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now()),
    )
)
_REVOKE = Statement(
    update(api_keys)
    .where(_THIS)
    .values(revoked_at=func.coalesce(api_keys.c.revoked_at, func.now()))
    .returning(*_COLUMNS)
)
_USED = Statement(update(api_keys).where(_THIS).values(last_used_at=func.now()))

_HASHES = Statement(
    select(api_keys.c.secret_hash, api_keys.c.previous_hash).where(api_keys.c.prefix == bindparam("prefix"))
)

_by_previous = and_(api_keys.c.previous_hash == bindparam("secret_hash"), api_keys.c.previous_valid_until > func.now())
_ACCESS = HotStatement(
    select(
        users.c.id,
        api_keys.c.id.label("key_id"),
        api_keys.c.scopes,
        api_keys.c.allowed_models,
        api_keys.c.expires_at,
        GRANTS.label("grants"),
        UNVERIFIED.label("unverified"),
        func.coalesce(
            func.least(
                api_keys.c.expires_at,
                NEXT_EXPIRY,
                func.nullif(api_keys.c.previous_valid_until, func.least(api_keys.c.previous_valid_until, func.now())),
            ),
            func.now() + func.make_interval(1),
        ).label("good_until"),
    )
    .join_from(api_keys, users, users.c.id == api_keys.c.user_id)
    .where(
        api_keys.c.prefix == bindparam("prefix"),
        or_(api_keys.c.secret_hash == bindparam("secret_hash"), _by_previous),
        api_keys.c.revoked_at.is_(None),
        or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now()),
        users.c.status == "active",
        users.c.deleted_at.is_(None),
        func.atrium_tenant_is_active(),
    )
)


async def access(database: Database, tenant_id: UUID, prefix: str, secret_hash: str) -> Access | None:
    """What the key gives now, in one round trip: what its scopes and its user's roles both allow.

    None where it, its user or its tenant is not good.
    """
    row = await database.hot(tenant_id, _ACCESS, prefix=prefix, secret_hash=secret_hash)
    if row is None:
        return None
    scopes = scopes_of(row["scopes"])
    models = row["allowed_models"]
    unverified = row["unverified"]
    grants = () if unverified else row["grants"]
    decided = decided_by(grants)
    principal = Principal(
        tenant_id,
        row["id"],
        None,
        allowed(decided) & scopes,
        decided=decided,
        api_key_id=row["key_id"],
        allowed_models=None if models is None else frozenset(models),
        key_expires_at=row["expires_at"],
        unverified=unverified,
        ends=ends_of(grants),
    )
    return Access(principal, 0, row["good_until"])


async def create(tx: Tx, values: Mapping[str, Any]) -> ApiKey:
    return ApiKey(*await tx.fetchone(_CREATE, **values))


async def lock(tx: Tx, key_id: UUID) -> ApiKey:
    """The key, held until the transaction ends. Raises ApiKeyNotFound."""
    row = await tx.fetchrow(_LOCK, key_id=key_id)
    if row is None:
        raise ApiKeyNotFound(key_id)
    return ApiKey(*row)


async def good(tx: Tx, key_id: UUID) -> ApiKey | None:
    """The key, unless it was revoked or has expired."""
    row = await tx.fetchrow(_GOOD, key_id=key_id)
    return None if row is None else ApiKey(*row)


def scopes_of(names: Sequence[str]) -> frozenset[Permission]:
    """What a key's scopes allow. A permission may have gone since the key was made."""
    known = (Permission(name) for name in names if name in set(Permission))
    return frozenset(implied for scope in known for implied in scope.implied)


async def there(tx: Tx, key_ids: Sequence[UUID]) -> set[UUID]:
    """Which of them there are, revoked ones included, whose users are not deleted."""
    return {key_id for (key_id,) in await tx.fetch(_THERE, key_ids=list(key_ids))}


async def is_forged(tx: Tx, prefix: str, secret_hash: str) -> bool:
    """Whether there is a key of that prefix, and the secret is neither its own nor the one that it had before."""
    row = await tx.fetchrow(_HASHES, prefix=prefix)
    return row is not None and secret_hash not in tuple(row)


async def page(tx: Tx, request: PageRequest, user_id: UUID) -> Page[ApiKey]:
    """The user's keys, newest first, ended ones too."""
    rows = await tx.fetch(_LIST, user_id=user_id, before=request.before, most=request.size + 1)
    return Page.cut([ApiKey(*row) for row in rows], [row["id"] for row in rows], request.size)


async def rotate(tx: Tx, key_id: UUID, secret_hash: str, previous_valid_until: datetime) -> ApiKey:
    values = {"secret_hash": secret_hash, "previous_valid_until": previous_valid_until}
    return ApiKey(*await tx.fetchone(_ROTATE, key_id=key_id, **values))


async def revoke(tx: Tx, key_id: UUID) -> ApiKey:
    return ApiKey(*await tx.fetchone(_REVOKE, key_id=key_id))


async def used(tx: Tx, key_id: UUID) -> None:
    """Notes that the key was used."""
    await tx.execute(_USED, key_id=key_id)
