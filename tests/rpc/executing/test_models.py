"""Steps that ask models and search: for whom, at whose expense, and how they fail."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from atrium.identity.v1 import user_pb2
from atrium.model.v1 import call_log_pb2, model_pb2, route_pb2
from atrium.workflow.v1 import definition_pb2
from server.kernel.errors import DatabaseUnavailable
from server.model.service.books import Books, Entry
from tests.factories.agents import make_agent
from tests.factories.executions import (
    NOT_FOR_EVER,
    Kind,
    State,
    TaskState,
    approval,
    chat,
    decide,
    execute,
    get,
    kinds,
    plain,
    run,
    step_execution,
    tasks_of,
    transform,
    until,
    watched,
    workflow_of,
)
from tests.factories.knowledge import ingest, make_base, platform_inside, processed
from tests.factories.prompts import NAME, make_template, make_version
from tests.factories.world import World
from tests.fakes.openai_stub import OpenAIStub
from tests.rpc.malformed import SOME_ID


async def test_a_model_is_asked_for_who_started_it_and_its_answer_counted(router: World) -> None:
    owner = await router.tenant()
    person = await router.user(owner, "workflows:execute", "models:execute")
    workflow_id = await workflow_of(router, owner, chat("told", "Say ${input.word}", model="stub-fast-2"))

    execution_id = (await execute(router, person, workflow_id, input={"word": "it"})).id
    _, execution = await watched(router, person, execution_id)

    asked = call_log_pb2.ListCallLogsRequest(workflow_execution_id=execution_id)
    (log,) = (await router.models.ListCallLogs(asked, metadata=owner.metadata)).call_logs
    other = call_log_pb2.ListCallLogsRequest(workflow_execution_id=workflow_id)
    assert not (await router.models.ListCallLogs(other, metadata=owner.metadata)).call_logs
    tasks = await tasks_of(router, owner, execution_id)
    assert (log.workflow_execution_id, log.task_id) == (execution_id, tasks["told", 0].id)
    assert plain(execution.output) == {"told": {"text": "t0 t1 ", "finish_reason": "stop"}}
    assert (log.user_id, log.trace_id, log.usage.total_tokens) == (
        *(person.id, execution.trace_id, execution.usage.tokens),
    )
    assert (execution.usage.calls, execution.usage.cost_usd) == (1, log.usage.cost_usd)


async def test_what_passes_is_tried_again_and_told(router: World) -> None:
    owner = await router.tenant()
    step = chat(
        "told", "Hello", model="stub-flaky-9", retry={"max_attempts": 2, "delay": {}}, on_failure="ON_FAILURE_CONTINUE"
    )
    after = transform("after", "steps.told.error", "told")
    workflow_id = await workflow_of(router, owner, step, after)

    events, execution = await watched(router, owner, (await execute(router, owner, workflow_id)).id)

    told = [kind for kind, step_id in kinds(events) if step_id == "told"]
    assert told == ["task_started", "task_retried", "task_started", "task_failed"]
    assert execution.state == State.STATE_COMPLETED
    assert plain(execution.output)["after"].startswith("The model's provider")


@pytest.mark.parametrize(("model", "reason"), [("stub-400", "MODEL_REQUEST_REJECTED"), ("nothing", "MODEL_NOT_FOUND")])
async def test_what_cannot_pass_fails_at_once_and_nothing_else_is_begun(router: World, model: str, reason: str) -> None:
    owner = await router.tenant()

    execution = await run(router, owner, chat("told", "Hello", model=model), transform("after", "1", "told"))

    tasks = await tasks_of(router, owner, execution.id)
    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, reason)
    assert execution.error_message.startswith("Step told: ")
    assert (tasks["told", 0].attempts, tasks["after", 0].state) == (1, TaskState.STATE_CANCELLED)


async def test_a_route_is_asked_whose_first_target_cannot_be_called(router: World) -> None:
    owner, platform = await router.tenant(), await router.platform()
    targets = [{"model": name, "priority": place} for place, name in enumerate(("stub-fast-1", "stub-fast-2"), 1)]
    await router.models.CreateRoute(
        route_pb2.CreateRouteRequest(alias="fast", targets=targets), metadata=owner.metadata
    )
    listed = await router.models.ListModels(model_pb2.ListModelsRequest(), metadata=platform.metadata)
    (first,) = [model.id for model in listed.models if model.name == "stub-fast-1"]
    disable = model_pb2.UpdateModelRequest(id=first, state=model_pb2.Model.STATE_DISABLED)
    await router.models.UpdateModel(disable, metadata=platform.metadata)

    execution = await run(router, owner, chat("told", "Hello", model="fast"))

    assert execution.state == State.STATE_COMPLETED, execution.error_message
    assert plain(execution.output)["told"]["text"] == "t0 t1 "


async def test_a_try_takes_no_longer_than_it_may(router: World) -> None:
    owner = await router.tenant()
    step = chat("told", "Hello", model="stub-silent", timeout={"seconds": 1}, retry={"max_attempts": 1})

    execution = await run(router, owner, step)

    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, "TASK_TIMED_OUT")
    assert execution.usage.calls == 1


async def test_a_cancelled_execution_stops_its_model(router: World, stub: OpenAIStub) -> None:
    owner = await router.tenant()
    workflow_id = await workflow_of(router, owner, chat("told", "Hello", model="stub-silent"))
    execution_id = (await execute(router, owner, workflow_id)).id
    exchange = await stub.arrival()

    cancelled = await step_execution(router, owner, "Cancel", execution_id)

    assert cancelled.state == State.STATE_CANCELLED
    async with asyncio.timeout(NOT_FOR_EVER):
        await exchange.left.wait()
    assert (await tasks_of(router, owner, execution_id))["told", 0].state == TaskState.STATE_CANCELLED
    async with asyncio.timeout(NOT_FOR_EVER):  # what it had read is paid for
        while not (await get(router, owner, execution_id)).usage.tokens:  # noqa: ASYNC110 - it comes a moment later
            await asyncio.sleep(0.05)


async def test_what_a_try_used_counts_where_the_database_goes_away_behind_it(
    router: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await router.tenant()
    begin, lost = Books.begin_to_enter, iter([True])

    def begin_to_enter(books: Books, tenant_id: UUID, entry: Entry) -> asyncio.Future[Exception | None]:
        entering = begin(books, tenant_id, entry)
        return asyncio.ensure_future(_unheard(entering)) if next(lost, False) else entering

    monkeypatch.setattr(Books, "begin_to_enter", begin_to_enter)

    execution = await run(router, owner, chat("told", "Hello"))

    assert execution.state == State.STATE_COMPLETED, execution.error_message
    async with asyncio.timeout(NOT_FOR_EVER):
        while (await get(router, owner, execution.id)).usage.calls < 2:  # noqa: ASYNC110 - it comes behind the job
            await asyncio.sleep(0.05)
    asked = call_log_pb2.ListCallLogsRequest(workflow_execution_id=execution.id)
    logs = (await router.models.ListCallLogs(asked, metadata=owner.metadata)).call_logs
    usage = (await get(router, owner, execution.id)).usage
    assert (usage.calls, usage.tokens) == (len(logs), sum(log.usage.total_tokens for log in logs)) == (2, usage.tokens)


async def _unheard(entering: asyncio.Future[Exception | None]) -> Exception | None:
    await entering
    return DatabaseUnavailable()


async def test_what_its_budget_has_no_room_for_is_not_begun(router: World) -> None:
    owner = await router.tenant()
    steps = chat("first", "Hello"), chat("second", "Hello", "first")

    execution = await run(router, owner, *steps, budget={"max_tokens": 1})

    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, "EXECUTION_BUDGET_SPENT")
    assert execution.usage.calls == 1


async def test_who_loses_the_right_to_models_has_none_asked(router: World) -> None:
    owner = await router.tenant()
    person = await router.user(owner, "workflows:execute", "workflows:create")
    workflow_id = await workflow_of(router, person, chat("told", "Hello"))

    execution_id = (await execute(router, person, workflow_id)).id
    _, execution = await watched(router, owner, execution_id)

    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, "PERMISSION_MISSING")
    assert "models:execute" in execution.error_message


async def test_nothing_goes_on_for_who_is_gone(router: World) -> None:
    owner = await router.tenant()
    person = await router.user(owner, "workflows:execute", "models:execute")
    workflow_id = await workflow_of(router, owner, approval("pause"), chat("told", "Hello", "pause"))
    execution_id = (await execute(router, person, workflow_id)).id
    await until(router, owner, execution_id, Kind.KIND_TASK_WAITING, "pause")

    await router.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=owner.metadata)
    await decide(router, owner, execution_id, "pause", 1)

    _, execution = await watched(router, owner, execution_id)
    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, "PERMISSION_MISSING")


async def test_bases_are_searched_for_who_started_it(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    document = await ingest(world, owner, base_id, "Horns are made of keratin.", title="Horns")
    await processed(world, owner, document.id)
    step = definition_pb2.Step(
        id="found", search={"knowledge_base_ids": [base_id], "query": "${input.question}", "top_k": 1}
    )

    execution = await run(
        world, owner, step, output="steps.found.output.results[0]", input={"question": "What are horns made of?"}
    )

    found = plain(execution.output)
    assert (found["content"], found["document_title"]) == ("Horns are made of keratin.", "Horns")
    assert 0 < found["score"] <= 1
    assert execution.usage.calls == 1, "the question was embedded"


async def test_an_agent_answers_for_who_started_it(router: World) -> None:
    owner = await router.tenant()
    person = await router.user(owner, "workflows:execute", "agents:execute", "models:execute")
    template_id = await make_template(router, owner)
    await make_version(router, owner, template_id, "Speak with {{ name }}.", variables=[NAME])
    agent = await make_agent(router, owner, model="stub-fast-2", agent_type="greeter", prompt_template_id=template_id)
    step = definition_pb2.Step(
        id="told", agent={"agent_id": agent.id, "message": "Greet ${input.who}", "variables": "{'name': input.who}"}
    )
    workflow_id = await workflow_of(router, owner, step)

    execution_id = (await execute(router, person, workflow_id, input={"who": "Ada"})).id
    _, execution = await watched(router, person, execution_id)

    assert plain(execution.output) == {"told": {"text": "t0 t1 ", "finish_reason": "stop"}}
    task = (await tasks_of(router, owner, execution_id))["told", 0]
    assert (task.step_type, task.agent_type) == ("agent", "greeter")
    asked = call_log_pb2.ListCallLogsRequest(workflow_execution_id=execution_id)
    (log,) = (await router.models.ListCallLogs(asked, metadata=owner.metadata)).call_logs
    assert (log.user_id, log.task_id, execution.usage.calls) == (person.id, task.id, 1)


async def test_an_agent_that_cannot_be_run_in_an_execution_fails_its_step(router: World) -> None:
    owner = await router.tenant()
    person = await router.user(owner, "workflows:create", "workflows:execute")
    agent = await make_agent(router, owner, model="stub-fast-2")
    steps = {
        name: definition_pb2.Step(id="told", agent={"agent_id": one, "message": "Hello", "variables": variables})
        for name, one, variables in (("gone", SOME_ID, ""), ("odd", agent.id, "[1]"), ("may not", agent.id, ""))
    }

    gone = await run(router, owner, steps["gone"])
    odd = await run(router, owner, steps["odd"])
    may_not = await run(router, person, steps["may not"])

    reasons = [execution.error_reason for execution in (gone, odd, may_not)]
    assert reasons == ["AGENT_NOT_FOUND", "EXPRESSION_FAILED", "PERMISSION_MISSING"]


async def test_an_agent_with_a_prompt_answers_for_the_platform_inside_a_tenant(router: World) -> None:
    owner = await router.tenant()
    inside: Any = SimpleNamespace(metadata=await platform_inside(router, owner))
    template_id = await make_template(router, owner)
    await make_version(router, owner, template_id, "Be brief.")
    agent = await make_agent(router, owner, model="stub-fast-2", prompt_template_id=template_id)
    step = definition_pb2.Step(id="told", agent={"agent_id": agent.id, "message": "Hello"})

    execution = await run(router, inside, step)

    assert execution.state == State.STATE_COMPLETED, execution.error_message
