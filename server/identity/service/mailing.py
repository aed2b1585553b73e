"""One-time tokens on their way to people: asked for in the transaction that makes them, and mailed by a job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from server.db.database import Database, Tx
from server.identity.domain import LoginCandidate, TokenPurpose, User
from server.identity.mails import written
from server.identity.ports import Mailer, Tenants
from server.identity.store import one_time_tokens as token_store
from server.identity.store import users as user_store
from server.identity.tokens import OneTimeToken
from server.jobs.backlog import Backlog, TenantRun, forget
from server.jobs.worker import Patience
from server.kernel.ids import uuid7
from server.mail import MailRefused

MAIL = "mail/1"
"""The job that mails a token."""

MAIL_PATIENCE = Patience(most_failures=8)
"""Half an hour and some minutes: who waits for a code has asked for another by then."""

MOST_MAILS = 20
"""On their way at once, in one worker: a mail server that hangs holds none of its other places."""

_LIFE: dict[TokenPurpose, timedelta] = {"reset_password": timedelta(hours=1), "verify_email": timedelta(days=1)}

_log = structlog.get_logger("atrium.mail")


async def issue(tx: Tx, backlog: Backlog, found: LoginCandidate, purpose: TokenPurpose) -> None:
    """Has the user mailed a token, from now on the only good one for the purpose."""
    # Nobody knows its secret: what is mailed gets one of its own, which nothing but the mail ever holds.
    token = OneTimeToken.generate(tx.tenant_id, uuid7())
    token_hash = token.hash(*bound_to(found, purpose))
    await token_store.replace(tx, tx.tenant_id, token.id, found.user.id, purpose, token_hash, _LIFE[purpose])
    await backlog.add(tx, MAIL, {"token_id": str(token.id), "user_id": str(found.user.id), "purpose": purpose})


def bound_to(found: LoginCandidate, purpose: TokenPurpose) -> tuple[str | None, ...]:
    """What makes the token void when it changes: the address it was sent to, and the password it is to replace."""
    return (found.user.email, found.password_hash) if purpose == "reset_password" else (found.user.email,)


class MailBelongings:
    """Mail on its way to people, which nobody is to get any more."""

    async def remove(self, tx: Tx, user_id: UUID) -> Mapping[str, Any]:
        """The person is removed for good: so is what waits to be tried again, or was put aside."""
        await forget(tx, MAIL, {"user_id": str(user_id)})
        return {}


class TokenMail:
    """Does MAIL."""

    def __init__(self, database: Database, tenants: Tenants, mailer: Mailer) -> None:
        self._database = database
        self._tenants = tenants
        self._mailer = mailer

    async def __call__(self, run: TenantRun) -> None:
        """Mails the token under a secret that is made now, and takes the place of one that was mailed before, by a run
        that failed too late. No mail for a token that is over by now.

        Raises whatever keeps the mail from going out and may be gone later.
        """
        async with self._database.tenant_tx(run.tenant_id) as tx:
            sent = await self._renewed(tx, run.payload)
        if sent is None:
            return
        user, token = sent
        mail = written(run.payload["purpose"], user, str(token))
        try:
            await self._mailer.send(user.email, mail.subject, mail.text)
        except MailRefused as error:
            _log.error("mail refused", tenant_id=run.tenant_id, user_id=user.id, code=error.code)

    async def _renewed(self, tx: Tx, payload: Mapping[str, Any]) -> tuple[User, OneTimeToken] | None:
        purpose: TokenPurpose = payload["purpose"]
        # Held, so that what the token is bound to stays what it is.
        found = await user_store.lock_candidate(tx, UUID(payload["user_id"]))
        if found is None or found.user.status != "active" or not await self._tenants.is_active(tx):
            return None
        token = OneTimeToken.generate(tx.tenant_id, UUID(payload["token_id"]))
        token_hash = token.hash(*bound_to(found, purpose))
        if not await token_store.renew(tx, token.id, token_hash, _LIFE[purpose]):
            return None
        return found.user, token
