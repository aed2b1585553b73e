"""Keys that programs call with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.identity.domain import ApiKey, ApiKeyEnded, ApiKeyNotFound, ApiKeyNotYours, ApiKeyTooWide, RoleEntry, User
from server.identity.ports import AuditLog
from server.identity.service.standing import become, hold, within_scope
from server.identity.service.values import key_values
from server.identity.store import api_keys as key_store
from server.identity.store import sessions as session_store
from server.identity.store import users as user_store
from server.identity.tokens import KeySecret
from server.kernel.audit import Change
from server.kernel.clock import Clock, now
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import Permission
from server.kernel.principal import Principal, current_call


class ApiKeyService:
    """Creates, lists, rotates and revokes keys: one's own, and with the permission others'.

    Whoever has a key's secret acts as its user. So nobody is given that of another person's key; a service account's is
    for who manages keys and holds all that the account does. A key gives no other key more than it has itself.
    """

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

        Raises PermissionMissing, EscalationRefused, ApiKeyTooWide, ApiKeyNotYours, UserNotFound, UserDeleted.
        """
        caller = current_call().caller
        _may(caller, user_id)
        _no_wider(caller, scopes, allowed_models, expires_at)
        secret = KeySecret.generate(caller.tenant_id)
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            owner = await user_store.lock_referred(tx, user_id or caller.user_id)
            await _act_as(tx, caller, owner, expires_at)
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
            await self._audit.record(tx, Change("api_keys.create", "api_key", key.id, new=key_values(key)))
        return key, str(secret)

    async def page(self, request: PageRequest, user_id: UUID | None) -> Page[ApiKey]:
        """The keys of the user (None: the caller), newest first. Raises PermissionMissing, UserNotFound."""
        caller = current_call().caller
        _may(caller, user_id)
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            if user_id is not None:
                await user_store.require(tx, user_id)
            return await key_store.page(tx, request, user_id or caller.user_id)

    async def rotate(self, key_id: UUID, grace: timedelta) -> tuple[ApiKey, str]:
        """The key with a new secret, and the whole of it; the one before is good for the grace.

        Raises ApiKeyNotFound, ApiKeyEnded, PermissionMissing, EscalationRefused, ApiKeyTooWide, ApiKeyNotYours.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old, owner = await self._reach(tx, key_id)
            moment = self._clock()
            if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= moment):
                raise ApiKeyEnded(old.name)
            await _act_as(tx, caller, owner, old.expires_at)
            # A permission may have gone since the key was made, and gives nothing any more.
            scopes = [Permission(scope) for scope in old.scopes if scope in set(Permission)]
            _no_wider(caller, scopes, old.allowed_models or (), old.expires_at)
            secret = KeySecret.generate(caller.tenant_id, old.prefix)
            key = await key_store.rotate(tx, key_id, secret.hash, moment + grace)
            await session_store.tell_changed(tx, caller.tenant_id, old.user_id)
            details = {"grace_seconds": grace.total_seconds()}
            await self._record(tx, "api_keys.rotate", old, key, details)
        return key, str(secret)

    async def revoke(self, key_id: UUID) -> None:
        """Ends the key. Raises ApiKeyNotFound, PermissionMissing."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old, _ = await self._reach(tx, key_id)
            new = await key_store.revoke(tx, key_id)
            await session_store.tell_changed(tx, caller.tenant_id, old.user_id)
            await self._record(tx, "api_keys.revoke", old, new)

    async def used(self, tenant_id: UUID, key_id: UUID) -> None:
        """Notes that the key was used."""
        async with self._database.tenant_tx(tenant_id) as tx:
            await key_store.used(tx, key_id)

    async def _record(
        self, tx: Tx, action: str, old: ApiKey, new: ApiKey, details: Mapping[str, Any] | None = None
    ) -> None:
        change = Change(action, "api_key", new.id, old=key_values(old), new=key_values(new), details=details)
        await self._audit.record(tx, change)

    async def _reach(self, tx: Tx, key_id: UUID) -> tuple[ApiKey, User]:
        """The key and whose it is; one that the caller may not touch is not there for them, nor a deleted user's.

        Raises ApiKeyNotFound, PermissionMissing.
        """
        caller = current_call().caller
        within_scope(caller, Permission.API_KEYS_MANAGE)
        key = await key_store.lock(tx, key_id)
        owner = await user_store.lock_any(tx, key.user_id)
        if owner.deleted_at is not None:
            raise ApiKeyNotFound(key_id)
        if owner.id != caller.user_id and Permission.API_KEYS_MANAGE not in caller.permissions:
            raise ApiKeyNotFound(key_id)
        return key, owner


async def _act_as(tx: Tx, caller: Principal, owner: User, until: datetime | None) -> None:
    """Raises ApiKeyNotYours or EscalationRefused where the caller may not be given what acts as the owner until then
    (None: for good).
    """
    if owner.id != caller.user_id:
        if owner.kind == "person":
            raise ApiKeyNotYours
        await become(tx, caller, owner.id, until)


def _no_wider(
    caller: Principal, scopes: Sequence[Permission], allowed_models: Sequence[str], expires_at: datetime | None
) -> None:
    """Raises EscalationRefused or ApiKeyTooWide where such a key would be good for more than the caller is."""
    hold(caller, [RoleEntry(scope, allow=True) for scope in scopes])
    own = caller.allowed_models
    if own is not None and (not allowed_models or not own.issuperset(allowed_models)):
        raise ApiKeyTooWide(field="allowed_models")
    end = caller.key_expires_at
    if end is not None and (expires_at is None or expires_at > end):
        raise ApiKeyTooWide(field="expire_time")


def _may(caller: Principal, user_id: UUID | None) -> None:
    within_scope(caller, Permission.API_KEYS_MANAGE)
    if user_id not in (None, caller.user_id):
        caller.require(Permission.API_KEYS_MANAGE)
