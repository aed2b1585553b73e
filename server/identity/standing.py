"""What the other slices must know of people."""

from __future__ import annotations

from uuid import UUID

from server.db.database import Tx
from server.identity.store import users as user_store


class PeopleStanding:
    """Answers about the people of the transaction's tenant, for the slices beside this one."""

    async def is_verified(self, tx: Tx, user_id: UUID) -> bool:
        """Whether the user's e-mail address is verified."""
        found = await user_store.candidate(tx, user_id)
        return found is not None and found.user.email_verified
