"""Executions of workflows whose workers are killed in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from tests.databases import Scratch
from tests.factories.executions import (
    State,
    TaskState,
    chat,
    execute,
    kinds,
    plain,
    tasks_of,
    transform,
    watched,
    workflow_of,
)
from tests.factories.models import make_model
from tests.factories.world import World
from tests.fakes.openai_stub import OpenAIStub
from tests.processes import atrium, environment
from tests.servers import serving

pytestmark = pytest.mark.xdist_group("executions")

NOT_FOR_EVER = 60.0


async def test_a_worker_that_is_killed_leaves_its_tasks_to_another(scratch: Scratch, stub: OpenAIStub) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""}, smtp_url=None)
    own = scratch.settings(provider_keys={stub.base_url: SecretStr("")}, worker=False)
    async with serving(own) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        owner = await world.tenant()
        for model in ("stub-fast-1", "stub-held-2"):
            await make_model(world, stub.base_url, model)
        many = chat("many", "${string(item)}", "first", model="stub-held-2", for_each="input.numbers")
        last = chat("last", "Done", "many")
        workflow_id = await workflow_of(world, owner, chat("first", "Begin"), many, last)
        execution_id = (await execute(world, owner, workflow_id, input={"numbers": [1, 2, 3]})).id
        async with atrium(variables, "worker") as killed:
            asked = [await _asked(stub) for _ in range(4)]
            asked[1].go_on.set()  # of the items one is done, and two are under way
            await _until_done(world, owner, execution_id)
            os.kill(killed.pid, signal.SIGKILL)
            await killed.end()

        async with atrium(variables, "worker"):
            again = [await _asked(stub) for _ in range(2)]
            for exchange in again:
                exchange.go_on.set()
            events, execution = await watched(world, owner, execution_id)

        done = Counter(kind for kind in kinds(events) if kind[0] != "task_started")
        assert execution.state == State.STATE_COMPLETED
        assert done == {
            ("execution_started", ""): 1,
            ("task_completed", "first"): 1,
            ("task_waiting", "many"): 1,
            ("task_completed", "many"): 4,
            ("task_completed", "last"): 1,
            ("execution_completed", ""): 1,
        }
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        tasks = await tasks_of(world, owner, execution_id)
        attempts = sorted(task.attempts for task in tasks.values())
        assert attempts == [1, 1, 1, 1, 2, 2], "what was done is not done again"
        assert plain(execution.output)["last"]["text"]
        assert execution.usage.calls == 5


async def _asked(stub: OpenAIStub) -> Any:
    async with asyncio.timeout(NOT_FOR_EVER):
        return await stub.arrival()


async def _until_done(world: World, owner: Any, execution_id: str) -> None:
    """One of the items is done."""
    async with asyncio.timeout(NOT_FOR_EVER):
        while True:
            tasks = await tasks_of(world, owner, execution_id)
            if any(task.iteration and task.HasField("complete_time") for task in tasks.values()):
                return
            await asyncio.sleep(0.05)


async def test_a_step_under_way_ends_with_its_server_and_is_not_done_again(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""}, smtp_url=None)
    own = scratch.settings(provider_keys={stub.base_url: SecretStr("")}, worker=False)
    async with serving(own) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        owner = await world.tenant()
        await make_model(world, stub.base_url, "stub-held-2")
        steps = chat("told", "Hello", model="stub-held-2"), transform("after", "steps.told.output.text", "told")
        execution_id = (await execute(world, owner, await workflow_of(world, owner, *steps))).id
        async with atrium(variables) as stopped:
            exchange = await _asked(stub)

            stopped.send(signal.SIGTERM)

            with pytest.raises(TimeoutError):  # its provider is not hung up on
                await asyncio.wait_for(exchange.left.wait(), 1.0)
            exchange.go_on.set()
            assert await stopped.end() == 0

        told = (await tasks_of(world, owner, execution_id))["told", 0]
        assert (told.state, told.attempts) == (TaskState.STATE_COMPLETED, 1)
        assert await admin.fetchval("SELECT string_agg(status, ',') FROM model_call_logs") == "success"
