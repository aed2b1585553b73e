"""Passwords: hashed with what is recommended, a few at a time, and the surplus told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import Type, extract_parameters

from server.identity.passwords import LoginBusy, Passwords

pytestmark = pytest.mark.heavy_hashes


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(parallel=1, waiting=2)
    yield made
    made.close()


async def test_a_hash_is_made_with_the_parameters_that_owasp_recommends(passwords: Passwords) -> None:
    made = extract_parameters(await passwords.hash("correct horse"))

    assert (made.type, made.memory_cost, made.time_cost, made.parallelism) == (Type.ID, 19_456, 2, 1)
    assert (made.salt_len, made.hash_len) == (16, 32)


async def test_a_password_is_its_hashs_and_no_other(passwords: Passwords) -> None:
    made = await passwords.hash("correct horse")

    assert await passwords.matches(made, "correct horse")
    assert not await passwords.matches(made, "battery staple")
    assert not await passwords.matches(None, "correct horse")
    assert not await passwords.matches("no hash at all", "correct horse")


async def test_who_finds_no_room_to_wait_in_is_told_when_to_come_again(passwords: Passwords) -> None:
    outcomes = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(5)), return_exceptions=True)

    refused = [outcome for outcome in outcomes if isinstance(outcome, LoginBusy)]
    assert len(refused) == 2, "one is computed, two wait"
    assert refused[0].retry_after == 1.0
    assert await passwords.hash("correct horse"), "and there is room again"
