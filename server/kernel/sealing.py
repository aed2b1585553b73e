"""Secrets at rest: AES-256-GCM, each bound to the place where it lies, under keys that can be replaced."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

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


def read_key(text: str) -> bytes:
    """The key that is written in base64. Raises ValueError where that is none of KEY_BYTES bytes."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"must be {KEY_BYTES} bytes in base64")
    return key


def kept_key(path: Path) -> bytes:
    """The key in the file, which is made with a new one where there is none. Raises ValueError where it holds none."""
    if not path.exists():
        _make_key(path)
    return read_key(path.read_text())


def _make_key(path: Path) -> None:
    """Makes a file with a new key in it, where there is none: at once with all of it, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # for its owner alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster: its key is everybody's
            os.link(name, path)
    finally:
        Path(name).unlink()


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
