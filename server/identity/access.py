"""Who holds which token now: verified tokens and permissions, remembered until something about them changes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic, time
from uuid import UUID

from server.identity.domain import Access, SessionRevoked, TokenExpired
from server.identity.tokens import AccessTokens, Claims
from server.kernel.principal import Principal

# A change is told by notification within milliseconds; the life of an entry only bounds what a lost one could cost.
_LIFE_SECONDS = 30.0
_LIFE_SECONDS_UNNOTIFIED = 0.9
_MOST_TOKENS = 50_000


ReadSession = Callable[[UUID, UUID], Awaitable[Access | None]]
"""What a tenant's session gives at this moment; None where it, its user or the tenant is gone, ended or not active."""


@dataclass(frozen=True, slots=True)
class _Known:
    access: Access
    read_at: float


class AccessCache:
    """The verifier of the request path.

    A token is read and checked once; the session behind it once in every `_LIFE_SECONDS`, and again as soon as the
    database tells that its user, its roles or its tenant changed. While that telling is interrupted, entries live
    under a second, so that a revocation holds everywhere within one.
    """

    def __init__(self, tokens: AccessTokens, read_session: ReadSession) -> None:
        self._tokens = tokens
        self._read_session = read_session
        self._claims: OrderedDict[bytes, Claims] = OrderedDict()
        self._known: dict[UUID, _Known] = {}
        self._life = _LIFE_SECONDS_UNNOTIFIED
        self._changes = 0

    def recall(self, token: str) -> Principal | None:
        """The caller, where both the token and its session are remembered and still good."""
        claims = self._claims.get(_digest(token))
        if claims is None or claims.expires_at <= time():
            return None
        known = self._known.get(claims.session_id)
        if known is None or monotonic() - known.read_at > self._life or known.access.epoch != claims.epoch:
            return None
        return known.access.principal

    async def verify(self, token: str) -> Principal:
        """The caller, from the token itself and the session as the database has it now.

        Raises TokenInvalid, TokenExpired or SessionRevoked.
        """
        digest = _digest(token)
        claims = self._claims.get(digest) or self._tokens.read(token)
        if claims.expires_at <= time():
            self._claims.pop(digest, None)
            raise TokenExpired
        access = await self._read(claims)
        if access is None or access.epoch != claims.epoch or access.principal.user_id != claims.user_id:
            raise SessionRevoked
        self._claims[digest] = claims
        if len(self._claims) > _MOST_TOKENS:
            self._claims.popitem(last=False)
        return access.principal

    async def _read(self, claims: Claims) -> Access | None:
        # What changes while it is read may or may not be in it: it is used for this call and not remembered.
        changes, read_at = self._changes, monotonic()
        access = await self._read_session(claims.tenant_id, claims.session_id)
        if access is not None and changes == self._changes:
            if len(self._known) > _MOST_TOKENS:
                self._known.clear()
            self._known[claims.session_id] = _Known(access, read_at)
        return access

    def changed(self, tenant_id: UUID, user_id: UUID | None) -> None:
        """Something about this user changed, or (None) about everyone in the tenant."""
        self._changes += 1
        for session_id, known in list(self._known.items()):
            principal = known.access.principal
            if principal.tenant_id == tenant_id and user_id in (None, principal.user_id):
                del self._known[session_id]

    def listening(self, connected: bool) -> None:
        """Changes are told from now on, or not any more; what may have been missed in between is forgotten."""
        self._changes += 1
        self._known.clear()
        self._life = _LIFE_SECONDS if connected else _LIFE_SECONDS_UNNOTIFIED


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
