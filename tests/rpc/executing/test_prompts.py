"""Steps that begin with a prompt: which version of it, for whom, and how they fail."""

from __future__ import annotations

from typing import Any

import pytest

from atrium.model.v1 import call_log_pb2
from atrium.prompt.v1 import template_pb2
from atrium.workflow.v1 import workflow_pb2
from tests.factories.executions import State, TaskState, chat, ended, execute, run, tasks_of, workflow_of
from tests.factories.prompts import NAME, PERSONAL, make_template, make_version, set_label
from tests.factories.world import World
from tests.fakes.openai_stub import OpenAIStub

LABELLED = {"label": "production", "variables": "{'name': input.who}"}
FOR_ADA = {"input": {"who": "Ada"}}


async def _labelled(world: World, person: Any, name: str = "greeting") -> str:
    template_id = await make_template(world, person, name)
    settings = {"model": "stub-fast-1"}
    await make_version(world, person, template_id, "Greet {{ name }}.", variables=[NAME], settings=settings)
    await set_label(world, person, template_id, "production", "v1.0")
    return template_id


def _sent(stub: OpenAIStub) -> dict[str, Any]:
    """What the model was sent last, but how it is to be streamed."""
    return {name: value for name, value in stub.exchanges[-1].body.items() if not name.startswith("stream")}


async def test_a_step_sends_the_version_that_the_label_stands_for_when_it_is_done(
    router: World, stub: OpenAIStub
) -> None:
    owner = await router.tenant()
    template_id = await _labelled(router, owner)
    settings = {"model": "stub-fast-3", "temperature": 0.25, "max_tokens": 40}
    second = await make_version(
        router, owner, template_id, "Take leave of {{ name }}.", variables=[NAME], settings=settings
    )
    step = chat("told", "Now, ${input.who}!", model="", temperature=1, prompt={"template_id": template_id, **LABELLED})
    workflow_id = await workflow_of(router, owner, step)
    await set_label(router, owner, template_id, "production", "v1.1")

    execution = await ended(router, owner, (await execute(router, owner, workflow_id, **FOR_ADA)).id)

    assert execution.state == State.STATE_COMPLETED, execution.error_message
    assert _sent(stub) == {
        **settings,
        "temperature": 1.0,
        "messages": [
            {"role": "system", "content": "Take leave of Ada."},
            {"role": "user", "content": "Now, Ada!"},
        ],
    }
    asked = call_log_pb2.ListCallLogsRequest(workflow_execution_id=execution.id)
    (log,) = (await router.models.ListCallLogs(asked, metadata=owner.metadata)).call_logs
    assert log.prompt_version_id == second.id

    await set_label(router, owner, template_id, "production", "v1.0")
    await ended(router, owner, (await execute(router, owner, workflow_id, **FOR_ADA)).id)

    assert _sent(stub)["messages"][0] == {"role": "system", "content": "Greet Ada."}


async def test_a_prompt_may_be_all_that_a_step_says_and_its_version_named(router: World, stub: OpenAIStub) -> None:
    owner = await router.tenant()
    template_id = await _labelled(router, owner)
    await make_version(router, owner, template_id, "Not this.")
    step = chat(
        "told", "", prompt={"template_id": template_id, "version": "v1.0", "variables": "item"}, for_each="[input]"
    )
    workflow_id = await workflow_of(router, owner, step)

    execution = await ended(router, owner, (await execute(router, owner, workflow_id, input={"name": "Zoë"})).id)

    assert execution.state == State.STATE_COMPLETED, execution.error_message
    assert _sent(stub)["messages"] == [{"role": "user", "content": "Greet Zoë."}]
    kept = await router.workflows.GetWorkflow(workflow_pb2.GetWorkflowRequest(id=workflow_id), metadata=owner.metadata)
    assert kept.workflow.definition.steps[0].chat == step.chat


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ({"label": "staging"}, "LABEL_NOT_FOUND"),
        ({"version": "v9.0"}, "VERSION_NOT_FOUND"),
        ({}, "PROMPT_VARIABLES_INVALID"),
        ({"variables": "[1]"}, "EXPRESSION_FAILED"),
        ({"variables": "input.nothing"}, "EXPRESSION_FAILED"),
    ],
)
async def test_a_prompt_that_cannot_be_rendered_fails_its_step_at_once(
    router: World, prompt: dict[str, str], reason: str
) -> None:
    owner = await router.tenant()
    template_id = await _labelled(router, owner)

    execution = await run(router, owner, chat("told", "Hi", prompt={"template_id": template_id, **prompt}), **FOR_ADA)

    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, reason)
    task = (await tasks_of(router, owner, execution.id))["told", 0]
    assert (task.state, task.attempts) == (TaskState.STATE_FAILED, 1)


async def test_a_prompt_is_there_for_who_started_it_and_for_nobody_else(router: World) -> None:
    owner, stranger = await router.tenant(), await router.tenant()
    person = await router.user(owner, "workflows:create", "workflows:execute", "models:execute", "templates:read")
    template_id = await _labelled(router, owner)
    personal = await make_template(router, owner, "mine", PERSONAL)
    await make_version(router, owner, personal, "Mine.")
    gone = await _labelled(router, owner, "gone")
    await router.prompts.DeleteTemplate(template_pb2.DeleteTemplateRequest(id=gone), metadata=owner.metadata)

    outcomes = [
        (await run(router, who, chat("told", "Hi", prompt={"template_id": one, **LABELLED}), **FOR_ADA)).error_reason
        for who, one in ((person, template_id), (person, personal), (stranger, template_id), (owner, gone))
    ]

    assert outcomes == ["", *["TEMPLATE_NOT_FOUND"] * 2, "TEMPLATE_DELETED"]


async def test_who_may_not_read_prompts_has_no_step_begin_with_one(router: World) -> None:
    owner = await router.tenant()
    person = await router.nobody(owner)
    await router.give(owner, person.id, "workflows:create", "workflows:execute", "workflows:read", "models:execute")
    template_id = await _labelled(router, owner)

    execution = await run(
        router, person, chat("told", "Hi", prompt={"template_id": template_id, **LABELLED}), **FOR_ADA
    )

    assert (execution.state, execution.error_reason) == (State.STATE_FAILED, "PERMISSION_MISSING")
    assert "templates:read" in execution.error_message
