"""The keys that access tokens are signed with, and which of them holds when."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from server.db.memory import Memory
from server.kernel.clock import Clock, now
from server.kernel.errors import DatabaseUnavailable
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.sealing import MasterKeys

ALGORITHM = "EdDSA"
KID = re.compile(r"[0-9A-Za-z_-]{16}")
"""What a key's name is like."""

_RING = "ring"
_SEEK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair that access tokens are signed with.

    `public_key`: 32 raw bytes (RFC 8032). `not_before`: from when it signs. `retires_at`: from when its tokens are
    refused; None: not yet known.
    """

    kid: str
    private_key: Ed25519PrivateKey
    public_key: Ed25519PublicKey
    not_before: datetime
    retires_at: datetime | None = None

    @classmethod
    def generate(cls, not_before: datetime) -> SigningKey:
        private_key = Ed25519PrivateKey.generate()
        return cls(secrets.token_urlsafe(12), private_key, private_key.public_key(), not_before)

    @classmethod
    def unwrap(
        cls, kid: str, wrapped: bytes, not_before: datetime, retires_at: datetime | None, master_keys: MasterKeys
    ) -> SigningKey:
        """The key pair out of the bytes that `wrap` gave. Raises MasterKeyUnknown."""
        private_key = Ed25519PrivateKey.from_private_bytes(master_keys.unwrap(wrapped, _place(kid)))
        return cls(kid, private_key, private_key.public_key(), not_before, retires_at)

    def wrap(self, master_keys: MasterKeys) -> bytes:
        """The private key under the master key, bound to the kid."""
        return master_keys.wrap(self.private_key.private_bytes_raw(), _place(self.kid))

    def signed(self, signature: bytes, statement: bytes) -> bool:
        """Whether that is its signature of that."""
        try:
            self.public_key.verify(signature, statement)
        except InvalidSignature:
            return False
        return True

    def jwk(self) -> dict[str, str]:
        """The public key as a JSON Web Key (RFC 8037)."""
        x = base64.urlsafe_b64encode(self.public_key.public_bytes_raw()).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": self.kid, "x": x}


class KeyRing:
    """The signing keys as they were read: which one signs now, and whose tokens are accepted.

    A new key is known before it signs, and an old one is accepted until the last token that it signed has expired: at
    no moment is there a token that another process would refuse.
    """

    user: tuple[UUID, None] = (PLATFORM_TENANT_ID, None)
    good_until = datetime.max.replace(tzinfo=UTC)  # that a key retires is asked of each by itself

    def __init__(self, keys: Iterable[SigningKey], clock: Clock = now) -> None:
        self._clock = clock
        self._keys = {key.kid: key for key in keys}

    def signing(self) -> SigningKey:
        """The newest key that may sign. Raises DatabaseUnavailable where the database has none to sign with."""
        moment = self._clock()
        by_age = sorted(self.accepted(), key=lambda key: key.not_before)
        if not by_age:
            raise DatabaseUnavailable
        # None may where this clock is behind that of the machine which made the first key: that one does.
        return next((key for key in reversed(by_age) if key.not_before <= moment), by_age[0])

    def find(self, kid: str) -> SigningKey | None:
        """The key of that name, while its tokens are accepted."""
        key = self._keys.get(kid)
        return None if key is None or self._retired(key) else key

    def accepted(self) -> list[SigningKey]:
        """Every key whose tokens are accepted, those to come too: whoever keeps the list knows them in time."""
        return [key for key in self._keys.values() if not self._retired(key)]

    def _retired(self, key: SigningKey) -> bool:
        return key.retires_at is not None and key.retires_at <= self._clock()


class KnownKeys:
    """The key ring of this process: remembered as long as it is certain that no change of it was missed, else read."""

    def __init__(self, memory: Memory[KeyRing], read: Callable[[], Awaitable[KeyRing]]) -> None:
        self._memory = memory
        self._read = read
        self._sought = -_SEEK_SECONDS

    def recall(self) -> KeyRing | None:
        """The ring, where it is remembered and still good."""
        return self._memory.recall(_RING)

    async def ring(self) -> KeyRing:
        """The ring as it is now. Raises DatabaseUnavailable."""
        return self.recall() or await self._read_again()

    async def seek(self) -> KeyRing:
        """The same for a token of a key that is not on the ring: it is read again, but once a second, since anybody can
        make such a token. Raises DatabaseUnavailable.
        """
        if monotonic() - self._sought < _SEEK_SECONDS:
            return await self.ring()
        self._sought = monotonic()
        return await self._read_again()

    async def _read_again(self) -> KeyRing:
        ring = await self._memory.read(_RING, self._read)
        assert ring is not None
        return ring


def _place(kid: str) -> bytes:
    return b"atrium signing key\0" + kid.encode()
