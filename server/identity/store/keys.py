"""The signing keys that all processes share."""

from __future__ import annotations

from sqlalchemy import bindparam, func, insert, or_, select

from server.db.database import Tx
from server.db.statements import Statement
from server.identity.tables import signing_keys
from server.identity.tokens import SigningKey

# Two processes that start on an empty table would each make a key; the second waits here and finds the first's.
_HOLD = Statement(select(func.pg_advisory_xact_lock(func.hashtext("atrium signing keys"))))
_LIVE = Statement(
    select(signing_keys.c.kid, signing_keys.c.wrapped_private_key)
    .where(or_(signing_keys.c.retires_at.is_(None), signing_keys.c.retires_at > func.now()))
    .order_by(signing_keys.c.not_before)
)
_ADD = Statement(
    insert(signing_keys).values(
        kid=bindparam("kid"),
        public_key=bindparam("public_key"),
        wrapped_private_key=bindparam("wrapped_private_key"),
        not_before=func.now(),
    )
)


async def load_or_create(tx: Tx, master_key: bytes) -> list[SigningKey]:
    """The keys whose tokens are accepted, the one to sign with last; made and stored where there is none.

    Raises cryptography's InvalidTag where the master key is not the one that wrapped them.
    """
    await tx.execute(_HOLD)
    rows = await tx.fetch(_LIVE)
    if rows:
        return [SigningKey.unwrap(row["kid"], row["wrapped_private_key"], master_key) for row in rows]
    key = SigningKey.generate()
    await tx.execute(
        _ADD,
        kid=key.kid,
        public_key=key.public_key.public_bytes_raw(),
        wrapped_private_key=key.wrap(master_key),
    )
    return [key]
