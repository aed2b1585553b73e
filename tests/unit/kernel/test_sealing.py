"""Secrets at rest open under their key, in their place, and as they were."""

from __future__ import annotations

from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag

from server.kernel.sealing import KEY_BYTES, MasterKeys, MasterKeyUnknown, seal, unseal
from server.model.service.credentials import _key_place, _place

KEY, OTHER_KEY = b"k" * KEY_BYTES, b"o" * KEY_BYTES
TENANT, OTHER, ROW = UUID(int=1), UUID(int=2), UUID(int=3)
PLACE = _place(TENANT, ROW)


def test_a_secret_opens_in_its_place() -> None:
    ciphertext, nonce = seal(KEY, b"secret", PLACE)

    assert unseal(KEY, ciphertext, nonce, PLACE) == b"secret"
    assert b"secret" not in ciphertext


def test_it_is_kept_as_others_do_aes_256_gcm() -> None:
    """Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", which NIST's SP 800-38D is of."""
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    secret = (
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    ciphertext = (
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    )
    tag, nonce = "76fc6ece0f4e1768cddf8853bb2d551b", bytes.fromhex("cafebabefacedbaddecaf888")
    place = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")

    assert unseal(key, bytes.fromhex(ciphertext + tag), nonce, place).hex() == secret
    assert len(seal(key, b"secret", place)[1]) == len(nonce)


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (OTHER_KEY, PLACE),
        (KEY, _place(OTHER, ROW)),
        (KEY, _place(TENANT, OTHER)),
        (KEY, PLACE.replace(b"ciphertext", b"other_text")),
    ],
    ids=["another key", "another tenant", "another row", "another column"],
)
def test_it_opens_nowhere_else(key: bytes, place: bytes) -> None:
    ciphertext, nonce = seal(KEY, b"secret", PLACE)

    with pytest.raises(InvalidTag):
        unseal(key, ciphertext, nonce, place)


@pytest.mark.parametrize("place", range(22))
def test_a_flipped_bit_is_seen(place: int) -> None:
    ciphertext, nonce = seal(KEY, b"secret", PLACE)
    changed = bytearray(ciphertext)
    changed[place] ^= 1

    with pytest.raises(InvalidTag):
        unseal(KEY, bytes(changed), nonce, PLACE)


def test_the_same_secret_is_sealed_otherwise_each_time() -> None:
    assert seal(KEY, b"secret", PLACE) != seal(KEY, b"secret", PLACE)


def test_a_key_is_unwrapped_under_a_former_master_key_and_in_its_tenants_place_alone() -> None:
    wrapped = MasterKeys(KEY).wrap(b"data key", _key_place(TENANT))

    assert MasterKeys(OTHER_KEY, [KEY]).unwrap(wrapped, _key_place(TENANT)) == b"data key"
    with pytest.raises(MasterKeyUnknown):
        MasterKeys(OTHER_KEY).unwrap(wrapped, _key_place(TENANT))
    with pytest.raises(MasterKeyUnknown):
        MasterKeys(KEY).unwrap(wrapped, _key_place(OTHER))
