"""The credentials that people carry: access tokens (JWT, EdDSA) and refresh tokens (opaque, single-use)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import time
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.identity.domain import (
    ApiKeyInvalid,
    OneTimeTokenInvalid,
    RefreshTokenInvalid,
    TokenExpired,
    TokenInvalid,
)
from server.identity.signing_keys import ALGORITHM, KID, KeyRing, SigningKey

HEADER_TYPE = "at+jwt"  # RFC 9068, section 2.1: keeps other JWTs of this issuer from passing as access tokens

_REQUIRED = ["iss", "aud", "exp", "iat", "sub", "tid", "sid", "epoch"]
_NUMBERS = ("exp", "iat", "epoch")
_UNREADABLE = (jwt.PyJWTError, KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)

# Together a multiple of three, so that base64 has no padding.
_NUMBER_BYTES, _FAMILY_BYTES, _MAC_BYTES = 6, 16, 32


class SigningKeyUnknown(Exception):
    """A token names a key that is not on the ring: there is none, or this process has yet to hear of it."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says."""

    tenant_id: UUID
    user_id: UUID
    session_id: UUID
    epoch: int
    expires_at: float
    kid: str

    def accepted(self, ring: KeyRing) -> bool:
        """Whether what was read before is still good: not expired, nor its key withdrawn."""
        return self.expires_at > time() and ring.find(self.kid) is not None


class AccessTokens:
    """Makes access tokens with a key, and reads those of every key on a ring."""

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience

    def issue(
        self,
        key: SigningKey,
        tenant_id: UUID,
        user_id: UUID,
        session_id: UUID,
        epoch: int,
        now: datetime,
        life: timedelta,
    ) -> str:
        """A token that the key signs, good until `now + life`."""
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "iat": now,
            "exp": now + life,
            "sub": str(user_id),
            "tid": str(tenant_id),
            "sid": str(session_id),
            "epoch": epoch,
        }
        headers = {"kid": key.kid, "typ": HEADER_TYPE}
        return jwt.encode(claims, key.private_key, algorithm=ALGORITHM, headers=headers)

    def read(self, token: str, ring: KeyRing) -> Claims:
        """The token's claims, every one of them checked.

        Raises SigningKeyUnknown, TokenInvalid or TokenExpired.
        """
        try:
            if not _is_plain(token):
                raise TokenInvalid
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            if header.get("typ") != HEADER_TYPE or not isinstance(kid, str):
                raise TokenInvalid
            key = ring.find(kid)
            if key is None:
                raise SigningKeyUnknown
            claims = jwt.decode(
                token,
                key.public_key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                options={"require": _REQUIRED},
            )
            if not all(
                type(claims[name]) is int for name in _NUMBERS
            ):  # a bool is an int, and PyJWT takes text for one
                raise TokenInvalid
            return Claims(
                UUID(claims["tid"]),
                UUID(claims["sub"]),
                UUID(claims["sid"]),
                claims["epoch"],
                claims["exp"],
                kid,
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except _UNREADABLE:
            raise TokenInvalid from None


def _is_plain(token: str) -> bool:
    """Whether the token is written as RFC 7515, section 2, has it: PyJWT passes over what is no base64, and over bits
    that stand for nothing.
    """
    raw = [base64.urlsafe_b64decode(part + "==") for part in token.split(".")]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in raw) == token


def claimed_tenant(token: str) -> UUID | None:
    """The tenant that an access token names, whoever made it; None where it names none."""
    try:  # by itself: what PyJWT does not like of the header is no reason not to tell
        return UUID(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["tid"])
    except (*_UNREADABLE, IndexError):
        return None


def claimed_key(token: str) -> str | None:
    """The `kid` that an access token names, whoever made it; None where it names none that could be ours."""
    try:
        kid = jwt.get_unverified_header(token).get("kid", "")
    except _UNREADABLE:
        return None
    return kid if KID.fullmatch(kid) else None


def is_signed_with(token: str, public_key: bytes) -> bool:
    """Whether the token was signed with that key (32 raw bytes), whatever it says and however old it is."""
    try:
        jwt.PyJWS().decode(token, Ed25519PublicKey.from_public_bytes(public_key), algorithms=[ALGORITHM])
    except _UNREADABLE:
        return False
    return True


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """`<tenant>.<session>.<secret>`: it says in the clear where its session lies, and only its hash is kept there.

    The secret is the token's number in its session, some random bytes that the session's tokens have in common, and a
    MAC over both: every token that was good once can be told from one that never was. Neither the key of the MAC nor
    the database is enough to make one.
    """

    tenant_id: UUID
    session_id: UUID
    secret: str

    @classmethod
    def generate(cls, tenant_id: UUID, session_id: UUID, key: bytes) -> RefreshToken:
        """The first one of a session."""
        return cls._made(tenant_id, session_id, 0, secrets.token_bytes(_FAMILY_BYTES), key)

    @classmethod
    def parse(cls, text: str) -> RefreshToken:
        """Raises RefreshTokenInvalid for what is not of that form."""
        try:
            tenant, session, secret = text.split(".")
            made = cls(UUID(hex=tenant), UUID(hex=session), secret)
        except ValueError:
            raise RefreshTokenInvalid from None
        if str(made) != text:  # a UUID can be written in several ways
            raise RefreshTokenInvalid
        return made

    def following(self, key: bytes, number: int) -> RefreshToken:
        """The token of that number that this one is exchanged for: always the same under one key.

        So of two refreshes at once with one token both get the same next one, and neither ends the session.
        """
        parts = self._parts()
        # Tokens of an earlier form are random as a whole.
        family = hashlib.sha256(self.secret.encode()).digest()[:_FAMILY_BYTES] if parts is None else parts[1]
        return self._made(self.tenant_id, self.session_id, number, family, key)

    def number(self, keys: Sequence[bytes]) -> int | None:
        """Which of its session's tokens it is; None where none of the keys has made it."""
        parts = self._parts()
        if parts is None:
            return None
        number, family, mac = parts
        made = any(hmac.compare_digest(mac, _refresh_mac(key, self.session_id, number, family)) for key in keys)
        return number if made else None

    @classmethod
    def _made(cls, tenant_id: UUID, session_id: UUID, number: int, family: bytes, key: bytes) -> RefreshToken:
        raw = number.to_bytes(_NUMBER_BYTES) + family + _refresh_mac(key, session_id, number, family)
        return cls(tenant_id, session_id, _encoded(raw))

    def _parts(self) -> tuple[int, bytes, bytes] | None:
        """The number, the family's bytes and the MAC, as the secret has them."""
        try:
            raw = base64.b64decode(self.secret, altchars=b"-_", validate=True)
        except ValueError:
            return None
        if len(raw) != _NUMBER_BYTES + _FAMILY_BYTES + _MAC_BYTES or _encoded(raw) != self.secret:
            return None
        rest = raw[_NUMBER_BYTES:]
        return int.from_bytes(raw[:_NUMBER_BYTES]), rest[:_FAMILY_BYTES], rest[_FAMILY_BYTES:]

    def __str__(self) -> str:
        return f"{self.tenant_id.hex}.{self.session_id.hex}.{self.secret}"

    @property
    def hash(self) -> str:
        """SHA-256, hex: the secret cannot be guessed, so that no slow hash is needed."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def matches(self, stored: str | None) -> bool:
        return stored is not None and hmac.compare_digest(self.hash, stored)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _refresh_mac(key: bytes, session_id: UUID, number: int, family: bytes) -> bytes:
    return hmac.digest(key, session_id.bytes + number.to_bytes(_NUMBER_BYTES) + family, "sha256")


_KEY = re.compile(r"atr_([0-9a-f]{32})_([0-9a-z]{12})_([0-9A-Za-z]{43})")
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class KeySecret:
    """`atr_<tenant>_<prefix>_<secret>`: like a refresh token it says where it lies, and only its hash is kept there."""

    tenant_id: UUID
    prefix: str
    secret: str

    @classmethod
    def generate(cls, tenant_id: UUID, prefix: str | None = None) -> KeySecret:
        """A new one; of a key that has a prefix already, with that one."""
        made = prefix or "".join(secrets.choice(_LETTERS[:26] + string.digits) for _ in range(12))
        return cls(tenant_id, made, "".join(secrets.choice(_LETTERS) for _ in range(43)))

    @classmethod
    def parse(cls, text: str) -> KeySecret:
        """Raises ApiKeyInvalid for what is not of that form."""
        found = _KEY.fullmatch(text)
        if found is None:
            raise ApiKeyInvalid
        return cls(UUID(hex=found[1]), found[2], found[3])

    def __str__(self) -> str:
        return f"atr_{self.tenant_id.hex}_{self.prefix}_{self.secret}"

    @property
    def hash(self) -> str:
        """SHA-256, hex: the secret has 256 random bits, so that no slow hash is needed."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class OneTimeToken:
    """`<tenant>.<id>.<secret>`, sent by mail: it says in the clear where its hash lies."""

    tenant_id: UUID
    id: UUID
    secret: str = field(repr=False)

    @classmethod
    def generate(cls, tenant_id: UUID, id: UUID) -> OneTimeToken:
        return cls(tenant_id, id, secrets.token_urlsafe(32))

    @classmethod
    def parse(cls, text: str) -> OneTimeToken:
        """Raises OneTimeTokenInvalid for what is not of that form."""
        try:
            tenant, token, secret = text.split(".")
            made = cls(UUID(hex=tenant), UUID(hex=token), secret)
        except ValueError:
            raise OneTimeTokenInvalid from None
        if str(made) != text:  # a UUID can be written in several ways
            raise OneTimeTokenInvalid
        return made

    def __str__(self) -> str:
        return f"{self.tenant_id.hex}.{self.id.hex}.{self.secret}"

    def hash(self, *bound_to: str | None) -> str:
        """SHA-256, hex, over the secret and over what the token is good for as long as it stays as it is."""
        return hashlib.sha256("\0".join([self.secret, *(part or "" for part in bound_to)]).encode()).hexdigest()
