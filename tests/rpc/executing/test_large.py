"""Pages of what is large are received by clients as they are by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from atrium.workflow.v1 import definition_pb2, task_pb2, workflow_pb2
from tests.factories.executions import State, chat, run, transform, workflow_of
from tests.factories.world import World

MANY = 22


def _large(number: int) -> definition_pb2.Step:
    """A step of some 224 KB."""
    step = chat("told", str(number) + "y" * 32_000)
    step.chat.messages.extend([step.chat.messages[0]] * 6)
    return step


async def _pages(ask: Callable[[str], Awaitable[Any]], items: str, name: str = "id") -> list[list[str]]:
    """The names on each page of a list."""
    pages, token = [], ""
    while True:
        reply = await ask(token)
        pages.append([getattr(one, name) for one in getattr(reply, items)])
        token = reply.next_page_token
        if not token:
            return pages


def _check(pages: list[list[str]], count: int) -> None:
    names = [one for page in pages for one in page]
    assert len(pages) > 1
    assert all(pages), "each says something"
    assert len(set(names)) == len(names) == count


async def test_versions_of_a_workflow(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await workflow_of(world, owner, _large(0))
    for number in range(1, MANY):
        definition = {"steps": [_large(number)]}
        request = workflow_pb2.UpdateWorkflowRequest(id=workflow_id, definition=definition)
        await world.workflows.UpdateWorkflow(request, metadata=owner.metadata)

    pages = await _pages(
        lambda token: world.workflows.ListWorkflowVersions(
            workflow_pb2.ListWorkflowVersionsRequest(workflow_id=workflow_id, page_token=token),
            metadata=owner.metadata,
        ),
        "versions",
        "version",
    )

    _check(pages, MANY)


async def test_workflows(world: World) -> None:
    owner = await world.tenant()
    for number in range(5):
        await workflow_of(world, owner, _large(number))

    pages = await _pages(
        lambda token: world.workflows.ListWorkflows(
            workflow_pb2.ListWorkflowsRequest(page_token=token), metadata=owner.metadata
        ),
        "workflows",
    )

    _check(pages, 5)


@pytest.mark.parametrize(
    ("given", "value"),
    [("x" * 250_000, "input.given"), ([1] * 245, "input.given.map(one, input.given)")],
    ids=["text", "numbers"],
)
async def test_tasks_of_an_execution(world: World, given: Any, value: str) -> None:
    owner = await world.tenant()
    each = transform("one", value, for_each=str(list(range(MANY))))

    execution = await run(world, owner, each, input={"given": given}, output="1")

    assert execution.state == State.STATE_FAILED, "all of them together are more than an output may be"
    pages = await _pages(
        lambda token: world.workflows.ListTasks(
            task_pb2.ListTasksRequest(execution_id=execution.id, page_token=token), metadata=owner.metadata
        ),
        "tasks",
    )
    _check(pages, MANY + 2)
