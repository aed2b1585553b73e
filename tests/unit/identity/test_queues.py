"""Whose turn it is: so many at a time under one name, and not too many who wait."""

from __future__ import annotations

import asyncio
import threading

import pytest

from server.identity import passwords as hashes
from server.identity.passwords import LoginBusy, Passwords, Queues

pytestmark = pytest.mark.heavy_hashes


class Room:
    """Those who come, each staying until they are told to go."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self.inside: list[int] = []
        self.go = asyncio.Event()

    async def come(self, number: int, name: str = "ada") -> None:
        async with self._queues.taken(name):
            self.inside.append(number)
            await self.go.wait()


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_so_many_have_their_turn_at_once_and_the_rest_in_their_order() -> None:
    room = Room(Queues(at_once=2, waiting=8))
    tasks = [asyncio.create_task(room.come(number)) for number in range(5)]
    await _settled()
    assert room.inside == [0, 1]

    room.go.set()
    await asyncio.gather(*tasks)

    assert room.inside == [0, 1, 2, 3, 4]


async def test_nobody_waits_for_those_of_another_name() -> None:
    room = Room(Queues(at_once=1, waiting=8))
    tasks = [asyncio.create_task(room.come(number, name)) for number, name in enumerate(["ada", "grace", "ada"])]
    await _settled()

    assert room.inside == [0, 1]
    room.go.set()
    await asyncio.gather(*tasks)


async def test_whoever_would_wait_too_long_is_told_so_and_who_leaves_makes_room() -> None:
    queues = Queues(at_once=1, waiting=1)
    room = Room(queues)
    first, second = (asyncio.create_task(room.come(number)) for number in range(2))
    await _settled()
    with pytest.raises(LoginBusy):
        await room.come(2)

    second.cancel()
    await asyncio.wait([second])
    third = asyncio.create_task(room.come(3))
    await _settled()
    room.go.set()
    await asyncio.gather(first, third)

    assert room.inside == [0, 3]
    assert queues._queues == {}


async def test_a_place_is_free_again_when_what_is_computed_in_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def held(password: str) -> str:
        begun.set()
        go_on.wait(10)
        return password

    monkeypatch.setattr(hashes, "normalized", held)
    passwords = Passwords(parallel=1, waiting=0)
    try:
        with passwords.place() as place:
            with pytest.raises(LoginBusy), passwords.place():
                pass
            hashing = asyncio.create_task(place.hash("a password of somebody who leaves"))
            assert await asyncio.to_thread(begun.wait, 10)
            hashing.cancel()
            await asyncio.wait([hashing])
        with pytest.raises(LoginBusy), passwords.place():
            pass

        go_on.set()
        async with asyncio.timeout(10):
            while not await _has_room(passwords):
                pass
    finally:
        go_on.set()
        passwords.close()


async def _has_room(passwords: Passwords) -> bool:
    await asyncio.sleep(0)
    try:
        with passwords.place():
            return True
    except LoginBusy:
        return False
