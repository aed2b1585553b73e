"""How long a call may run: ended in time, told apart from a cancellation, and nothing left behind."""

from __future__ import annotations

import asyncio

import pytest

from server.rpc.ceiling import Ceiling, CeilingReached

AT_ONCE = 0.0
LONG = 60.0


def _task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def test_a_call_within_its_time_is_left_alone() -> None:
    with Ceiling(LONG)(_task()):
        await asyncio.sleep(0)


async def test_a_call_beyond_its_time_is_ended_and_says_what_was_allowed() -> None:
    with pytest.raises(CeilingReached) as raised, Ceiling(AT_ONCE)(_task()):
        await asyncio.Event().wait()

    assert raised.value.fields == {"seconds": "0.0"}
    assert _task().cancelling() == 0


async def test_each_call_of_many_has_its_own_time() -> None:
    ceiling = Ceiling(AT_ONCE)

    async def run() -> None:
        with ceiling(_task()):
            await asyncio.Event().wait()

    results = await asyncio.gather(run(), run(), return_exceptions=True)
    later = asyncio.create_task(run())  # the timer has gone to rest meanwhile
    results += await asyncio.gather(later, return_exceptions=True)

    assert [type(result) for result in results] == [CeilingReached] * 3


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    entered = asyncio.Event()

    async def run() -> None:
        with Ceiling(LONG)(_task()):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_call_raises_by_itself_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), Ceiling(LONG)(_task()):
        raise ZeroDivisionError
