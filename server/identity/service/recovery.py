"""What people prove by reading their mail: that an account is theirs to reset, and that an address is theirs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from uuid import UUID

from server.db.database import Database, Tx
from server.identity.domain import LoginCandidate, MailBusy, MailNotConfigured, OneTimeTokenInvalid, TokenPurpose
from server.identity.password_policy import check_password
from server.identity.passwords import Passwords
from server.identity.ports import AuditLog, Tenants
from server.identity.service.mailing import bound_to, issue
from server.identity.service.values import user_values
from server.identity.store import one_time_tokens as token_store
from server.identity.store import sessions as session_store
from server.identity.store import throttle
from server.identity.store import users as user_store
from server.identity.tokens import OneTimeToken
from server.jobs.backlog import Backlog
from server.kernel.audit import Change
from server.kernel.principal import current_call
from server.kernel.tasks import Background, persistently

_MOST_MAILS, _WINDOW = 5, timedelta(hours=1)
_KEPT = timedelta(days=1)
_MOST_LOOKED_INTO = 100
_PLACE_SECONDS = 1.0
_OUTAGE_SECONDS = 60.0
# Whoever asks again and again, for accounts that may not even be there, keeps nobody else from asking.
_MOST_OF_ADDRESS = 20


class RecoveryService:
    """Has one-time tokens mailed, and takes them.

    `forged`: told of tokens that are good but for their secret; it takes no time. `sends_mail`: whether the server has
    a way to send mail.
    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        tenants: Tenants,
        audit: AuditLog,
        backlog: Backlog,
        background: Background,
        forged: Callable[[OneTimeToken], None],
        *,
        sends_mail: bool,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._tenants = tenants
        self._audit = audit
        self._backlog = backlog
        self._background = background
        self._forged = forged
        self._sends_mail = sends_mail
        self._looked_into: Counter[str | None] = Counter()

    async def request_password_reset(self, slug: str, login: str) -> None:
        """Has a token mailed to the person of that login, where there is one. Raises MailNotConfigured, MailBusy."""
        self._require_mail()
        with ExitStack() as place:
            self._take(place)
            tenant_id = await self._tenants.find_active(slug)
            # Whatever takes longer for an account than for none happens after the answer: its time must not tell.
            reset = persistently(partial(self._reset, tenant_id, login), _OUTAGE_SECONDS)
            self._background.start(self._held(place.pop_all(), reset), "password reset")

    async def reset_password(self, text: str, password: str) -> None:
        """Sets the password of the token's user and ends all their sessions.

        Raises OneTimeTokenInvalid, InvalidRequest, PasswordGuessable, LoginBusy.
        """
        token = OneTimeToken.parse(text)
        async with self._database.tenant_tx(token.tenant_id) as tx:
            user = (await self._holder(tx, token, "reset_password", use=False)).user
        slug = await self._tenants.slug(token.tenant_id)
        check_password("new_password", password, (user.username, user.email, slug))
        # No connection is held while the hash is computed, and the token is good still if there is no room for it.
        password_hash = await self._passwords.hash(password)
        async with self._database.tenant_tx(token.tenant_id) as tx:
            await self._holder(tx, token, "reset_password", use=True)
            await user_store.reset_password(tx, user.id, password_hash)
            await throttle.forget_all(tx, user.id)
            await session_store.revoke_all(tx, user.id, "password reset")
            await session_store.tell_changed(tx, token.tenant_id, user.id)
            await self._audit.record(tx, Change("users.reset_password", "user", user.id, user_id=user.id))

    async def request_email_verification(self) -> None:
        """Has a token mailed to the caller's address, where it is not verified. Raises MailNotConfigured."""
        self._require_mail()
        caller = current_call().caller
        async with self._database.tenant_tx(caller.home) as tx:
            user = await user_store.lock(tx, caller.user_id)
            if not user.email_verified:
                await self._issue(tx, user.id, "verify_email")

    async def verify_email(self, text: str) -> None:
        """The address that the token was sent to is verified. Raises OneTimeTokenInvalid."""
        token = OneTimeToken.parse(text)
        async with self._database.tenant_tx(token.tenant_id) as tx:
            old = (await self._holder(tx, token, "verify_email", use=True)).user
            new = await user_store.change(tx, old.id, {"email_verified": True})
            await session_store.tell_changed(tx, token.tenant_id, old.id)
            change = Change(
                "users.verify_email", "user", old.id, old=user_values(old), new=user_values(new), user_id=old.id
            )
            await self._audit.record(tx, change)

    def _require_mail(self) -> None:
        if not self._sends_mail:
            raise MailNotConfigured

    def _take(self, place: ExitStack) -> None:
        """Counts a request as looked into. `place`: gives its place back again. Raises MailBusy."""
        network = current_call().network
        if self._looked_into[network] >= _MOST_OF_ADDRESS or self._looked_into.total() >= _MOST_LOOKED_INTO:
            raise MailBusy(subject="requests that are looked into", retry_after=_PLACE_SECONDS)
        self._looked_into[network] += 1
        place.callback(self._leave, network)

    def _leave(self, network: str | None) -> None:
        self._looked_into[network] -= 1
        if not self._looked_into[network]:
            del self._looked_into[network]

    async def _held(self, place: ExitStack, reset: Awaitable[None]) -> None:
        """Keeps the place while an account is looked into, and as long where there is none."""
        with place:
            await asyncio.gather(reset, asyncio.sleep(_PLACE_SECONDS))

    async def _reset(self, tenant_id: UUID | None, login: str) -> None:
        if tenant_id is None:
            return
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await user_store.find_login(tx, login, None)
            if found is not None:
                await self._issue(tx, found.user.id, "reset_password")

    async def _issue(self, tx: Tx, user_id: UUID, purpose: TokenPurpose) -> None:
        """A new token of the user, unless they may have none, or had as many as there are to have for now."""
        # Held, so that of several requests at once each counts the others.
        found = await user_store.lock_candidate(tx, user_id)
        if found is None or found.user.status != "active" or found.user.kind != "person":
            return
        if await token_store.count(tx, user_id, purpose, _WINDOW) >= _MOST_MAILS:
            return
        await token_store.forget(tx, user_id, _KEPT)
        action = "users.request_password_reset" if purpose == "reset_password" else "users.request_email_verification"
        await self._audit.record(tx, Change(action, "user", user_id, new={"purpose": purpose}, user_id=user_id))
        await issue(tx, self._backlog, found, purpose)

    async def _holder(self, tx: Tx, token: OneTimeToken, purpose: TokenPurpose, *, use: bool) -> LoginCandidate:
        """Whose token it is, while it is good. `use`: it is used up, and its user held until the transaction ends.

        Raises OneTimeTokenInvalid.
        """
        user_id = await token_store.owner(tx, token.id, purpose)
        if user_id is None or not await self._tenants.is_active(tx):
            raise OneTimeTokenInvalid
        found = await (user_store.lock_candidate if use else user_store.candidate)(tx, user_id)
        if found is None or found.user.status != "active":
            raise OneTimeTokenInvalid
        passes = token_store.use if use else token_store.is_good
        if not await passes(tx, token.id, token.hash(*bound_to(found, purpose))):
            # Asked once more, since a twin of the call may have used it up meanwhile. The secret may also be that of a
            # mail before the password was changed, or before the mail was sent anew: nobody can tell by its hash.
            if await token_store.owner(tx, token.id, purpose) is not None:
                self._forged(token)
            raise OneTimeTokenInvalid
        return found
