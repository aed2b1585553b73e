"""Work in processes of its own: its results and refusals, its bounds, and whose turn it is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from server.kernel.errors import (
    DatabaseUnavailable,
    DeadlineExceeded,
    DomainError,
    EtagMismatch,
    InvalidArgument,
    InvalidRequest,
    ResourceExhausted,
)
from server.offload.workers import Workers
from tests.unit.offload import theirs
from tests.unit.offload.theirs import allocate, keep_trying, refuse

ADA, GRACE = UUID(int=1), UUID(int=2)
FOR_EVER = 1_000
MIB = 1 << 20


class HornsBusy(ResourceExhausted):
    """Too many horns at once."""


class HornTooLong(DeadlineExceeded):
    """The horn took too long."""


class HornTooBig(InvalidArgument):
    """The horn takes more memory than there is."""


def made(parallel: int = 1, seconds: float = 20.0, **bounds: Any) -> Workers:
    return Workers(
        parallel,
        busy=partial(HornsBusy, "horns", 1.0),
        too_long=HornTooLong,
        seconds=seconds,
        imports=[theirs.__name__],
        **bounds,
    )


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    running = made(most_of_a_tenant=3)
    yield running
    await running.close()


@pytest.mark.parametrize(
    ("error", "arguments"),
    [(InvalidRequest, ([("name", "is empty")],)), (EtagMismatch, ()), (DatabaseUnavailable, (2.5,))],
)
async def test_a_refusal_is_the_same_as_if_it_were_made_here(
    workers: Workers, error: type[DomainError], arguments: tuple[Any, ...]
) -> None:
    fields = {"resource": "horn"}

    with pytest.raises(error) as there:
        await workers.run(ADA, refuse, error, arguments, fields)

    here = error(*arguments, **fields)
    assert there.value.args == here.args
    assert vars(there.value) == vars(here)


async def test_what_takes_too_long_is_ended_and_its_process_replaced() -> None:
    workers = made(seconds=0.1)
    try:
        with pytest.raises(HornTooLong):
            await workers.run(ADA, time.sleep, FOR_EVER)

        workers._seconds = FOR_EVER  # for what takes no time but on a busy machine
        assert await workers.run(ADA, len, "a") == 1
    finally:
        await workers.close()


async def test_a_process_that_dies_is_replaced(workers: Workers) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await workers.run(ADA, os._exit, 1)

    assert await workers.run(ADA, len, "a") == 1


async def test_a_process_that_dies_is_what_was_said_for_it() -> None:
    workers = made(lost=HornTooBig)
    try:
        with pytest.raises(HornTooBig):
            await workers.run(ADA, os._exit, 1)

        assert await workers.run(ADA, len, "a") == 1
    finally:
        await workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is held to on Linux")
@pytest.mark.parametrize("work", [allocate, keep_trying])
async def test_what_takes_too_much_memory_is_refused_and_its_process_replaced(work: Callable[[int], int]) -> None:
    workers = made(lost=HornTooBig, memory=256 * MIB)
    try:
        first = await workers.run(ADA, os.getpid)
        with pytest.raises(HornTooBig):
            await workers.run(ADA, work, 512 * MIB)

        assert await workers.run(ADA, os.getpid) != first
        assert await workers.run(ADA, allocate, 64 * MIB) == 64 * MIB
    finally:
        await workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is held to on Linux")
async def test_what_does_not_even_fit_in_is_refused() -> None:
    workers = made(lost=HornTooBig, memory=128 * MIB)
    try:
        with pytest.raises(HornTooBig):
            await workers.run(ADA, len, bytes(160 * MIB))

        assert await workers.run(ADA, len, "a") == 1
    finally:
        await workers.close()


async def test_one_that_died_meanwhile_fails_nobody(workers: Workers) -> None:
    pid = await workers.run(ADA, os.getpid)
    os.kill(pid, signal.SIGKILL)
    while workers._idle[0].returncode is None:  # noqa: ASYNC110 - the event loop notes its end, and tells nobody
        await asyncio.sleep(0.01)

    assert await workers.run(ADA, os.getpid) != pid


async def test_one_process_does_one_work_after_another(workers: Workers) -> None:
    assert len({await workers.run(ADA, os.getpid) for _ in range(3)} - {os.getpid()}) == 1


async def test_a_tenant_has_a_share_and_no_more(workers: Workers) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(workers.run(ADA, os.getpid)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(HornsBusy) as refused:
            await workers.run(ADA, os.getpid)
        asked.append(group.create_task(workers.run(GRACE, os.getpid)))

    assert refused.value.retry_after
    assert len({task.result() for task in asked}) == 1
    await workers.run(ADA, os.getpid)


async def test_all_tenants_together_have_a_bound_too() -> None:
    workers = made(most_waiting=1)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(workers.run(ADA, os.getpid))
            await asyncio.sleep(0)
            with pytest.raises(HornsBusy):
                await workers.run(GRACE, os.getpid)
    finally:
        await workers.close()


async def test_what_is_large_takes_more_of_a_share() -> None:
    workers = made(most_of_a_tenant=3)
    try:
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(workers.run(ADA, len, "a" * (2 << 16)))
            await asyncio.sleep(0)
            with pytest.raises(HornsBusy):
                await workers.run(ADA, len, "a")
        assert asked.result() == 2 << 16
        assert await workers.run(ADA, len, "a") == 1
    finally:
        await workers.close()


async def test_whoever_has_an_answer_may_ask_for_more(workers: Workers) -> None:
    for _ in range(2):
        assert await workers.run(ADA, len, "a" * (4 << 16)) == 4 << 16


async def test_tenants_take_turns_however_much_one_asks(workers: Workers) -> None:
    order: list[UUID] = []

    async def ask(tenant_id: UUID) -> None:
        await workers.run(tenant_id, os.getpid)
        order.append(tenant_id)

    async with asyncio.TaskGroup() as group:
        for tenant_id in (ADA, ADA, ADA, GRACE):
            group.create_task(ask(tenant_id))

    # The first is under way when the others come; of them, who asked for less goes before who asked for more.
    assert order.index(GRACE) < 3


async def test_whoever_goes_away_holds_nobody_up(workers: Workers) -> None:
    asked = [asyncio.create_task(workers.run(ADA, os.getpid)) for _ in range(3)]
    await asyncio.sleep(0)

    for task in asked:
        task.cancel()
    await asyncio.wait(asked)

    assert await workers.run(GRACE, os.getpid) != os.getpid()


async def test_no_secret_of_the_server_is_given_to_who_works(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATRIUM_MASTER_KEY", "secret")

    assert await workers.run(ADA, os.getenv, "ATRIUM_MASTER_KEY") is None


async def test_those_who_wait_when_it_closes_are_not_left_waiting() -> None:
    workers = made()
    asked = [asyncio.create_task(workers.run(ADA, time.sleep, FOR_EVER)) for _ in range(2)]
    await asyncio.sleep(0)

    await workers.close()
    done, _ = await asyncio.wait(asked)

    assert all(task.cancelled() for task in done)
