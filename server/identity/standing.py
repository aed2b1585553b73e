"""What the other slices must know of people."""

from __future__ import annotations

from uuid import UUID

from server.db.database import Tx
from server.identity.store import api_keys as key_store
from server.identity.store import users as user_store


class PeopleStanding:
    """Answers about the people of the transaction's tenant, for the slices beside this one."""

    async def is_verified(self, tx: Tx, user_id: UUID) -> bool:
        """Whether the user's e-mail address is verified."""
        found = await user_store.candidate(tx, user_id)
        return found is not None and found.user.email_verified

    async def is_there(self, tx: Tx, user_id: UUID | None, api_key_id: UUID | None) -> bool:
        """Whether the tenant has that user, not deleted, or that key. One of the two is given."""
        if user_id is not None:
            return await user_store.is_there(tx, user_id)
        assert api_key_id is not None
        return await key_store.is_there(tx, api_key_id)
