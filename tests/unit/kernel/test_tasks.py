"""Work that goes on whatever happens to it."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.kernel.errors import Unavailable
from server.kernel.tasks import Pauses, going_on, persistently, scoped
from tests.pauses import noted_pauses

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


async def test_an_outage_is_a_short_warning_and_what_goes_on_is_tried_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work, pauses = Work(*(ConnectionRefusedError() for _ in range(8))), noted_pauses(monkeypatch)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    with capture_logs() as logs:
        async with (
            asyncio.timeout(NOT_FOR_EVER),
            going_on(work, "the work", every=3600, outages=(OSError,)),
        ):
            await work.done.wait()

    assert told == []
    warning = {"event": "the work interrupted", "error": "ConnectionRefusedError", "log_level": "warning"}
    assert logs == [warning] * 8
    assert pauses[0] <= 0.1
    assert pauses[-1] >= 2.5


def test_pauses_grow_up_to_the_longest() -> None:
    pauses = Pauses()

    each = [pauses.after() for _ in range(20)]

    assert all(least <= pause <= 2 * least for least, pause in zip([0.05, 0.1, 0.2, 0.4, 0.8, 1.6], each, strict=False))
    assert all(2.5 <= pause <= 5 for pause in each[6:])


@pytest.mark.parametrize(("lasted", "most"), [(0.0, 5.0), (5.0, 5.0), (5.1, 0.1)])
def test_pauses_begin_anew_only_after_what_lasted(lasted: float, most: float) -> None:
    pauses = Pauses()
    for _ in range(20):
        pauses.after()

    assert most / 2 <= pauses.after(lasted) <= most


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


async def test_a_scoped_task_ends_with_its_context_and_only_who_asks_it_hears_what_it_raises() -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    ended = asyncio.Event()

    async def lasts() -> None:
        try:
            await asyncio.Future()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async def fails() -> None:
        raise ValueError

    async with scoped(lasts(), "lasts"):
        await asyncio.sleep(0)
    async with scoped(fails(), "fails"):
        await asyncio.sleep(0)
    with pytest.raises(ValueError):
        async with scoped(fails(), "asked") as asked:
            await asked
    gc.collect()

    assert ended.is_set()
    assert not complaints
