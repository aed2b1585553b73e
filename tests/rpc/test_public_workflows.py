"""Workflows of the platform that every tenant reads."""

from __future__ import annotations

from typing import Any

import grpc

from atrium.common.v1 import deleted_pb2
from atrium.workflow.v1 import workflow_pb2 as pb
from tests.factories.knowledge import platform_inside
from tests.factories.workflows import (
    EDITS,
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

Code = grpc.StatusCode
OTHER = defined(transform("other"))


async def test_a_public_workflow_is_read_in_every_tenant_and_changed_by_the_platform(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    workflow_id = await make_workflow(world, platform, visibility=PUBLIC)

    calls: list[Any] = [update_workflow(world, other, workflow_id, name="mine")]
    calls += [step_workflow(world, verb, workflow_id, other.metadata) for verb in ("Delete", "Restore")]
    for call in calls:
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")
    await update_workflow(world, platform, workflow_id, definition=OTHER)
    assert (await get_workflow(world, other, workflow_id)).definition == OTHER
    await update_workflow(world, platform, workflow_id, visibility=TENANT)
    for call in (get_workflow(world, other, workflow_id), versions_of(world, other, workflow_id)):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")
    assert await listed(world, other, all_tenants=True) == []


async def test_a_deleted_public_workflow_is_there_for_nobody_elsewhere(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    workflow_id = await make_workflow(world, platform, visibility=PUBLIC)
    await step_workflow(world, "Delete", workflow_id, platform.metadata)

    refusal = await refused(get_workflow(world, other, workflow_id, deleted=deleted_pb2.DELETED_INCLUDE))

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")
    for anyone in (platform, other):
        assert await listed(world, anyone, all_tenants=True) == []


async def test_in_other_tenants_a_public_workflow_tells_of_nobody_and_no_use(world: World, admin: Any) -> None:
    platform, other = await world.platform(), await world.tenant()
    workflow_id = await make_workflow(world, platform, visibility=PUBLIC)
    await update_workflow(world, platform, workflow_id, definition=OTHER, changelog="Shorter")
    await admin.execute("UPDATE workflows SET execution_count = 3, success_count = 2, failure_count = 1")

    for person, named, counts in ((platform, platform.id, (3, 2, 1)), (other, "", (0, 0, 0))):
        request = pb.ListWorkflowsRequest(all_tenants=True)
        library = await world.workflows.ListWorkflows(request, metadata=person.metadata)
        for found in (await get_workflow(world, person, workflow_id), library.workflows[0]):
            assert (found.owner_user_id, found.definition, found.version) == (named, OTHER, "v1.1")
            assert (found.execution_count, found.success_count, found.failure_count) == counts
        versions = await versions_of(world, person, workflow_id)
        assert [(one.version, one.changelog, one.created_by) for one in versions] == [
            ("v1.1", "Shorter", named),
            ("v1.0", "", named),
        ]


async def test_only_the_platform_has_public_workflows(world: World) -> None:
    owner = await world.tenant()
    workflow_id = await make_workflow(world, owner)
    create = pb.CreateWorkflowRequest(name="p", visibility=PUBLIC, definition=defined())
    update = pb.UpdateWorkflowRequest(id=workflow_id, visibility=PUBLIC)

    for metadata, code, reason in (
        (owner.metadata, Code.PERMISSION_DENIED, "PERMISSION_MISSING"),
        (await platform_inside(world, owner), Code.FAILED_PRECONDITION, "WORKFLOW_NOT_PUBLIC"),
    ):
        calls = ((world.workflows.CreateWorkflow, create), (world.workflows.UpdateWorkflow, update))
        for call, request in calls:
            refusal = await refused(call(request, metadata=metadata))
            assert (refusal.code, refusal.reason) == (code, reason)
    assert (await get_workflow(world, owner, workflow_id)).visibility == TENANT


async def test_among_the_platforms_own_people_publishing_takes_a_permission(world: World) -> None:
    platform = await world.platform()
    editor = await world.user(platform, *EDITS)
    published = await make_workflow(world, platform, "published", visibility=PUBLIC)
    own = await make_workflow(world, editor, "own")
    deleted = await make_workflow(world, platform, "deleted", visibility=PUBLIC)
    await step_workflow(world, "Delete", deleted, platform.metadata)

    calls: list[Any] = [
        make_workflow(world, editor, "another", visibility=PUBLIC),
        update_workflow(world, editor, published, visibility=TENANT),
        update_workflow(world, editor, published, definition=OTHER),
        update_workflow(world, editor, own, visibility=PUBLIC),
        step_workflow(world, "Delete", published, editor.metadata),
        step_workflow(world, "Restore", deleted, editor.metadata),
    ]
    for call in calls:
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
    publisher = await world.user(platform, *EDITS, "public_workflows:manage")
    assert (await update_workflow(world, publisher, own, visibility=PUBLIC)).visibility == PUBLIC
    await step_workflow(world, "Restore", deleted, publisher.metadata)
    assert await listed(world, platform, all_tenants=True) == ["deleted", "own", "published"]
