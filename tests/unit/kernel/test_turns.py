"""Places that are fewer than those who want one."""

from __future__ import annotations

import asyncio

from server.kernel.turns import Turns


class _Queue:
    """Who has had a place, in order; each keeps theirs until they are let go."""

    def __init__(self, places: int) -> None:
        self._turns = Turns(places)
        self.came: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    def want(self, line: str, name: str) -> asyncio.Task[None]:
        self._gates[name] = asyncio.Event()
        return asyncio.create_task(self._stay(line, name))

    async def let_go(self, name: str) -> None:
        self._gates[name].set()
        await _settled()

    async def _stay(self, line: str, name: str) -> None:
        async with self._turns.place(line):
            self.came.append(name)
            await self._gates[name].wait()


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_lines_are_served_in_turn_however_long_one_is() -> None:
    queue = _Queue(places=1)
    tasks = [queue.want("a", f"a{number}") for number in range(4)]
    tasks += [queue.want("b", f"b{number}") for number in range(2)]
    await _settled()

    while len(queue.came) < len(tasks):
        await queue.let_go(queue.came[-1])

    assert queue.came == ["a0", "a1", "b0", "a2", "b1", "a3"]
    await queue.let_go("a3")
    await asyncio.gather(*tasks)


async def test_as_many_have_a_place_as_there_are() -> None:
    queue = _Queue(places=2)
    tasks = [queue.want("a", name) for name in "xyz"]
    await _settled()

    before = list(queue.came)
    await queue.let_go("y")

    assert (before, queue.came) == (["x", "y"], ["x", "y", "z"])
    for name in "xz":
        await queue.let_go(name)
    await asyncio.gather(*tasks)
    assert queue.came == ["x", "y", "z"]


async def test_who_leaves_holds_up_nobody_and_takes_no_turn() -> None:
    queue = _Queue(places=1)
    tasks = [queue.want("a", "first"), queue.want("a", "leaves"), queue.want("a", "stays"), queue.want("b", "other")]
    await _settled()

    tasks[1].cancel()
    await queue.let_go("first")
    await queue.let_go("stays")

    assert queue.came == ["first", "stays", "other"]
    await queue.let_go("other")


async def test_a_place_that_comes_in_the_moment_of_leaving_is_passed_on() -> None:
    queue = _Queue(places=1)
    tasks = [queue.want("a", "first"), queue.want("a", "leaves"), queue.want("b", "other")]
    await _settled()

    tasks[0].cancel()
    await asyncio.sleep(0)  # the place is the next one's, who does not know it yet
    tasks[1].cancel()
    await _settled()

    assert queue.came == ["first", "other"]
    await queue.let_go("other")
    again = queue.want("c", "again")
    await _settled()
    assert queue.came[-1] == "again"
    again.cancel()
