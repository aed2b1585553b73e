"""Which passwords may be chosen, and that each is one password however it was typed."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from server.identity.domain import PasswordGuessable
from server.identity.password_policy import check_password
from server.identity.passwords import Passwords
from server.kernel.errors import InvalidRequest

NAMES = ("Ada.Lovelace", "countess@example.com", "acme")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "all letters no digits",
        "        spaces        ",
        "密码很长也很好记得住",
        "🐎🔋🔗🐎🔋🔗🐎🔋🔗",
        "tr0ub4dor&3x",
        "acme is where I work",
        "atrium-of-the-old-house",
        "countess of the analytical engine",
        "73920184657",
        "p" * 127 + "qr",
    ],
)
def test_whatever_is_long_enough_and_not_tried_first_may_be_chosen(password: str) -> None:
    check_password("password", password, NAMES)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("password", "is one of the passwords that are tried first"),
        ("PassWord1", "is one of the passwords that are tried first"),
        ("iloveyou1", "is one of the passwords that are tried first"),
        ("understanding", "is one of the passwords that are tried first"),
        ("ｐａｓｓｗｏｒｄ", "is one of the passwords that are tried first"),
        ("zzzzzzzzzzzzzzz", "repeats or counts its characters"),
        ("#+#+#+#+#+#+", "repeats or counts its characters"),
        ("cdefghijklm", "repeats or counts its characters"),
        ("9876543210", "repeats or counts its characters"),
        ("ada.lovelace", "is made of the names of the account, its tenant or this service"),
        ("ADA.LOVELACE!", "is made of the names of the account, its tenant or this service"),
        ("2026-Countess", "is made of the names of the account, its tenant or this service"),
        ("countess@example.com", "is made of the names of the account, its tenant or this service"),
        ("AcmeAtrium2026", "is made of the names of the account, its tenant or this service"),
        ("acme/acme/acme", "is made of the names of the account, its tenant or this service"),
        ("Atrium123!", "is made of the names of the account, its tenant or this service"),
    ],
)
def test_what_is_tried_first_is_refused_with_the_field_named(password: str, why: str) -> None:
    with pytest.raises(PasswordGuessable) as refused:
        check_password("administrator.password", password, NAMES)

    assert refused.value.violations == (("administrator.password", why),)


def test_what_is_hashed_is_long_enough_too() -> None:
    typed = "e\u0301" * 4  # eight characters, and four of them once they are put together

    with pytest.raises(InvalidRequest) as refused:
        check_password("new_password", typed, NAMES)

    assert refused.value.violations == (("new_password", "must be at least 8 characters"),)


def test_a_short_name_is_in_too_many_words_to_count() -> None:
    check_password("password", "li-8467-1953", ("li", "li@example.com", "it"))


async def test_a_password_is_one_however_it_was_typed() -> None:
    passwords = Passwords(parallel=1)
    try:
        stored = await passwords.hash("cafe\u0301 ＡＢＣ①")

        assert await passwords.matches(stored, "caf\u00e9 ABC1")
        assert not await passwords.matches(stored, "cafe ABC1")
    finally:
        passwords.close()


async def test_a_hash_made_before_passwords_were_normalized_still_verifies() -> None:
    passwords = Passwords(parallel=1)
    stored = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash("c0rrect Horse~battery")
    try:
        assert await passwords.matches(stored, "c0rrect Horse~battery")
    finally:
        passwords.close()
