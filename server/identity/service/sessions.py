"""Signing in and out, and staying signed in."""

from __future__ import annotations

from collections.abc import Sequence
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
    StoredSession,
    TokenPair,
    User,
)
from server.identity.password_policy import check_password
from server.identity.passwords import Passwords
from server.identity.ports import AuditLog, Tenants
from server.identity.store import sessions as session_store
from server.identity.store import throttle
from server.identity.store import users as user_store
from server.identity.tokens import AccessTokens, RefreshToken
from server.kernel.audit import Change
from server.kernel.clock import Clock, now
from server.kernel.errors import PermissionMissing
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
        tenants: Tenants,
        audit: AuditLog,
        access_life: timedelta,
        refresh_life: timedelta,
        refresh_keys: Sequence[bytes],
        clock: Clock = now,
    ) -> None:
        """`refresh_keys`: the one that refresh tokens are made with first, then those whose tokens are known too; the
        same in every process.
        """
        self._database = database
        self._passwords = passwords
        self._tokens = tokens
        self._tenants = tenants
        self._audit = audit
        self._access_life = access_life
        self._refresh_life = refresh_life
        self._refresh_keys = refresh_keys
        self._clock = clock

    async def login(self, slug: str, login: str, password: str) -> TokenPair:
        """Signs the user in. Raises LoginFailed, whatever is wrong, after the same work; LoginBusy.

        While an account or an address has to wait after failed sign-ins, the right password fails too, and nothing is
        counted. An account's wait is not for an address that it was signed in from before: nobody locks another out.
        """
        tenant_id = await self._tenants.find_active(slug)
        found, waits = await self._find(tenant_id, login)
        # No connection is held while the hash is computed.
        matches = await self._passwords.matches(found.password_hash if found else None, password)
        if tenant_id is None or found is None or not matches or waits or found.user.status != "active":
            await self._note_failure(tenant_id, slug, login, found, counts=not waits)
            raise LoginFailed
        call = current_call()
        session_id = uuid7()
        token = RefreshToken.generate(tenant_id, session_id, self._refresh_keys[0])
        expires_at = self._clock() + self._refresh_life
        async with self._database.tenant_tx(tenant_id) as tx:
            user = await user_store.signed_in(tx, found, call.address)
            if user is None:
                raise LoginFailed
            await session_store.create(
                tx, tenant_id, session_id, user.id, token.hash, expires_at, call.address, call.user_agent
            )
            await self._audit.record(tx, Change("sessions.login", "session", session_id, user_id=user.id))
        return self._pair(tenant_id, user, session_id, found.epoch, token)

    async def refresh(self, text: str) -> TokenPair:
        """New tokens for old. Raises RefreshTokenInvalid, or RefreshTokenReused, which ends the session.

        Within a few seconds the token before is exchanged again, for the same new one: two parallel refreshes log
        nobody out.
        """
        presented = RefreshToken.parse(text)
        tenant_id, session_id = presented.tenant_id, presented.session_id
        async with self._database.tenant_tx(tenant_id) as tx:
            session = await session_store.lock(tx, session_id)
            if session is None or not session.live:
                raise RefreshTokenInvalid
            token = self._following(presented, session)
            if token is not None:
                return await self._exchanged(tx, session, token)
            # Someone else has the token: neither of the two may go on.
            await session_store.revoke(tx, session_id, "refresh token reused")
            await session_store.tell_changed(tx, tenant_id, session.user_id)
            await self._audit.record(
                tx,
                Change(
                    "sessions.refresh",
                    "session",
                    session_id,
                    status="failure",
                    error_message=RefreshTokenReused.reason,
                    user_id=session.user_id,
                ),
            )
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
            raise RefreshTokenInvalid
        return None

    async def _exchanged(self, tx: Tx, session: StoredSession, token: RefreshToken) -> TokenPair:
        """What the session goes on with. Raises RefreshTokenInvalid where its user or tenant is not active."""
        found = await user_store.candidate(tx, session.user_id)
        if found is None or found.user.status != "active" or not await self._tenants.is_active(tx):
            raise RefreshTokenInvalid
        if not token.matches(session.refresh_hash):
            await session_store.rotate(tx, token.session_id, token.hash, self._clock() + self._refresh_life)
        return self._pair(token.tenant_id, found.user, token.session_id, found.epoch, token)

    async def logout(self) -> None:
        """Ends the caller's session. Raises SessionRequired."""
        caller = current_call().caller
        if caller.session_id is None:
            raise SessionRequired
        async with self._database.tenant_tx(caller.home) as tx:
            await session_store.revoke(tx, caller.session_id, "logout")
            await session_store.tell_changed(tx, caller.home, caller.user_id)
            await self._audit.record(tx, Change("sessions.logout", "session", caller.session_id))

    async def change_password(self, current: str, new: str) -> None:
        """Sets the caller's password and ends their other sessions.

        Raises SessionRequired, PasswordIncorrect, PasswordGuessable, LoginBusy.
        """
        caller = current_call().caller
        if caller.session_id is None:
            raise SessionRequired
        async with self._database.tenant_tx(caller.home) as tx:
            found = await user_store.candidate(tx, caller.user_id)
        if found is None or not await self._passwords.matches(found.password_hash, current):
            raise PasswordIncorrect
        slug = await self._tenants.slug(caller.home)
        check_password("new_password", new, (found.user.username, found.user.email, slug))
        password_hash = await self._passwords.hash(new)
        async with self._database.tenant_tx(caller.home) as tx:
            await user_store.set_password(tx, caller.user_id, password_hash)
            await session_store.revoke_others(tx, caller.user_id, caller.session_id, "password changed")
            await session_store.tell_changed(tx, caller.home, caller.user_id)
            await self._audit.record(tx, Change("users.change_password", "user", caller.user_id))

    async def page(self, request: PageRequest, user_id: UUID | None) -> Page[Session]:
        """The user's sessions (None: the caller's), newest first. Raises PermissionMissing, UserNotFound."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            if user_id is not None and user_id != caller.user_id:
                if Permission.USERS_MANAGE not in caller.permissions:
                    raise PermissionMissing(permission=Permission.USERS_MANAGE)
                await user_store.require(tx, user_id)
            return await session_store.page(tx, request, user_id or caller.user_id)

    async def revoke(self, session_id: UUID) -> None:
        """Ends the session. One that the caller may not end is not there for them. Raises SessionNotFound."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            session = await session_store.get(tx, session_id)
            if session.user_id != caller.user_id and Permission.USERS_MANAGE not in caller.permissions:
                raise SessionNotFound(session_id)
            if session.revoked_at is None:
                await session_store.revoke(tx, session_id, "revoked")
                await session_store.tell_changed(tx, caller.tenant_id, session.user_id)
                await self._audit.record(tx, Change("sessions.revoke", "session", session_id))

    def jwks(self) -> list[dict[str, str]]:
        """The public keys that access tokens are checked with."""
        return self._tokens.jwks()

    def _pair(self, tenant_id: UUID, user: User, session_id: UUID, epoch: int, token: RefreshToken) -> TokenPair:
        moment = self._clock()
        return TokenPair(
            access_token=self._tokens.issue(tenant_id, user.id, session_id, epoch, moment, self._access_life),
            access_expires_at=moment + self._access_life,
            refresh_token=str(token),
            refresh_expires_at=moment + self._refresh_life,
            user=user,
        )

    async def _find(self, tenant_id: UUID | None, login: str) -> tuple[LoginCandidate | None, bool]:
        """Whom the login names, and whether they or their address have to wait.

        Where there is no such tenant the platform's is asked the same, and its answer thrown away.
        """
        address = current_call().address
        async with self._database.tenant_tx(tenant_id or PLATFORM_TENANT_ID) as tx:
            found = await user_store.find_login(tx, login, address)
            waits = await throttle.blocked(tx, address)
        if tenant_id is None:
            return None, waits
        if found is not None and found.locked_until is not None and not found.familiar:
            waits = waits or found.locked_until > self._clock()
        return found, waits

    async def _note_failure(
        self, tenant_id: UUID | None, slug: str, login: str, found: LoginCandidate | None, *, counts: bool
    ) -> None:
        """A sign-in to a tenant that is not there is the platform's to know of."""
        change = Change(
            "sessions.login",
            "session",
            details={"tenant": slug, "login": login},
            status="failure",
            error_message=LoginFailed.reason,
            user_id=found.user.id if found else None,
        )
        async with self._database.tenant_tx(tenant_id or PLATFORM_TENANT_ID) as tx:
            if counts:
                await throttle.fail(tx, found.user.id if found else None, current_call().address)
            await self._audit.record(tx, change)
