"""Passwords: hashed with what is recommended, a few at a time, and the surplus told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from threading import Lock, Semaphore

import pytest
from argon2 import Type, extract_parameters

from server.identity import passwords as module
from server.identity.passwords import LoginBusy, Passwords, hashes_at_once

pytestmark = pytest.mark.heavy_hashes

NOT_FOR_EVER = 20.0


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


class Held:
    """Hashes that end when they are let, and how many of them there were at a time."""

    def __init__(self) -> None:
        self.begun, self.let = Semaphore(0), Semaphore(0)
        self.most = 0
        self._running = 0
        self._counting = Lock()

    def hash(self, _: str) -> str:
        self._compute()
        return "hash"

    def verify(self, *_: str) -> bool:
        self._compute()
        return True

    def _compute(self) -> None:
        with self._counting:
            self._running += 1
            self.most = max(self.most, self._running)
        self.begun.release()
        assert self.let.acquire(timeout=NOT_FOR_EVER)
        with self._counting:
            self._running -= 1

    async def begin(self, number: int) -> None:
        """Waits until so many more have begun."""
        for _ in range(number):
            assert await asyncio.to_thread(self.begun.acquire, timeout=NOT_FOR_EVER)


@pytest.mark.parametrize("parallel", [1, 2])
async def test_as_many_are_computed_at_a_time_as_there_are_to_be_and_no_more(
    parallel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords, held = Passwords(parallel), Held()
    monkeypatch.setattr(module, "HASHER", held)
    calls = [
        asyncio.ensure_future(passwords.matches("hash", "correct horse") if number % 2 else passwords.hash("battery"))
        for number in range(6)
    ]

    await held.begin(parallel)
    calls[0].cancel()  # who goes away frees no core
    for _ in calls[parallel:]:
        held.let.release()
        await held.begin(1)
    held.let.release(parallel)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    passwords.close()
    assert held.most == parallel
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, bool, str, bool, str, bool]


@pytest.mark.parametrize(
    ("cores", "processes", "at_once"), [(1, 1, 1), (8, 1, 8), (8, 4, 2), (8, 3, 2), (8, 8, 1), (2, 8, 1)]
)
def test_processes_that_share_the_cores_compute_one_a_core_together_and_one_each_at_least(
    cores: int, processes: int, at_once: int
) -> None:
    assert hashes_at_once(cores, processes) == at_once
