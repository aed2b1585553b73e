"""Knowledge bases of the platform that every tenant reads."""

from __future__ import annotations

from typing import Any

import grpc

from atrium.common.v1 import deleted_pb2
from atrium.knowledge.v1 import knowledge_base_pb2 as pb
from tests.factories.knowledge import (
    MODEL,
    PUBLIC,
    TENANT,
    get_base,
    listed,
    make_base,
    platform_inside,
    step_base,
    update_base,
)
from tests.factories.world import World, refused

Code = grpc.StatusCode
ARCHIVED = pb.KnowledgeBase.STATE_ARCHIVED
MANAGE = "knowledge_bases:manage"


async def test_a_public_base_is_read_in_every_tenant_and_changed_by_the_platform(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    base_id = await make_base(world, platform, visibility=PUBLIC)

    calls: list[Any] = [update_base(world, other, base_id, name="mine")]
    calls += [step_base(world, verb, base_id, other.metadata) for verb in ("Archive", "Activate", "Delete", "Restore")]
    for call in calls:
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")
    await step_base(world, "Archive", base_id, platform.metadata)
    assert (await get_base(world, other, base_id)).state == ARCHIVED
    await update_base(world, platform, base_id, visibility=TENANT)
    refusal = await refused(get_base(world, other, base_id))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")
    assert await listed(world, other, all_tenants=True) == []


async def test_a_deleted_public_base_is_there_for_nobody_elsewhere(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    base_id = await make_base(world, platform, visibility=PUBLIC)
    await step_base(world, "Delete", base_id, platform.metadata)

    refusal = await refused(get_base(world, other, base_id, deleted=deleted_pb2.DELETED_INCLUDE))

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")
    for anyone in (platform, other):
        assert await listed(world, anyone, all_tenants=True) == []


async def test_in_other_tenants_nobody_is_named_by_a_public_base(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    base_id = await make_base(world, platform, visibility=PUBLIC)
    await update_base(world, platform, base_id, description="For everyone")

    for person, named in ((platform, platform.id), (other, "")):
        request = pb.ListKnowledgeBasesRequest(all_tenants=True)
        library = await world.knowledge.ListKnowledgeBases(request, metadata=person.metadata)
        for found in (await get_base(world, person, base_id), library.knowledge_bases[0]):
            assert [found.owner_user_id, found.created_by, found.updated_by] == [named] * 3
            assert found.description == "For everyone"


async def test_only_the_platform_has_public_bases(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    create = pb.CreateKnowledgeBaseRequest(name="p", visibility=PUBLIC, embedding_model=MODEL)
    update = pb.UpdateKnowledgeBaseRequest(id=base_id, visibility=PUBLIC)

    for metadata, code, reason in (
        (owner.metadata, Code.PERMISSION_DENIED, "PERMISSION_MISSING"),
        (await platform_inside(world, owner), Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_NOT_PUBLIC"),
    ):
        calls = ((world.knowledge.CreateKnowledgeBase, create), (world.knowledge.UpdateKnowledgeBase, update))
        for call, request in calls:
            refusal = await refused(call(request, metadata=metadata))
            assert (refusal.code, refusal.reason) == (code, reason)
    assert (await get_base(world, owner, base_id)).visibility == TENANT


async def test_among_the_platforms_own_people_publishing_takes_a_permission(world: World) -> None:
    platform = await world.platform()
    editor = await world.user(platform, MANAGE)
    published = await make_base(world, platform, "published", visibility=PUBLIC)
    own = await make_base(world, editor, "own")
    deleted = await make_base(world, platform, "deleted", visibility=PUBLIC)
    await step_base(world, "Delete", deleted, platform.metadata)

    calls: list[Any] = [
        make_base(world, editor, "another", visibility=PUBLIC),
        update_base(world, editor, published, visibility=TENANT),
        update_base(world, editor, published, description="mine"),
        update_base(world, editor, own, visibility=PUBLIC),
        *(step_base(world, verb, published, editor.metadata) for verb in ("Archive", "Activate", "Delete")),
        step_base(world, "Restore", deleted, editor.metadata),
    ]
    for call in calls:
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
    publisher = await world.user(platform, MANAGE, "public_knowledge_bases:manage")
    assert (await update_base(world, publisher, own, visibility=PUBLIC)).visibility == PUBLIC
    await step_base(world, "Restore", deleted, publisher.metadata)
    assert await listed(world, platform, all_tenants=True) == ["deleted", "own", "published"]
