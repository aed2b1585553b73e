"""Work that goes on whatever happens to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.kernel.errors import Unavailable
from server.kernel.tasks import going_on, persistently

NOT_FOR_EVER = 10.0


class Work:
    """Fails as often as it is told, with what it is told. `done`: when it has succeeded."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.begun = 0
        self.done = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        if self._failures:
            raise self._failures.pop()
        self.done.set()


class Away(Unavailable):
    """It is away."""


async def test_what_goes_on_does_after_any_error_and_each_is_told() -> None:
    work = Work(ZeroDivisionError(), LookupError())
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async with asyncio.timeout(NOT_FOR_EVER), going_on(work, "the work", every=3600):
        await work.done.wait()

    assert work.begun == 3
    assert [type(context["exception"]) for context in told] == [LookupError, ZeroDivisionError]
    assert {context["message"] for context in told} == {"the work failed, and is tried again"}


async def test_what_goes_on_ends_with_its_context_in_the_midst_of_its_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(NOT_FOR_EVER), going_on(wait, "waiting", every=0):
        await begun.wait()

    assert ended.is_set()


async def test_what_is_tried_persistently_outlasts_an_outage() -> None:
    work = Work(Away(), Away())

    await persistently(work, NOT_FOR_EVER)

    assert work.begun == 3


@pytest.mark.parametrize("error", [Away(), ZeroDivisionError()], ids=["too long an outage", "another error"])
async def test_what_is_tried_persistently_raises_what_trying_does_not_help_against(error: Exception) -> None:
    work = Work(error)

    with pytest.raises(type(error)):
        await persistently(work, 0)

    assert work.begun == 1
