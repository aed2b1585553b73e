"""What is done together: in batches that nobody waits for, each waiter with their own result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from server.db.together import Together
from server.kernel.tasks import Background

NOT_FOR_EVER = 10.0


class Doubling:
    """Doubles numbers; every batch waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Semaphore(0)
        self.made = 0

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.go.acquire()
        if 13 in numbers:
            raise ZeroDivisionError
        self.made += 1
        return [2 * number for number in numbers]


def _ask(together: Together[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    async def ask(number: int) -> int:
        return await together(number)

    return [asyncio.create_task(ask(number)) for number in numbers]


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_while_a_batch_is_under_way_makes_the_next() -> None:
    act = Doubling()
    together = Together(act)
    first = _ask(together, 1, 2)
    await _settled()
    later = _ask(together, 3, 4, 5)
    await _settled()
    act.go.release()
    act.go.release()

    assert await asyncio.gather(*first, *later) == [2, 4, 6, 8, 10]
    assert act.batches == [[1, 2], [3, 4, 5]]
    act.go.release()
    assert await together(6) == 12, "it begins again after it has come to rest"


async def test_a_batch_is_not_larger_than_it_may_be() -> None:
    act = Doubling()
    for _ in range(3):
        act.go.release()

    assert await asyncio.gather(*_ask(Together(act, most=2), 1, 2, 3, 4, 5)) == [2, 4, 6, 8, 10]
    assert [len(batch) for batch in act.batches] == [2, 2, 1]


async def test_what_fails_fails_for_its_batch_alone() -> None:
    act = Doubling()
    together = Together(act)
    first = _ask(together, 1, 13)
    await _settled()
    later = _ask(together, 2)
    act.go.release()
    act.go.release()

    for task in first:
        with pytest.raises(ZeroDivisionError):
            await task
    assert await later[0] == 4


async def test_who_no_longer_waits_takes_nothing_from_the_others() -> None:
    act = Doubling()
    gone, stays = _ask(Together(act), 1, 2)
    await _settled()
    gone.cancel()
    act.go.release()

    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await gone


@pytest.mark.parametrize("early", [True, False], ids=["before it", "in its moment"])
async def test_the_result_of_one_who_has_left_is_given_to_whoever_takes_care_of_it(early: bool) -> None:
    act = Doubling()
    left: list[int] = []
    (asking,) = _ask(Together(act, unclaimed=left.append), 1)
    await _settled()

    if early:
        asking.cancel()
        await asyncio.wait([asking])
    act.go.release()
    await asyncio.sleep(0)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    await _settled()
    assert left == [2]


async def test_what_is_of_use_afterwards_is_done_behind_the_beginning() -> None:
    act = Doubling()
    begun: list[list[int]] = []
    asking = asyncio.create_task(Together(act)(1, lambda: begun.extend(act.batches)))
    await _settled()

    assert begun == [[1]]
    assert not asking.done()
    act.go.release()
    assert await asking == 2


async def test_its_owner_waits_for_what_is_under_way_though_nobody_else_does() -> None:
    act, background = Doubling(), Background()
    (gone,) = _ask(Together(act, background=background), 1)
    await _settled()
    gone.cancel()
    closing = asyncio.create_task(background.close(NOT_FOR_EVER))
    await _settled()

    assert not closing.done()
    act.go.release()
    await closing
    assert act.made == 1
