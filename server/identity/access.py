"""Who holds which credential now: verified tokens, keys and permissions, remembered until something changes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from uuid import UUID

from server.db.memory import Memory
from server.identity.domain import Access, ApiKeyInvalid, SessionRevoked, TokenInvalid
from server.identity.signing_keys import KeyRing, KnownKeys
from server.identity.tokens import AccessTokens, Claims, KeySecret, SigningKeyUnknown
from server.kernel.principal import Principal

_MOST_TOKENS = 50_000

ReadSession = Callable[[UUID, UUID], Awaitable[Access | None]]
"""What a tenant's session gives at this moment; None where it, its user or the tenant is gone, ended or not active."""

ReadKey = Callable[[UUID, str, str], Awaitable[Access | None]]
"""The same of a tenant's API key, by its prefix and the hash of its secret."""

Forged = Callable[[str | KeySecret], None]
"""Told of an access token that is none, and of a key that gives nothing. It may take no time."""

Used = Callable[[UUID, UUID], None]
"""Told that a tenant's API key was used, each time that it is read anew."""


class AccessCache:
    """The verifier of the request path.

    A token is read and checked once; the session behind it, or a key, whenever it is not remembered.
    """

    def __init__(
        self,
        tokens: AccessTokens,
        keys: KnownKeys,
        memory: Memory[Access],
        read_session: ReadSession,
        read_key: ReadKey,
        used: Used,
        forged: Forged,
    ) -> None:
        """`memory`: of sessions by their ids, and of keys by their digests: each secret of one stands for itself."""
        self._tokens = tokens
        self._keys = keys
        self._read_session = read_session
        self._read_key = read_key
        self._used = used
        self._forged = forged
        self._claims: OrderedDict[bytes, Claims] = OrderedDict()
        self._memory = memory

    def recall_token(self, token: str) -> Principal | None:
        """The caller, where both the access token and the session behind it are remembered and still good."""
        claims, ring = self._claims.get(_digest(token)), self._keys.recall()
        if claims is None or ring is None or not claims.accepted(ring):
            return None
        access = self._memory.recall(claims.session_id)
        return None if access is None or access.epoch != claims.epoch else access.principal

    def recall_key(self, key: str) -> Principal | None:
        """The caller, where the API key is remembered and still good."""
        access = self._memory.recall(_digest(key))
        return None if access is None else access.principal

    async def verify_token(self, token: str) -> Principal:
        """The caller, from the token itself and the session as the database has it now.

        Raises TokenInvalid, TokenExpired or SessionRevoked.
        """
        digest, ring = _digest(token), await self._keys.ring()
        claims = self._claims.get(digest)
        if claims is None or not claims.accepted(ring):
            self._claims.pop(digest, None)
            claims = await self._read_token(token, ring)
        principal = await self._session(claims)
        self._claims[digest] = claims
        if len(self._claims) > _MOST_TOKENS:
            self._claims.popitem(last=False)
        return principal

    async def verify_key(self, key: str) -> Principal:
        """The caller, from the key as the database has it now. Raises ApiKeyInvalid."""
        secret = KeySecret.parse(key)
        access = await self._memory.read(
            _digest(key), lambda: self._read_key(secret.tenant_id, secret.prefix, secret.hash)
        )
        if access is None:
            self._forged(secret)
            raise ApiKeyInvalid
        assert access.principal.api_key_id is not None
        self._used(secret.tenant_id, access.principal.api_key_id)
        return access.principal

    async def confirm(self, principal: Principal) -> Principal:
        """The caller of a call that goes on in a session, as they are now, whatever became of their access token.

        Raises SessionRevoked.
        """
        assert principal.session_id is not None
        known = self._memory.recall(principal.session_id)
        access = known or await self._read_session_of(principal.home, principal.session_id)
        if access is None:
            raise SessionRevoked
        return access.principal

    async def _read_token(self, token: str, ring: KeyRing) -> Claims:
        try:
            try:
                return self._tokens.read(token, ring)
            except SigningKeyUnknown:  # there is none, or this process has yet to hear of it
                return self._tokens.read(token, await self._keys.seek())
        except (SigningKeyUnknown, TokenInvalid):
            self._forged(token)
            raise TokenInvalid from None

    async def _session(self, claims: Claims) -> Principal:
        access = await self._read_session_of(claims.tenant_id, claims.session_id)
        if access is None or access.epoch != claims.epoch or access.principal.user_id != claims.user_id:
            raise SessionRevoked
        return access.principal

    async def _read_session_of(self, tenant_id: UUID, session_id: UUID) -> Access | None:
        return await self._memory.read(session_id, lambda: self._read_session(tenant_id, session_id))


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode()).digest()
