"""Signing in and out, and staying signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from server.db.database import Database, Tx
from server.identity.domain import (
    LoginCandidate,
    LoginFailed,
    PasswordIncorrect,
    RefreshTokenInvalid,
    RefreshTokenReused,
    Session,
    SessionNotFound,
    SessionRequired,
    SessionRevoked,
    StoredSession,
    TokenPair,
    User,
)
from server.identity.password_policy import check_password
from server.identity.passwords import Passwords, Place, Queues
from server.identity.ports import AuditLog, Tenants
from server.identity.service.standing import hold_all_of
from server.identity.service.values import session_values
from server.identity.signing_keys import KnownKeys, SigningKey
from server.identity.store import sessions as session_store
from server.identity.store import throttle
from server.identity.store import users as user_store
from server.identity.tokens import AccessTokens, RefreshToken
from server.kernel.audit import Change
from server.kernel.clock import Clock, now
from server.kernel.errors import DomainError, TenantGone
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import Permission
from server.kernel.principal import current_call


class SessionService:
    """Turns a password into a session, and a session into access tokens."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        tokens: AccessTokens,
        keys: KnownKeys,
        tenants: Tenants,
        audit: AuditLog,
        access_life: timedelta,
        refresh_life: timedelta,
        refresh_keys: Sequence[bytes],
        forged: Callable[[RefreshToken], None],
        clock: Clock = now,
    ) -> None:
        """`refresh_keys`: the one that refresh tokens are made with first, then those whose tokens are known too; the
        same in every process. `forged`: told of refresh tokens of live sessions that never were any; it takes no time.
        """
        self._database = database
        self._passwords = passwords
        self._accounts = Queues(at_once=1, waiting=24)
        self._networks = Queues(at_once=4, waiting=24)
        # Of all who wait under one address, for whichever turn: the surplus is shed at once.
        self._callers = Queues(at_once=28, waiting=0)
        self._tokens = tokens
        self._keys = keys
        self._tenants = tenants
        self._audit = audit
        self._access_life = access_life
        self._refresh_life = refresh_life
        self._refresh_keys = refresh_keys
        self._forged = forged
        self._clock = clock

    async def login(self, slug: str, login: str, password: str) -> TokenPair:
        """Signs the user in. Raises LoginFailed, whatever is wrong, after the same work; LoginBusy.

        While an account or an address has to wait after failed sign-ins, the right password fails too, and nothing is
        counted. From an address that the account was signed in from before, it waits for the failures of that address
        at that account alone: nobody locks another out.
        """
        call = current_call()
        async with self._turn((slug, login.lower()), call.network) as place:
            there, is_active = await self._tenants.find(slug)
            tenant_id = there if is_active else None
            found, attempt = await self._count(tenant_id, login, call.network)
            # No connection is held while the hash is computed.
            matches = await place.matches(found.password_hash if found else None, password)
            try:
                if tenant_id is None or found is None or not matches or not attempt.allowed:
                    raise LoginFailed
                if found.user.status != "active":  # asked here too, so that it takes no longer than a wrong password
                    raise LoginFailed
                return await self._sign_in(tenant_id, found, attempt)
            except LoginFailed:
                details = {"tenant": slug, "login": login}
                change = Change("sessions.login", "session", details=details, user_id=found.user.id if found else None)
                # A sign-in to a tenant that is not there is the platform's to know of; of one that is not active it is
                # that tenant's, and goes with it when it is purged.
                await self._note_failure(there or PLATFORM_TENANT_ID, change, LoginFailed)
                raise

    async def refresh(self, text: str) -> TokenPair:
        """New tokens for old. Raises RefreshTokenInvalid, or RefreshTokenReused, which ends the session.

        Within a few seconds the token before is exchanged again, for the same new one: two parallel refreshes log
        nobody out.
        """
        presented = RefreshToken.parse(text)
        tenant_id, session_id = presented.tenant_id, presented.session_id
        key = (await self._keys.ring()).signing()
        async with self._database.tenant_tx(tenant_id) as tx:
            session = await session_store.lock(tx, session_id)
            if session is None or not session.live:
                raise RefreshTokenInvalid
            token = self._following(presented, session)
            if token is not None:
                return await self._exchanged(tx, session, token, key)
            # Someone else has the token: neither of the two may go on.
            ended = await session_store.revoke(tx, session_id, "refresh token reused")
            assert ended is not None  # it is held, and was live
            await session_store.tell_changed(tx, tenant_id, session.user_id)
            change = _end("sessions.refresh", ended, user_id=session.user_id)
            await self._audit.record(tx, replace(change, status="failure", error_message=RefreshTokenReused.reason))
        raise RefreshTokenReused

    def _following(self, presented: RefreshToken, session: StoredSession) -> RefreshToken | None:
        """The token that this one is exchanged for; None where it was exchanged before. Raises RefreshTokenInvalid.

        What cannot be shown to be of the session must not end it: where a session lies is no secret.
        """
        if presented.matches(session.refresh_hash):
            return presented.following(self._refresh_keys[0], session.generation + 1)
        if presented.matches(session.previous_hash):
            if not session.just_rotated:
                return None
            for key in self._refresh_keys:  # a server that has another of them first may have exchanged it
                token = presented.following(key, session.generation)
                if token.matches(session.refresh_hash):
                    return token
            raise RefreshTokenInvalid
        number = presented.number(self._refresh_keys)
        if number is None or number > session.generation:
            self._forged(presented)
            raise RefreshTokenInvalid
        return None

    async def _exchanged(self, tx: Tx, session: StoredSession, token: RefreshToken, key: SigningKey) -> TokenPair:
        """What the session goes on with. Raises RefreshTokenInvalid where its user or tenant is not active."""
        found = await user_store.candidate(tx, session.user_id)
        if found is None or found.user.status != "active" or not await self._tenants.is_active(tx):
            raise RefreshTokenInvalid
        if not token.matches(session.refresh_hash):
            await session_store.rotate(tx, token.session_id, token.hash, self._clock() + self._refresh_life)
        return self._pair(key, found.user, found.epoch, token)

    async def logout(self) -> None:
        """Ends the caller's session. Raises SessionRequired."""
        caller = current_call().caller
        if caller.session_id is None:
            raise SessionRequired
        async with self._database.tenant_tx(caller.home) as tx:
            ended = await session_store.revoke(tx, caller.session_id, "logout")
            if ended is not None:  # another call may have ended it a moment ago
                await session_store.tell_changed(tx, caller.home, caller.user_id)
                await self._audit.record(tx, _end("sessions.logout", ended))

    async def change_password(self, current: str, new: str) -> None:
        """Sets the caller's password and ends their other sessions. Wrong current ones have the next ones wait.

        Raises SessionRequired, PasswordGuessable, PasswordIncorrect, LoginBusy; SessionRevoked where the session ended
        meanwhile.
        """
        call = current_call()
        caller = call.caller
        if caller.session_id is None:
            raise SessionRequired
        slug = await self._tenants.slug(caller.home)
        async with self._turn(caller.user_id, call.network) as place:
            async with self._database.tenant_tx(caller.home, durable=False) as tx:
                found = await user_store.candidate(tx, caller.user_id, call.network)
                if found is None:
                    raise SessionRevoked
                check_password("new_password", new, (found.user.username, found.user.email, slug))
                attempt = await throttle.count(tx, found, call.network)
            if not await place.matches(found.password_hash, current) or not attempt.allowed:
                change = Change("users.change_password", "user", caller.user_id)
                await self._note_failure(caller.home, change, PasswordIncorrect)
                raise PasswordIncorrect
            password_hash = await place.hash(new)
            async with self._database.tenant_tx(caller.home) as tx:
                await self._replace_password(tx, found, password_hash, caller.session_id)
                if not await throttle.forget(tx, attempt):
                    raise PasswordIncorrect
                await session_store.revoke_others(tx, caller.user_id, caller.session_id, "password changed")
                await session_store.tell_changed(tx, caller.home, caller.user_id)
                await self._audit.record(tx, Change("users.change_password", "user", caller.user_id))

    async def _replace_password(self, tx: Tx, checked: LoginCandidate, password_hash: str, session_id: UUID) -> None:
        """Sets the password in place of the one that was checked.

        Raises SessionRevoked or PasswordIncorrect where another call, such as a reset, came before.
        """
        replaced = await user_store.replace_password(tx, checked, password_hash)
        live = await session_store.is_live(tx, session_id)
        user = await user_store.candidate(tx, checked.user.id)
        if not live or user is None or user.user.status != "active":
            raise SessionRevoked
        if not replaced:
            raise PasswordIncorrect

    async def page(self, request: PageRequest, user_id: UUID | None) -> Page[Session]:
        """The user's sessions (None: the caller's), newest first.

        Raises PermissionMissing, UserNotFound, EscalationRefused.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            if user_id is not None and user_id != caller.user_id:
                caller.require(Permission.USERS_MANAGE)
                await user_store.require(tx, user_id)
                await hold_all_of(tx, caller, user_id)
            return await session_store.page(tx, request, user_id or caller.user_id)

    async def revoke(self, session_id: UUID) -> None:
        """Ends the session. One that the caller may not see is not there for them.

        Raises SessionNotFound, EscalationRefused.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            session = await session_store.get(tx, session_id)
            if session.user_id != caller.user_id and Permission.USERS_MANAGE not in caller.permissions:
                raise SessionNotFound(session_id)
            if not await user_store.is_there(tx, session.user_id):  # a deleted user's are hidden with them
                raise SessionNotFound(session_id)
            if session.user_id != caller.user_id:
                await hold_all_of(tx, caller, session.user_id)
            ended = await session_store.revoke(tx, session_id, "revoked")
            if ended is not None:
                await session_store.tell_changed(tx, caller.tenant_id, session.user_id)
                await self._audit.record(tx, _end("sessions.revoke", ended))

    async def jwks(self) -> list[dict[str, str]]:
        """The public keys that access tokens are checked with, those to come too, as JSON Web Keys."""
        return [key.jwk() for key in (await self._keys.ring()).accepted()]

    def _pair(self, key: SigningKey, user: User, epoch: int, token: RefreshToken) -> TokenPair:
        moment, life = self._clock(), self._access_life
        return TokenPair(
            access_token=self._tokens.issue(key, token.tenant_id, user.id, token.session_id, epoch, moment, life),
            access_expires_at=moment + life,
            refresh_token=str(token),
            refresh_expires_at=moment + self._refresh_life,
            user=user,
        )

    @asynccontextmanager
    async def _turn(self, account: Hashable, network: str | None) -> AsyncIterator[Place]:
        """A place to check a password in. Raises LoginBusy, before anything is done.

        An attempt counts from before its password is looked at until that was right: those who sign in at once, each
        with the right one, would be taken for a burst of guesses if they did not do so one after the other.
        """
        async with (
            self._callers.taken(network),
            self._accounts.taken((account, network)),
            self._networks.taken(network),
        ):
            # Not while the turn is waited for: two addresses could take every place, and keep everybody else out.
            with self._passwords.place() as place:
                yield place

    async def _count(
        self, tenant_id: UUID | None, login: str, network: str | None
    ) -> tuple[LoginCandidate | None, throttle.Attempt]:
        """Whom the login names, and the attempt at their password, which is counted before it is looked at.

        Where there is no such tenant that is active the platform's is asked the same, and its answer thrown away.
        """
        # A crash of the database may take a count back, and not a sign-in.
        async with self._database.tenant_tx(tenant_id or PLATFORM_TENANT_ID, durable=False) as tx:
            found = await user_store.find_login(tx, login, network)
            if tenant_id is None:
                found = None
            return found, await throttle.count(tx, found, network, known_tenant=tenant_id is not None)

    async def _sign_in(self, tenant_id: UUID, found: LoginCandidate, attempt: throttle.Attempt) -> TokenPair:
        """A session of the user whose password was right. Raises LoginFailed where they may have none, or not now."""
        call, key = current_call(), (await self._keys.ring()).signing()
        session_id = uuid7()
        token = RefreshToken.generate(tenant_id, session_id, self._refresh_keys[0])
        expires_at = self._clock() + self._refresh_life
        async with self._database.tenant_tx(tenant_id) as tx:
            user = await user_store.signed_in(tx, found, call.address, attempt.account_wait)
            if user is None or not await throttle.forget(tx, attempt):
                raise LoginFailed
            session = await session_store.create(
                tx, tenant_id, session_id, user.id, token.hash, expires_at, call.address, call.user_agent
            )
            change = Change("sessions.login", "session", session_id, new=session_values(session), user_id=user.id)
            await self._audit.record(tx, change)
        return self._pair(key, user, found.epoch, token)

    async def _note_failure(self, tenant_id: UUID, change: Change, error: type[DomainError]) -> None:
        """Raises the error where the tenant was purged meanwhile: nothing is left of it to note that in."""
        try:
            async with self._database.tenant_tx(tenant_id) as tx:
                await self._audit.record(tx, replace(change, status="failure", error_message=error.reason))
        except TenantGone:
            raise error from None


def _end(action: str, ended: Session, user_id: UUID | None = None) -> Change:
    """What is told of a session that has just ended, and had not before."""
    new = session_values(ended)
    old = {**new, "revoked_at": None, "revoke_reason": None}
    return Change(action, "session", ended.id, old=old, new=new, user_id=user_id)
