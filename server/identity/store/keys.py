"""The signing keys that all processes share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import datetime

import asyncpg
from sqlalchemy import ARRAY, Text, any_, bindparam, func, insert, or_, select, update

from server.db.database import Tx
from server.db.statements import Statement
from server.identity.signing_keys import SigningKey
from server.identity.tables import signing_keys
from server.kernel.sealing import MasterKeys, MasterKeyUnknown

CHANGED = "atrium_signing_keys"
"""Channel that says that there are other keys than before; its payload is empty."""

# Two that would each make a key take turns, and the second finds the first's.
_HOLD = Statement(select(func.pg_advisory_xact_lock(func.hashtext("atrium signing keys"))))
_ALL = select(
    signing_keys.c.kid,
    signing_keys.c.wrapped_private_key,
    signing_keys.c.not_before,
    signing_keys.c.retires_at,
).order_by(signing_keys.c.not_before)
_LIVE = Statement(_ALL.where(or_(signing_keys.c.retires_at.is_(None), signing_keys.c.retires_at > func.now())))
_RETIRED = Statement(_ALL.where(signing_keys.c.retires_at <= func.now()))
_NAMED = Statement(_ALL.where(signing_keys.c.kid == any_(bindparam("kids", type_=ARRAY(Text)))))
_PUBLIC_KEY = Statement(select(signing_keys.c.public_key).where(signing_keys.c.kid == bindparam("kid")))
_NEWEST = Statement(select(func.max(signing_keys.c.not_before)))
_RETIRE = Statement(
    update(signing_keys)
    .values(retires_at=bindparam("moment"))
    .where(or_(signing_keys.c.retires_at.is_(None), signing_keys.c.retires_at > bindparam("moment")))
)
_REWRAP = Statement(
    update(signing_keys)
    .values(wrapped_private_key=bindparam("wrapped_private_key"))
    .where(signing_keys.c.kid == bindparam("kid"))
)
_ADD = Statement(
    insert(signing_keys).values(
        kid=bindparam("kid"),
        public_key=bindparam("public_key"),
        wrapped_private_key=bindparam("wrapped_private_key"),
        not_before=bindparam("not_before"),
    )
)


async def hold(tx: Tx) -> None:
    """Whoever else would change the keys waits until the transaction ends."""
    await tx.execute(_HOLD)


async def live(tx: Tx, master_keys: MasterKeys) -> list[SigningKey]:
    """The keys whose tokens are accepted, oldest first. Raises MasterKeyUnknown."""
    return [
        SigningKey.unwrap(kid, wrapped, not_before, retires_at, master_keys)
        for kid, wrapped, not_before, retires_at in await tx.fetch(_LIVE)
    ]


async def named(tx: Tx, kids: Collection[str], master_keys: MasterKeys) -> list[SigningKey]:
    """Those of the keys of these names that are kept under a master key that is known."""
    return _known(await tx.fetch(_NAMED, kids=list(kids)), master_keys)


def _known(rows: Iterable[asyncpg.Record], master_keys: MasterKeys) -> list[SigningKey]:
    keys = []
    for kid, wrapped, not_before, retires_at in rows:
        with suppress(MasterKeyUnknown, ValueError):  # or it never was one
            keys.append(SigningKey.unwrap(kid, wrapped, not_before, retires_at, master_keys))
    return keys


async def public_key(tx: Tx, kid: str) -> bytes | None:
    """The public half of the key of that name, also where its tokens are not accepted any more; 32 raw bytes."""
    found: bytes | None = await tx.fetchval(_PUBLIC_KEY, kid=kid)
    return found


async def newest(tx: Tx) -> datetime | None:
    """From when the newest key signs, or will; None where there is no key."""
    moment: datetime | None = (await tx.fetchone(_NEWEST))[0]
    return moment


async def retire(tx: Tx, moment: datetime) -> None:
    """No key is accepted after that moment; those to be refused sooner are refused then."""
    await tx.execute(_RETIRE, moment=moment)


async def add(tx: Tx, key: SigningKey, master_keys: MasterKeys) -> SigningKey:
    """Stores the key, wrapped under the master key."""
    await tx.execute(
        _ADD,
        kid=key.kid,
        public_key=key.public_key.public_bytes_raw(),
        wrapped_private_key=key.wrap(master_keys),
        not_before=key.not_before,
    )
    return key


async def rewrap(tx: Tx, master_keys: MasterKeys) -> int:
    """Keeps the keys under the current master key; how many there are. Raises MasterKeyUnknown.

    Those that sign no more are needed for what they have signed; one that nothing opens any more stays as it is.
    """
    keys = [*_known(await tx.fetch(_RETIRED), master_keys), *await live(tx, master_keys)]
    for key in keys:
        await tx.execute(_REWRAP, kid=key.kid, wrapped_private_key=key.wrap(master_keys))
    return len(keys)


async def tell_changed(tx: Tx) -> None:
    """Has every process read the keys again on commit."""
    await tx.notify(CHANGED, "")
