"""Workflows: who sees them, their versions, and what becomes of them."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from atrium.common.v1 import deleted_pb2
from atrium.workflow.v1 import workflow_pb2 as pb
from tests.factories.api_keys import make_key, with_key
from tests.factories.knowledge import platform_inside
from tests.factories.workflows import (
    EDITS,
    PERSONAL,
    PUBLIC,
    TENANT,
    defined,
    get_workflow,
    listed,
    make_workflow,
    step_workflow,
    transform,
    update_workflow,
    versions_of,
)
from tests.factories.world import World, refused
from tests.rpc.malformed import SOME_ID

Code = grpc.StatusCode
EVERYTHING = defined(
    {
        "id": "ask",
        "when": "input.asked",
        "for_each": "input.many",
        "retry": {"max_attempts": 3, "delay": Duration(seconds=7, nanos=250_000_000)},
        "timeout": Duration(seconds=60),
        "on_failure": 2,
        "chat": {
            "model": "local-chat",
            "messages": [{"role": 1, "content": "Be brief."}, {"role": 2, "content": "What is ${item}?"}],
            "temperature": 0,
            "max_tokens": 64,
            "json": True,
        },
    },
    {
        "id": "look",
        "needs": ["ask"],
        "on_failure": 1,
        "search": {"knowledge_base_ids": [SOME_ID], "query": "${steps.ask.output[0].text}", "top_k": 5},
    },
    {
        "id": "decide",
        "needs": ["look", "ask"],
        "on_failure": 1,
        "approval": {"message": "Well?", "value": "steps.look"},
    },
    {
        "id": "agree",
        "needs": ["decide"],
        "on_failure": 1,
        "agent": {"agent_id": SOME_ID, "message": "Is ${input.it} so?", "variables": "{'it': input.it}"},
    },
    {"id": "rest", "on_failure": 1, "wait": {"duration": Duration(seconds=1, nanos=500_000_000)}},
    {"id": "sum", "needs": ["decide"], "on_failure": 1, "transform": {"value": "steps.decide.output.value"}},
    output="steps.sum.output",
)
OTHER = defined(transform("other"))


async def test_a_workflow_is_read_as_it_was_made(world: World) -> None:
    owner = await world.tenant()
    given = {"name": "Report 报告", "description": "Of the week", "visibility": TENANT, "definition": EVERYTHING}

    made = (await world.workflows.CreateWorkflow(pb.CreateWorkflowRequest(**given), metadata=owner.metadata)).workflow

    assert made == await get_workflow(world, owner, made.id)
    assert {name: getattr(made, name) for name in given} == given
    assert (made.version, made.owner_user_id, made.tenant_id) == ("v1.0", owner.id, owner.tenant_id)
    assert (made.execution_count, made.success_count, made.failure_count) == (0, 0, 0)
    assert not made.HasField("delete_time")


async def test_what_is_not_said_of_a_workflow_is_usual(world: World) -> None:
    owner = await world.tenant()
    request = pb.CreateWorkflowRequest(name="w", definition={"steps": [{"id": "one", "transform": {"value": "1"}}]})

    made = (await world.workflows.CreateWorkflow(request, metadata=owner.metadata)).workflow

    assert (made.visibility, made.owner_user_id, made.HasField("description")) == (PERSONAL, owner.id, False)
    (step,) = made.definition.steps
    assert step.on_failure == step.ON_FAILURE_FAIL
    assert not any(step.HasField(name) for name in ("retry", "timeout"))


async def test_what_is_said_of_a_workflow_is_changed_and_cleared_without_a_version(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await make_workflow(world, owner, description="Of the week")

    changed = await update_workflow(
        world, owner, workflow_id, name="Notes", description="Of the day", visibility=PERSONAL
    )
    cleared = await update_workflow(world, owner, workflow_id, update_mask={"paths": ["description"]})

    assert (changed.name, changed.description, changed.visibility) == ("Notes", "Of the day", PERSONAL)
    assert (cleared.name, cleared.HasField("description"), cleared.version) == ("Notes", False, "v1.0")
    assert cleared == await get_workflow(world, owner, workflow_id)
    assert [one.version for one in await versions_of(world, owner, workflow_id)] == ["v1.0"]


async def test_another_definition_is_another_version_and_the_same_is_none(world: World) -> None:
    owner = await world.tenant()
    editor = await world.user(owner, *EDITS)
    workflow_id = await make_workflow(world, owner, definition=EVERYTHING)

    same = await update_workflow(world, editor, workflow_id, definition=EVERYTHING, changelog="Nothing")
    other = await update_workflow(world, editor, workflow_id, definition=OTHER, changelog="Shorter")
    back = await update_workflow(world, owner, workflow_id, definition=EVERYTHING)

    assert [one.version for one in (same, other, back)] == ["v1.0", "v1.1", "v1.2"]
    assert (other.definition, back.definition) == (OTHER, EVERYTHING)
    versions = await versions_of(world, editor, workflow_id)
    assert [(one.version, one.changelog, one.created_by) for one in versions] == [
        ("v1.2", "", owner.id),
        ("v1.1", "Shorter", editor.id),
        ("v1.0", "", owner.id),
    ]
    assert [one.definition for one in versions] == [EVERYTHING, OTHER, EVERYTHING]
    assert [one.HasField("changelog") for one in versions] == [False, True, False]
    times = [one.create_time.ToDatetime() for one in versions]
    assert times == sorted(times, reverse=True)


async def test_versions_come_in_pages_each_once(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    workflow_id = await make_workflow(world, owner)
    for number in range(4):
        await update_workflow(world, owner, workflow_id, definition=defined(transform("one", f"{number} + 1")))

    request, pages = pb.ListWorkflowVersionsRequest(workflow_id=workflow_id, page_size=2), []
    while not pages or request.page_token:
        reply = await world.workflows.ListWorkflowVersions(request, metadata=owner.metadata)
        pages.append([one.version for one in reply.versions])
        token, request.page_token = request.page_token, reply.next_page_token
    request.page_token = token
    refusal = await refused(world.workflows.ListWorkflowVersions(request, metadata=other.metadata))

    assert pages == [["v1.4", "v1.3"], ["v1.2", "v1.1"], ["v1.0"]]
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_changes_at_one_moment_are_versions_one_after_the_other(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await make_workflow(world, owner)
    definitions = [defined(transform("one", f"{number} + 1")) for number in range(5)]

    made = await asyncio.gather(*(update_workflow(world, owner, workflow_id, definition=each) for each in definitions))

    versions = await versions_of(world, owner, workflow_id)
    assert [one.version for one in versions] == [f"v1.{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert {one.version: one.definition for one in made} == {one.version: one.definition for one in versions[:-1]}
    assert (await get_workflow(world, owner, workflow_id)).definition == versions[0].definition


async def test_visibility_decides_who_sees_a_workflow(world: World) -> None:
    owner, other, platform = await world.tenant(), await world.tenant(), await world.platform()
    person, colleague = await world.user(owner, *EDITS), await world.user(owner)
    mine = await make_workflow(world, person, "mine", visibility=PERSONAL)
    ours = await make_workflow(world, person, "ours")
    everyones = await make_workflow(world, platform, "everyone's", visibility=PUBLIC)
    await make_workflow(world, platform, "the platform's")

    assert await listed(world, person) == await listed(world, owner) == ["ours", "mine"]
    assert await listed(world, colleague) == ["ours"]
    assert await listed(world, other) == []
    for anyone in (person, colleague, other, platform):
        assert await listed(world, anyone, all_tenants=True) == ["everyone's"]
        assert (await get_workflow(world, anyone, everyones)).tenant_id == platform.tenant_id
    for somebody, hidden in ((colleague, mine), (other, mine), (other, ours)):
        for call in (get_workflow(world, somebody, hidden), versions_of(world, somebody, hidden)):
            refusal = await refused(call)
            assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")


async def test_the_owner_sees_their_personal_workflow_without_changing_any(world: World) -> None:
    owner = await world.tenant()
    mine = await make_workflow(world, owner, "mine", visibility=PERSONAL)
    theirs = await make_workflow(world, await world.user(owner, *EDITS), "theirs", visibility=PERSONAL)
    reading = with_key((await make_key(world, owner, "workflows:read")).secret)

    found = await world.workflows.ListWorkflows(pb.ListWorkflowsRequest(), metadata=reading)
    read = await world.workflows.GetWorkflow(pb.GetWorkflowRequest(id=mine), metadata=reading)
    refusal = await refused(world.workflows.GetWorkflow(pb.GetWorkflowRequest(id=theirs), metadata=reading))

    assert [one.id for one in found.workflows] == [read.workflow.id] == [mine]
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")


async def test_whoever_changes_workflows_sees_and_ends_personal_ones_of_others(world: World) -> None:
    owner = await world.tenant()
    person = await world.user(owner, *EDITS)
    deleter = await world.user(owner, "workflows:read", "workflows:delete")
    workflow_id = await make_workflow(world, person, "mine", visibility=PERSONAL)

    assert (await update_workflow(world, owner, workflow_id, definition=OTHER)).owner_user_id == person.id
    refusal = await refused(step_workflow(world, "Delete", workflow_id, deleter.metadata))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")
    await step_workflow(world, "Delete", workflow_id, owner.metadata)
    assert await listed(world, person) == []
    refusal = await refused(step_workflow(world, "Restore", workflow_id, deleter.metadata))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")
    await step_workflow(world, "Restore", workflow_id, owner.metadata)
    assert await listed(world, person) == ["mine"]


async def test_a_list_is_of_one_visibility_or_owner_and_comes_in_pages(world: World) -> None:
    owner = await world.tenant()
    person = await world.user(owner, *EDITS)
    await make_workflow(world, owner, "ours")
    await make_workflow(world, person, "theirs", visibility=PERSONAL)
    await make_workflow(world, person, "shared")

    for fields, names in (
        ({"visibility": PERSONAL}, ["theirs"]),
        ({"visibility": TENANT}, ["shared", "ours"]),
        ({"visibility": PUBLIC}, []),
        ({"owner_user_id": person.id}, ["shared", "theirs"]),
        ({"owner_user_id": person.id, "visibility": TENANT}, ["shared"]),
        ({"owner_user_id": SOME_ID}, []),
    ):
        assert await listed(world, owner, **fields) == names
    first = await world.workflows.ListWorkflows(pb.ListWorkflowsRequest(page_size=2), metadata=owner.metadata)
    assert [one.name for one in first.workflows] == ["shared", "theirs"]
    assert await listed(world, owner, page_size=2, page_token=first.next_page_token) == ["ours"]


async def test_only_its_owner_makes_a_workflow_personal(world: World) -> None:
    owner = await world.tenant()
    editor = await world.user(owner, *EDITS)
    workflow_id = await make_workflow(world, owner)

    refusal = await refused(update_workflow(world, editor, workflow_id, visibility=PERSONAL))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "WORKFLOW_NOT_PERSONAL")
    assert (await update_workflow(world, owner, workflow_id, visibility=PERSONAL)).visibility == PERSONAL
    assert (await update_workflow(world, editor, workflow_id, visibility=PERSONAL, name="n")).name == "n"


async def test_what_the_platform_makes_in_a_tenant_is_nobodys(world: World) -> None:
    owner = await world.tenant()
    inside = await platform_inside(world, owner)
    new = {"name": "theirs", "definition": defined()}

    refusal = await refused(world.workflows.CreateWorkflow(pb.CreateWorkflowRequest(**new), metadata=inside))
    request = pb.CreateWorkflowRequest(**new, visibility=TENANT)
    made = (await world.workflows.CreateWorkflow(request, metadata=inside)).workflow

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "WORKFLOW_NOT_PERSONAL")
    assert (made.tenant_id, made.owner_user_id) == (owner.tenant_id, "")
    assert [one.created_by for one in await versions_of(world, owner, made.id)] == [""]
    assert (
        await refused(update_workflow(world, owner, made.id, visibility=PERSONAL))
    ).reason == "WORKFLOW_NOT_PERSONAL"


async def test_names_are_unique_among_what_is_shared_and_among_what_is_ones_own(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    colleague = await world.user(owner, *EDITS)
    await make_workflow(world, owner, "same", visibility=PERSONAL)
    own = await make_workflow(world, colleague, "same", visibility=PERSONAL)
    await make_workflow(world, owner, "same")
    await make_workflow(world, other, "same")
    another = await make_workflow(world, colleague, "another")

    calls: list[Any] = [make_workflow(world, colleague, "same", visibility=how) for how in (PERSONAL, TENANT)]
    calls += [update_workflow(world, colleague, another, name="same", **how) for how in ({}, {"visibility": PERSONAL})]
    calls += [update_workflow(world, colleague, own, visibility=TENANT, definition=OTHER)]
    for call in calls:
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "WORKFLOW_NAME_TAKEN")
        assert refusal.message == "Another workflow is called same."
    assert len(await versions_of(world, colleague, own)) == 1
    assert (await update_workflow(world, colleague, own, name="other", visibility=TENANT)).name == "other"


async def test_a_deleted_workflow_is_hidden_refused_and_brought_back_as_it_was(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await make_workflow(world, owner, description="Of the week")
    await update_workflow(world, owner, workflow_id, definition=OTHER, changelog="Shorter")
    before, versions = await get_workflow(world, owner, workflow_id), await versions_of(world, owner, workflow_id)
    await step_workflow(world, "Delete", workflow_id, owner.metadata)

    assert await listed(world, owner) == []
    assert await listed(world, owner, deleted=deleted_pb2.DELETED_ONLY) == ["report"]
    hidden = await get_workflow(world, owner, workflow_id, deleted=deleted_pb2.DELETED_INCLUDE)
    assert (hidden.definition, hidden.HasField("delete_time")) == (OTHER, True)
    calls: list[Any] = [get_workflow(world, owner, workflow_id), versions_of(world, owner, workflow_id)]
    calls += [update_workflow(world, owner, workflow_id, name="mine")]
    calls += [step_workflow(world, "Delete", workflow_id, owner.metadata)]
    for call in calls:
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")
    restored = (await step_workflow(world, "Restore", workflow_id, owner.metadata)).workflow
    assert await versions_of(world, owner, workflow_id) == versions
    for changing in ("etag", "update_time"):
        before.ClearField(changing)
        restored.ClearField(changing)
    assert restored == before


async def test_a_live_workflow_is_neither_restored_nor_purged_and_a_purged_one_is_gone(world: World) -> None:
    owner = await world.tenant()
    inside = await platform_inside(world, owner)
    workflow_id = await make_workflow(world, owner)

    for verb in ("Restore", "Purge"):
        refusal = await refused(step_workflow(world, verb, workflow_id, inside))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "NOT_DELETED")
    await step_workflow(world, "Delete", workflow_id, owner.metadata)
    await step_workflow(world, "Purge", workflow_id, inside)
    assert await listed(world, owner, deleted=deleted_pb2.DELETED_INCLUDE) == []
    for verb in ("Restore", "Purge"):
        assert (await refused(step_workflow(world, verb, workflow_id, inside))).reason == "WORKFLOW_NOT_FOUND"


@pytest.mark.parametrize("verb", ["Update", "Delete"])
async def test_a_change_is_refused_where_the_workflow_changed_since(world: World, verb: str) -> None:
    owner = await world.tenant()
    workflow_id = await make_workflow(world, owner)
    etag = (await get_workflow(world, owner, workflow_id)).etag
    changed = await update_workflow(world, owner, workflow_id, definition=OTHER, etag=etag)

    refusal = await refused(step_workflow(world, verb, workflow_id, owner.metadata, etag=etag))

    assert changed.etag != etag
    assert (refusal.code, refusal.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    assert await get_workflow(world, owner, workflow_id) == changed
    await step_workflow(world, verb, workflow_id, owner.metadata, etag=changed.etag)
