"""Tenants' own keys to providers: kept sealed, used for their calls alone, and never shown."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change, plain
from server.kernel.errors import check_etag
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.kernel.sealing import KEY_BYTES, MasterKeys, seal, unseal
from server.model.domain import Credential, NewCredential, SealedCredential, check_base_url
from server.model.ports import AuditLog
from server.model.store import credentials as store
from server.model.store import models

_LAST = 4


class Vault:
    """Seals each tenant's secrets under a data key of its own, which the master key wraps.

    A ciphertext opens in its own row of its own tenant, and nowhere else.
    """

    def __init__(self, master_keys: MasterKeys) -> None:
        self._master_keys = master_keys

    async def seal(self, tx: Tx, tenant_id: UUID, credential_id: UUID, secret: str) -> tuple[bytes, bytes, str]:
        """The ciphertext, its nonce, and the name of the master key behind them."""
        wrapped = await store.data_key(tx)
        if wrapped is None:
            made = self._master_keys.wrap(secrets.token_bytes(KEY_BYTES), _key_place(tenant_id))
            wrapped = await store.add_data_key(tx, tenant_id, made, self._master_keys.key_id)
        key = self._master_keys.unwrap(wrapped, _key_place(tenant_id))
        return *seal(key, secret.encode(), _place(tenant_id, credential_id)), self._master_keys.key_id

    def open(self, tenant_id: UUID, sealed: SealedCredential) -> str:
        """The secret. Raises cryptography's InvalidTag where it was moved or changed, and MasterKeyUnknown."""
        key = self._master_keys.unwrap(sealed.wrapped_key, _key_place(tenant_id))
        return unseal(key, sealed.ciphertext, sealed.nonce, _place(tenant_id, sealed.id)).decode()

    async def rewrap(self, tx: Tx, tenant_id: UUID) -> bool:
        """Keeps the tenant's data key under the current master key; False where it has none."""
        wrapped = await store.data_key(tx)
        if wrapped is None:
            return False
        key = self._master_keys.unwrap(wrapped, _key_place(tenant_id))
        await store.rewrap(tx, self._master_keys.wrap(key, _key_place(tenant_id)), self._master_keys.key_id)
        return True


def _key_place(tenant_id: UUID) -> bytes:
    return b"atrium tenant key\0" + tenant_id.bytes


def _place(tenant_id: UUID, credential_id: UUID) -> bytes:
    return b"atrium provider_credentials.ciphertext\0" + tenant_id.bytes + credential_id.bytes


class CredentialService:
    """Creates, lists, replaces and removes the credentials of the caller's tenant."""

    def __init__(self, database: Database, vault: Vault, audit: AuditLog) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit

    async def create(self, new: NewCredential, secret: str) -> Credential:
        """Raises CredentialNameTaken, InvalidRequest."""
        check_base_url(new.base_url)
        tenant_id, credential_id = current_call().caller.tenant_id, uuid7()
        async with self._database.tenant_tx(tenant_id) as tx:
            sealed = await self._vault.seal(tx, tenant_id, credential_id, secret)
            credential = await store.create(tx, tenant_id, credential_id, new, sealed, _known_by(secret))
            await self._record(tx, "credentials.create", credential.id, new=credential)
        return credential

    async def page(self, request: PageRequest) -> Page[Credential]:
        """Credentials, newest first."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return await store.page(tx, request)

    async def rotate(self, credential_id: UUID, secret: str, etag: str) -> Credential:
        """The next call is made with the new key. Raises CredentialNotFound, EtagMismatch."""
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock(tx, credential_id)
            check_etag(etag, old.revision, "credential")
            sealed = await self._vault.seal(tx, tenant_id, credential_id, secret)
            credential = await store.change(tx, credential_id, sealed, _known_by(secret))
            await self._record(tx, "credentials.rotate", credential_id, old=old, new=credential)
        return credential

    async def delete(self, credential_id: UUID, etag: str) -> None:
        """The server's own key is used again, where it has one. Raises CredentialNotFound, EtagMismatch."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            old = await store.lock(tx, credential_id)
            check_etag(etag, old.revision, "credential")
            await store.remove(tx, credential_id)
            await self._record(tx, "credentials.delete", credential_id, old=old)

    async def _record(
        self, tx: Tx, action: str, credential_id: UUID, *, old: Credential | None = None, new: Credential | None = None
    ) -> None:
        await models.tell_changed(tx, tx.tenant_id)
        change = Change(action, "credential", credential_id, old=_values(old), new=_values(new))
        await self._audit.record(tx, change)


def _known_by(secret: str) -> str:
    """Its last characters, and no more than a quarter of them."""
    return secret[len(secret) - min(_LAST, len(secret) // 4) :]


def _values(credential: Credential | None) -> dict[str, Any] | None:
    if credential is None:
        return None
    return plain({name: getattr(credential, name) for name in ("provider", "name", "base_url", "last_four")})
