"""Work in processes of its own: its results and refusals, its bounds, and whose turn it is."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from server.prompt import worker
from server.prompt.errors import (
    PromptIncludeCycle,
    PromptRenderFailed,
    PromptsBusy,
    PromptVariablesInvalid,
    PromptWorkTooLong,
)
from server.prompt.rendering import Renderer
from server.prompt.variables import Variable
from server.prompt.workers import Workers

ADA, GRACE = UUID(int=1), UUID(int=2)
FOR_EVER = 1_000


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    running = Workers(parallel=1, most_of_a_tenant=3)
    yield running
    await running.close()


async def test_what_is_rendered_elsewhere_is_the_same(workers: Workers) -> None:
    sources = {"text": "{% include 'part' %}{% for one in many %}{{ one }}{% endfor %}"}
    variables, includes = [Variable("many", "list")], {"part": "Of {{ many|length }}: "}

    texts = await workers.run(ADA, worker.rendered, sources, variables, {"many": [1, "a"]}, includes)

    assert texts == ["Of 2: 1a"]


async def test_what_is_prepared_elsewhere_is_rendered_here(workers: Workers) -> None:
    source, renderer = "{{ a + 1 }}{% include 'b' %}", Renderer()

    for text, prepared in zip((source, "!"), await workers.run(ADA, worker.prepared, [source, "!"]), strict=True):
        renderer.learn(text, prepared)

    assert renderer.references(source) == ("b",)
    assert renderer.render_at_once({"text": source}, {"a": 1}, {"b": "!"}) == ["2!"]


@pytest.mark.parametrize(
    ("source", "values", "kind"),
    [
        ("{{ a }}", {"b": 1}, PromptVariablesInvalid),
        ("{{ 1 / 0 }}", {}, PromptRenderFailed),
        ("{% include 'self' %}", {}, PromptIncludeCycle),
    ],
)
async def test_a_refusal_is_the_same_as_if_it_were_made_here(
    workers: Workers, source: str, values: dict[str, Any], kind: type[Exception]
) -> None:
    arguments = ({"text": source}, [Variable("a", "string")], values, {"self": "1{% include 'self' %}"})
    with pytest.raises(kind) as here:
        worker.rendered(*arguments)

    with pytest.raises(kind) as there:
        await workers.run(ADA, worker.rendered, *arguments)

    assert there.value.args == here.value.args
    assert vars(there.value) == vars(here.value)


async def test_what_takes_too_long_is_ended_and_its_process_replaced() -> None:
    workers = Workers(parallel=1, seconds=0.1)
    try:
        with pytest.raises(PromptWorkTooLong):
            await workers.run(ADA, time.sleep, FOR_EVER)

        workers._seconds = FOR_EVER  # for what takes no time but on a busy machine
        assert await workers.run(ADA, worker.differences, [("a", "a")], "old", "new") == [""]
    finally:
        await workers.close()


async def test_a_process_that_dies_is_replaced(workers: Workers) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await workers.run(ADA, os._exit, 1)

    assert await workers.run(ADA, worker.differences, [("a", "a")], "old", "new") == [""]


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
        with pytest.raises(PromptsBusy) as refused:
            await workers.run(ADA, os.getpid)
        asked.append(group.create_task(workers.run(GRACE, os.getpid)))

    assert refused.value.retry_after
    assert len({task.result() for task in asked}) == 1
    await workers.run(ADA, os.getpid)


async def test_all_tenants_together_have_a_bound_too() -> None:
    workers = Workers(parallel=1, most_waiting=1)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(workers.run(ADA, os.getpid))
            await asyncio.sleep(0)
            with pytest.raises(PromptsBusy):
                await workers.run(GRACE, os.getpid)
    finally:
        await workers.close()


async def test_what_is_large_takes_more_of_a_share() -> None:
    workers = Workers(parallel=1, most_of_a_tenant=3)
    try:
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(workers.run(ADA, len, "a" * (2 << 16)))
            await asyncio.sleep(0)
            with pytest.raises(PromptsBusy):
                await workers.run(ADA, len, "a")
        assert asked.result() == 2 << 16
        assert await workers.run(ADA, len, "a") == 1
    finally:
        await workers.close()


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


async def test_no_secret_of_the_server_is_given_to_what_renders(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATRIUM_MASTER_KEY", "secret")

    assert await workers.run(ADA, os.getenv, "ATRIUM_MASTER_KEY") is None


async def test_those_who_wait_when_it_closes_are_not_left_waiting() -> None:
    workers = Workers(parallel=1)
    asked = [asyncio.create_task(workers.run(ADA, time.sleep, FOR_EVER)) for _ in range(2)]
    await asyncio.sleep(0)

    await workers.close()
    done, _ = await asyncio.wait(asked)

    assert all(task.cancelled() for task in done)
