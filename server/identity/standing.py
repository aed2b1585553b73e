"""What the other slices must know of people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from server.db.database import Database, Tx
from server.identity.domain import ApiKeyNotFound, UserNotFound
from server.identity.service.standing import administrators, keep_administered
from server.identity.store import api_keys as key_store
from server.identity.store import roles as role_store
from server.identity.store import users as user_store
from server.kernel.permissions import Permission, allowed
from server.kernel.principal import Principal


class Acting:
    """For whom work goes on that was asked for in a call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acting(self, tenant_id: UUID, user_id: UUID, api_key_id: UUID | None) -> Principal:
        """The user as a caller, with what they, and the key, may do now: nothing where they are not there, or active,
        or the key is not good.
        """
        standing = await role_store.standing(self._database, tenant_id, user_id)
        permissions = frozenset[Permission]() if standing is None else allowed(standing.decided)
        if api_key_id is None:
            return Principal(tenant_id, user_id, None, permissions)
        async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
            key = await key_store.good(tx, api_key_id)
        if key is None:
            return Principal(tenant_id, user_id, None, frozenset(), api_key_id)
        models = None if key.allowed_models is None else frozenset(key.allowed_models)
        permissions &= key_store.scopes_of(key.scopes)
        return Principal(tenant_id, user_id, None, permissions, api_key_id, allowed_models=models)


class PeopleStanding:
    """Answers about the people of the transaction's tenant, for the slices beside this one."""

    async def is_verified(self, tx: Tx, user_id: UUID) -> bool:
        """Whether the user's e-mail address is verified."""
        found = await user_store.candidate(tx, user_id)
        return found is not None and found.user.email_verified

    @asynccontextmanager
    async def administered(self, tx: Tx) -> AsyncIterator[None]:
        """Around a change that may shut people out. Raises LastAdministrator where it leaves the tenant to nobody."""
        before = await administrators(tx)
        yield
        await keep_administered(tx, before)

    async def there(self, tx: Tx, user_ids: Sequence[UUID], api_key_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these users and keys there are. A deleted user's keys are hidden with them."""
        found = await user_store.there(tx, user_ids) if user_ids else set()
        return found | (await key_store.there(tx, api_key_ids) if api_key_ids else set())

    async def hold(self, tx: Tx, user_id: UUID | None, api_key_id: UUID | None) -> bool:
        """Whether the tenant has that user or key; they are not deleted until the transaction ends. One of the two is
        given. Raises UserDeleted, also for a key of theirs.
        """
        try:
            if user_id is None:
                assert api_key_id is not None
                user_id = (await key_store.lock(tx, api_key_id)).user_id
            await user_store.lock_referred(tx, user_id)
        except (ApiKeyNotFound, UserNotFound):
            return False
        return True
