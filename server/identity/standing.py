"""What the other slices must know of people, and what they must tell."""

from __future__ import annotations

from uuid import UUID

from server.db.database import Tx
from server.identity.store import sessions as session_store
from server.identity.store import users as user_store


class PeopleStanding:
    """Answers about the people of the transaction's tenant, for the slices beside this one."""

    async def is_verified(self, tx: Tx, user_id: UUID) -> bool:
        """Whether the user's e-mail address is verified."""
        found = await user_store.candidate(tx, user_id)
        return found is not None and found.user.email_verified

    async def tell_all_changed(self, tx: Tx) -> None:
        """Has every process forget, on commit, what it remembers of the access of the tenant's people."""
        await session_store.tell_changed(tx, tx.tenant_id, None)
