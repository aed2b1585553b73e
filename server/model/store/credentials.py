"""Credentials and data keys, sealed as they lie."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.statements import Statement
from server.kernel.paging import Page, PageRequest
from server.model.domain import (
    Credential,
    CredentialNameTaken,
    CredentialNotFound,
    NewCredential,
    SealedCredential,
    address,
)
from server.model.tables import provider_credentials, tenant_keys

_COLUMNS = tuple(provider_credentials.c[name] for name in Credential.__dataclass_fields__)
_THIS = provider_credentials.c.id == bindparam("credential_id")
_SEALED: dict[str, Any] = {name: bindparam(name) for name in ("ciphertext", "nonce", "key_id", "last_four")}

_CREATE = Statement(
    insert(provider_credentials)
    .values({name: bindparam(name) for name in ("tenant_id", "id", "provider", "name", "base_url")} | _SEALED)
    .returning(*_COLUMNS)
)
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_LIST = Statement(
    select(*_COLUMNS)
    .where(provider_credentials.c.id < bindparam("before"))
    .order_by(provider_credentials.c.id.desc())
    .limit(bindparam("most"))
)
_ALL = Statement(
    select(
        provider_credentials.c.provider,
        provider_credentials.c.base_url,
        provider_credentials.c.id,
        provider_credentials.c.ciphertext,
        provider_credentials.c.nonce,
        tenant_keys.c.wrapped_key,
    )
    .join_from(provider_credentials, tenant_keys, tenant_keys.c.tenant_id == provider_credentials.c.tenant_id)
    .order_by(provider_credentials.c.id)
)
_CHANGE = Statement(update(provider_credentials).where(_THIS).values(_SEALED).returning(*_COLUMNS))
_REMOVE = Statement(delete(provider_credentials).where(_THIS))

# Held, so that what is sealed is not sealed under a key that is being wrapped anew.
_DATA_KEY = Statement(select(tenant_keys.c.wrapped_key).with_for_update(read=True))
_ADD_DATA_KEY = Statement(
    upsert(tenant_keys)
    .values(tenant_id=bindparam("tenant_id"), wrapped_key=bindparam("wrapped_key"), key_id=bindparam("key_id"))
    .on_conflict_do_nothing()
)
_REWRAP = Statement(update(tenant_keys).values(wrapped_key=bindparam("wrapped_key"), key_id=bindparam("key_id")))
_RENAME = Statement(update(provider_credentials).values(key_id=bindparam("key_id")))

Sealed = tuple[bytes, bytes, str]
"""A ciphertext, its nonce, and the name of the master key behind them."""


async def create(
    tx: Tx, tenant_id: UUID, credential_id: UUID, new: NewCredential, sealed: Sealed, last_four: str
) -> Credential:
    """Raises CredentialNameTaken."""
    with constraint_errors({"uq_provider_credentials_name": lambda: CredentialNameTaken(name=new.name)}):
        row = await tx.fetchone(
            _CREATE,
            tenant_id=tenant_id,
            id=credential_id,
            provider=new.provider,
            name=new.name,
            base_url=new.base_url,
            **_values(sealed, last_four),
        )
    return Credential(*row)


async def lock(tx: Tx, credential_id: UUID) -> Credential:
    """The credential, held until the transaction ends. Raises CredentialNotFound."""
    row = await tx.fetchrow(_LOCK, credential_id=credential_id)
    if row is None:
        raise CredentialNotFound(credential_id)
    return Credential(*row)


async def page(tx: Tx, request: PageRequest) -> Page[Credential]:
    """Credentials, newest first."""
    rows = await tx.fetch(_LIST, before=request.before, most=request.size + 1)
    return Page.cut([Credential(*row) for row in rows], [row["id"] for row in rows], request.size)


async def everything(tx: Tx) -> dict[tuple[str, str | None], SealedCredential]:
    """The credential for each provider and address, the newest where there are several, however each is written."""
    return {(row[0], address(row[1])): SealedCredential(*row[2:]) for row in await tx.fetch(_ALL)}


async def change(tx: Tx, credential_id: UUID, sealed: Sealed, last_four: str) -> Credential:
    """Puts another secret in its place."""
    return Credential(*await tx.fetchone(_CHANGE, credential_id=credential_id, **_values(sealed, last_four)))


async def remove(tx: Tx, credential_id: UUID) -> None:
    await tx.execute(_REMOVE, credential_id=credential_id)


async def data_key(tx: Tx) -> bytes | None:
    """The tenant's data key as it is wrapped, held until the transaction ends; None where it has none yet."""
    row = await tx.fetchrow(_DATA_KEY)
    return None if row is None else row["wrapped_key"]


async def add_data_key(tx: Tx, tenant_id: UUID, wrapped_key: bytes, key_id: str) -> bytes:
    """The tenant's data key: this one, unless another has been added meanwhile."""
    await tx.execute(_ADD_DATA_KEY, tenant_id=tenant_id, wrapped_key=wrapped_key, key_id=key_id)
    found = await data_key(tx)
    assert found is not None
    return found


async def rewrap(tx: Tx, wrapped_key: bytes, key_id: str) -> None:
    """The same data key, wrapped by the master key of that name."""
    await tx.execute(_REWRAP, wrapped_key=wrapped_key, key_id=key_id)
    await tx.execute(_RENAME, key_id=key_id)


def _values(sealed: Sealed, last_four: str) -> dict[str, Any]:
    ciphertext, nonce, key_id = sealed
    return {"ciphertext": ciphertext, "nonce": nonce, "key_id": key_id, "last_four": last_four}
