"""Keys that programs call with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.identity.domain import ApiKey, ApiKeyEnded, ApiKeyNotFound, RoleEntry
from server.identity.ports import AuditLog
from server.identity.service.standing import hold
from server.identity.store import api_keys as key_store
from server.identity.store import sessions as session_store
from server.identity.store import users as user_store
from server.identity.tokens import KeySecret
from server.kernel.audit import Change
from server.kernel.clock import Clock, now
from server.kernel.errors import PermissionMissing
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import Permission
from server.kernel.principal import Principal, current_call


class ApiKeyService:
    """Creates, lists, rotates and revokes keys: one's own, and with the permission another user's."""

    def __init__(self, database: Database, audit: AuditLog, clock: Clock = now) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    async def create(
        self,
        user_id: UUID | None,
        name: str,
        scopes: Sequence[Permission],
        allowed_models: Sequence[str],
        expires_at: datetime | None,
    ) -> tuple[ApiKey, str]:
        """A new key of the user (None: the caller), and the whole of it, which is not kept.

        Raises PermissionMissing, EscalationRefused, UserNotFound.
        """
        caller = current_call().caller
        hold(caller, [RoleEntry(scope, allow=True) for scope in scopes])
        _may(caller, user_id)
        secret = KeySecret.generate(caller.tenant_id)
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            owner = await user_store.lock(tx, user_id or caller.user_id)
            key = await key_store.create(
                tx,
                {
                    "tenant_id": caller.tenant_id,
                    "id": uuid7(),
                    "user_id": owner.id,
                    "name": name,
                    "prefix": secret.prefix,
                    "secret_hash": secret.hash,
                    "scopes": sorted(scopes),
                    "allowed_models": list(allowed_models) or None,
                    "expires_at": expires_at,
                },
            )
            await self._audit.record(tx, Change("api_keys.create", "api_key", key.id, new=_values(key)))
        return key, str(secret)

    async def page(self, request: PageRequest, user_id: UUID | None) -> Page[ApiKey]:
        """The keys of the user (None: the caller), newest first. Raises PermissionMissing, UserNotFound."""
        caller = current_call().caller
        _may(caller, user_id)
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            if user_id is not None:
                await user_store.require(tx, user_id)
            return await key_store.page(tx, request, user_id or caller.user_id)

    async def rotate(self, key_id: UUID, grace: timedelta) -> tuple[ApiKey, str]:
        """The key with a new secret, and the whole of it; the one before is good for the grace.

        Raises ApiKeyNotFound, ApiKeyEnded, EscalationRefused.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await self._reach(tx, key_id)
            moment = self._clock()
            if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= moment):
                raise ApiKeyEnded(old.name)
            hold(caller, [RoleEntry(Permission(scope), allow=True) for scope in old.scopes])
            secret = KeySecret.generate(caller.tenant_id, old.prefix)
            key = await key_store.rotate(tx, key_id, secret.hash, moment + grace)
            await session_store.tell_changed(tx, caller.tenant_id, old.user_id)
            change = Change("api_keys.rotate", "api_key", key_id, details={"grace_seconds": grace.total_seconds()})
            await self._audit.record(tx, change)
        return key, str(secret)

    async def revoke(self, key_id: UUID) -> None:
        """Ends the key. Raises ApiKeyNotFound."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            key = await self._reach(tx, key_id)
            await key_store.revoke(tx, key_id)
            await session_store.tell_changed(tx, caller.tenant_id, key.user_id)
            await self._audit.record(tx, Change("api_keys.revoke", "api_key", key_id, old=_values(key)))

    async def used(self, tenant_id: UUID, key_id: UUID) -> None:
        """Notes that the key was used."""
        async with self._database.tenant_tx(tenant_id) as tx:
            await key_store.used(tx, key_id)

    async def _reach(self, tx: Tx, key_id: UUID) -> ApiKey:
        """The key; one that the caller may not touch is not there for them. Raises ApiKeyNotFound."""
        caller = current_call().caller
        key = await key_store.lock(tx, key_id)
        if key.user_id != caller.user_id and Permission.API_KEYS_MANAGE not in caller.permissions:
            raise ApiKeyNotFound(key_id)
        return key


def _may(caller: Principal, user_id: UUID | None) -> None:
    if user_id not in (None, caller.user_id) and Permission.API_KEYS_MANAGE not in caller.permissions:
        raise PermissionMissing(permission=Permission.API_KEYS_MANAGE)


def _values(key: ApiKey) -> dict[str, Any]:
    return {
        "user_id": str(key.user_id),
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "allowed_models": key.allowed_models and list(key.allowed_models),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
    }
