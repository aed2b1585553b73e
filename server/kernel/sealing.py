"""Secrets at rest: AES-256-GCM, each bound to the place where it lies, under keys that can be replaced."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class MasterKeyUnknown(Exception):
    """Something is kept under a master key that is none of those given."""


def seal(key: bytes, secret: bytes, place: bytes) -> tuple[bytes, bytes]:
    """The secret's ciphertext and nonce. `place`: where it is kept; it opens nowhere else."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return AESGCM(key).encrypt(nonce, secret, place), nonce


def unseal(key: bytes, ciphertext: bytes, nonce: bytes, place: bytes) -> bytes:
    """The secret. Raises cryptography's InvalidTag for another key or place, or where a bit was changed."""
    return AESGCM(key).decrypt(nonce, ciphertext, place)


class MasterKeys:
    """The key that other keys are kept under, and those before it, which still open what they closed."""

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        """Each of KEY_BYTES bytes."""
        self._current = current
        self._all = (current, *previous)
        self.key_id = hashlib.sha256(b"atrium master key\0" + current).hexdigest()[:16]
        """A name of the current one, which tells nothing of it."""

    def derived(self, purpose: bytes) -> tuple[bytes, ...]:
        """A key for a purpose of its own out of each master key, the current one's first."""
        return tuple(hashlib.sha256(purpose + b"\0" + key).digest() for key in self._all)

    def wrap(self, key: bytes, place: bytes) -> bytes:
        """The key under the current master key: nonce, then ciphertext."""
        ciphertext, nonce = seal(self._current, key, place)
        return nonce + ciphertext

    def unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        """The key out of the bytes that `wrap` gave. Raises MasterKeyUnknown."""
        nonce, ciphertext = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        for master_key in self._all:
            try:
                return unseal(master_key, ciphertext, nonce, place)
            except InvalidTag:
                continue
        raise MasterKeyUnknown
