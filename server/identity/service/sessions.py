"""Signing in and out, and staying signed in."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from server.db.database import Database
from server.identity.domain import (
    LoginCandidate,
    LoginFailed,
    PasswordIncorrect,
    RefreshTokenInvalid,
    RefreshTokenReused,
    TokenPair,
    User,
)
from server.identity.password_policy import check_password
from server.identity.passwords import Passwords
from server.identity.ports import AuditLog, Tenants
from server.identity.store import sessions as session_store
from server.identity.store import users as user_store
from server.identity.tokens import AccessTokens, RefreshToken
from server.kernel.audit import Change
from server.kernel.clock import Clock, now
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
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
        clock: Clock = now,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens
        self._tenants = tenants
        self._audit = audit
        self._access_life = access_life
        self._refresh_life = refresh_life
        self._clock = clock

    async def login(self, slug: str, login: str, password: str) -> TokenPair:
        """Signs the user in. Raises LoginFailed, whatever is wrong, after the same work; LoginBusy."""
        tenant_id = await self._tenants.find_active(slug)
        found = await self._find(tenant_id, login) if tenant_id is not None else None
        # No connection is held while the hash is computed.
        matches = await self._passwords.matches(found.password_hash if found else None, password)
        if tenant_id is None or found is None or not matches or found.user.status != "active":
            await self._note_failure(tenant_id, slug, login, found)
            raise LoginFailed
        call = current_call()
        session_id = uuid7()
        token = RefreshToken.generate(tenant_id, session_id)
        expires_at = self._clock() + self._refresh_life
        async with self._database.tenant_tx(tenant_id) as tx:
            user = await user_store.signed_in(tx, found.user.id, call.address)
            await session_store.create(
                tx, tenant_id, session_id, user.id, token.hash, expires_at, call.address, call.user_agent
            )
            await self._audit.record(tx, Change("sessions.login", "session", session_id, user_id=user.id))
        return self._pair(tenant_id, user, session_id, found.epoch, token)

    async def refresh(self, text: str) -> TokenPair:
        """New tokens for old. Raises RefreshTokenInvalid, or RefreshTokenReused, which ends the session."""
        presented = RefreshToken.parse(text)
        tenant_id, session_id = presented.tenant_id, presented.session_id
        token = RefreshToken.generate(tenant_id, session_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            session = await session_store.lock(tx, session_id)
            if session is None or session.revoked_at is not None or session.expires_at <= self._clock():
                raise RefreshTokenInvalid
            reused = presented.matches(session.previous_hash)
            if not reused and not presented.matches(session.refresh_hash):
                raise RefreshTokenInvalid
            found = await user_store.candidate(tx, session.user_id)
            if found is None or found.user.status != "active" or not await self._tenants.is_active(tx):
                raise RefreshTokenInvalid
            if reused:  # someone else has the token: neither of the two may go on
                await session_store.revoke(tx, session_id, "refresh token reused")
                await session_store.tell_changed(tx, tenant_id, session.user_id)
                await self._audit.record(
                    tx,
                    Change(
                        "sessions.refresh",
                        "session",
                        session_id,
                        status="failure",
                        error_message="refresh token reused",
                        user_id=session.user_id,
                    ),
                )
            else:
                await session_store.rotate(tx, session_id, token.hash, self._clock() + self._refresh_life)
        if reused:
            raise RefreshTokenReused
        return self._pair(tenant_id, found.user, session_id, found.epoch, token)

    async def logout(self) -> None:
        """Ends the caller's session."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            await session_store.revoke(tx, caller.session_id, "logout")
            await session_store.tell_changed(tx, caller.tenant_id, caller.user_id)
            await self._audit.record(tx, Change("sessions.logout", "session", caller.session_id))

    async def change_password(self, current: str, new: str) -> None:
        """Sets the caller's password and ends their other sessions.

        Raises PasswordIncorrect, PasswordGuessable, LoginBusy.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            found = await user_store.candidate(tx, caller.user_id)
        if found is None or not await self._passwords.matches(found.password_hash, current):
            raise PasswordIncorrect
        slug = await self._tenants.slug(caller.tenant_id)
        check_password("new_password", new, (found.user.username, found.user.email, slug))
        password_hash = await self._passwords.hash(new)
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            await user_store.set_password(tx, caller.user_id, password_hash)
            await session_store.revoke_others(tx, caller.user_id, caller.session_id, "password changed")
            await session_store.tell_changed(tx, caller.tenant_id, caller.user_id)
            await self._audit.record(tx, Change("users.change_password", "user", caller.user_id))

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

    async def _find(self, tenant_id: UUID, login: str) -> LoginCandidate | None:
        async with self._database.tenant_tx(tenant_id) as tx:
            return await user_store.find_login(tx, login)

    async def _note_failure(self, tenant_id: UUID | None, slug: str, login: str, found: LoginCandidate | None) -> None:
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
            await self._audit.record(tx, change)
