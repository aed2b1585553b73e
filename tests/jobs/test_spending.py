"""What the models of a run used is counted once, of its task and of its execution, however the run ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from server.jobs.backlog import TenantRun
from server.jobs.runs import Overtaken
from server.kernel.errors import DatabaseUnavailable
from server.llm.port import ModelUnavailable
from server.workflow.definition import Retry
from server.workflow.executions import Used
from tests.jobs.executing import TOKENS, Executing, chat

_ONE = Used(1, TOKENS, Decimal("0.5"))


def _losing(executing: Executing, monkeypatch: pytest.MonkeyPatch, *, before: Iterable[bool], after: bool) -> None:
    """Transactions that hold an execution are lost: each for which `before` says so, and one that was committed."""
    holding, lost, deaf = executing.engine.holding, iter(before), iter([after])

    @asynccontextmanager
    async def hold(tenant_id: UUID, execution_id: UUID, run: TenantRun | None = None) -> AsyncIterator[Any]:
        async with holding(tenant_id, execution_id, run) as it:
            yield it
            if next(lost, False):
                raise DatabaseUnavailable
        if next(deaf, False):
            raise DatabaseUnavailable

    monkeypatch.setattr(executing.engine, "holding", hold)


async def _check(executing: Executing, execution_id: UUID, used: Used) -> None:
    await executing.background.close(60.0)
    tasks = (await executing.tasks(execution_id)).values()
    of_tasks = [orjson.loads(task["usage"]) for task in tasks if task["usage"] is not None]
    assert (await executing.get(execution_id)).usage == used
    assert sum((Used(one["calls"], one["tokens"], Decimal(one["cost"])) for one in of_tasks), Used()) == used


@pytest.mark.parametrize("wrong", [None, ModelUnavailable(1.0)])
async def test_a_commit_of_which_nobody_hears_counts_once(
    wrong: Exception | None, active: Executing, monkeypatch: pytest.MonkeyPatch
) -> None:
    active.actions.wrong = wrong
    execution_id = await active.start(chat("a", retry=Retry(2, 0.0)))
    (job,) = await active.take()
    _losing(active, monkeypatch, before=[], after=True)

    with pytest.raises(DatabaseUnavailable):
        await (await active.run(job))

    await _check(active, execution_id, _ONE)


async def test_what_was_used_counts_where_it_could_not_be_written_with_what_it_was_for(
    active: Executing, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = await active.start(chat("a"))
    (job,) = await active.take()
    _losing(active, monkeypatch, before=[True, True, True], after=True)

    with pytest.raises(DatabaseUnavailable):
        await (await active.run(job))
    await active.background.close(60.0)
    await (await active.run(job, attempts=2))

    await _check(active, execution_id, _ONE + _ONE)
    await active.check_done_once(execution_id, "a")


async def test_what_an_overtaken_run_used_counts_once_the_database_is_there(
    held: Executing, active: Executing, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = await held.start(chat("a"))
    first, go_on = await held.overtaken(active)
    _losing(held, monkeypatch, before=[False, True, True], after=False)

    go_on.set()
    with pytest.raises(Overtaken):
        await first

    await _check(held, execution_id, _ONE + _ONE)
    await held.check_done_once(execution_id, "a")


async def test_what_a_run_used_that_its_worker_ends_counts(held: Executing, active: Executing) -> None:
    execution_id = await held.start(chat("a"))
    (job,) = await held.take()
    asked = held.actions.chat

    async def asks_and_waits(*arguments: Any) -> dict[str, Any]:
        await asked(*arguments)
        return await asyncio.Future()

    held.actions.chat = asks_and_waits  # type: ignore[method-assign]
    run = await held.run(job)
    (await held.gate.arrival()).set()
    while not held.actions.asked["a"] or held.actions.under_way.total():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)

    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await held.background.close(60.0)
    await (await active.run(job, attempts=2))

    await _check(active, execution_id, _ONE + _ONE)
