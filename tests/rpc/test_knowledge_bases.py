"""Knowledge bases: who sees them, and what becomes of them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from atrium.common.v1 import deleted_pb2
from atrium.identity.v1 import user_pb2
from atrium.knowledge.v1 import knowledge_base_pb2 as pb
from tests.factories.api_keys import make_key, with_key
from tests.factories.knowledge import (
    MODEL,
    PERSONAL,
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
ACTIVE, ARCHIVED, DELETED = (
    pb.KnowledgeBase.STATE_ACTIVE,
    pb.KnowledgeBase.STATE_ARCHIVED,
    pb.KnowledgeBase.STATE_DELETED,
)
MANAGE = "knowledge_bases:manage"


async def test_a_base_is_read_as_it_was_made(world: World) -> None:
    owner = await world.tenant()
    given = {"name": "Papers 论文", "description": "What we read", "visibility": PERSONAL, "embedding_model": MODEL}
    cut = {"chunk_size": 256, "chunk_overlap": 128, "search_top_k": 7, "search_threshold": 0.25}
    request = pb.CreateKnowledgeBaseRequest(**given, **cut)

    made = (await world.knowledge.CreateKnowledgeBase(request, metadata=owner.metadata)).knowledge_base

    assert made == await get_base(world, owner, made.id)
    assert {name: getattr(made, name) for name in (*given, *cut)} == {**given, **cut}
    assert (made.owner_user_id, made.created_by, made.updated_by) == (owner.id, owner.id, "")
    assert (made.tenant_id, made.state, made.embedding_dimensions) == (owner.tenant_id, ACTIVE, 256)
    assert (made.document_count, made.chunk_count, made.total_size) == (0, 0, 0)
    assert not made.HasField("delete_time")


async def test_what_is_not_said_of_a_base_is_the_tenants_to_set_or_usual(world: World) -> None:
    owner = await world.tenant()

    base = await get_base(world, owner, await make_base(world, owner))

    assert (base.visibility, base.chunk_size, base.chunk_overlap) == (TENANT, 512, 64)
    assert not any(base.HasField(name) for name in ("description", "search_top_k", "search_threshold"))


async def test_what_is_said_of_a_base_is_changed_and_cleared(world: World) -> None:
    owner = await world.tenant()
    editor = await world.user(owner, MANAGE)
    base_id = await make_base(world, owner, description="What we read", search_top_k=7, search_threshold=0.25)
    values = {"name": "Books", "description": "What we write", "chunk_size": 64, "chunk_overlap": 8}

    changed = await update_base(world, editor, base_id, **values, search_top_k=9, search_threshold=0.5)
    optional = ["description", "search_top_k", "search_threshold"]
    cleared = await update_base(world, owner, base_id, update_mask={"paths": optional})

    assert {name: getattr(changed, name) for name in values} == values
    assert (changed.search_top_k, changed.search_threshold) == (9, 0.5)
    assert (changed.owner_user_id, changed.created_by, changed.updated_by) == (owner.id, owner.id, editor.id)
    assert not any(cleared.HasField(name) for name in optional)
    assert (cleared.name, cleared.updated_by) == ("Books", owner.id)
    assert cleared == await get_base(world, owner, base_id)


async def test_visibility_decides_who_sees_a_base(world: World) -> None:
    owner, other, platform = await world.tenant(), await world.tenant(), await world.platform()
    person, colleague = await world.user(owner, MANAGE), await world.user(owner)
    mine = await make_base(world, person, "mine", visibility=PERSONAL)
    ours = await make_base(world, person, "ours", visibility=TENANT)
    everyones = await make_base(world, platform, "everyone's", visibility=PUBLIC)
    await make_base(world, platform, "the platform's", visibility=TENANT)

    assert await listed(world, person) == await listed(world, owner) == ["ours", "mine"]
    assert await listed(world, colleague) == ["ours"]
    assert await listed(world, other) == []
    for anyone in (person, colleague, other, platform):
        assert await listed(world, anyone, all_tenants=True) == ["everyone's"]
        assert (await get_base(world, anyone, everyones)).tenant_id == platform.tenant_id
    for somebody, hidden in ((colleague, mine), (other, mine), (other, ours)):
        refusal = await refused(get_base(world, somebody, hidden))
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")


async def test_the_owner_sees_their_personal_base_without_managing_any(world: World) -> None:
    owner = await world.tenant()
    mine = await make_base(world, owner, "mine", visibility=PERSONAL)
    theirs = await make_base(world, await world.user(owner, MANAGE), "theirs", visibility=PERSONAL)
    reading = with_key((await make_key(world, owner, "knowledge_bases:read")).secret)

    found = await world.knowledge.ListKnowledgeBases(pb.ListKnowledgeBasesRequest(), metadata=reading)
    read = await world.knowledge.GetKnowledgeBase(pb.GetKnowledgeBaseRequest(id=mine), metadata=reading)
    refusal = await refused(world.knowledge.GetKnowledgeBase(pb.GetKnowledgeBaseRequest(id=theirs), metadata=reading))

    assert [base.id for base in found.knowledge_bases] == [read.knowledge_base.id] == [mine]
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")


async def test_whoever_manages_bases_sees_and_ends_personal_ones_of_others(world: World) -> None:
    owner = await world.tenant()
    person = await world.user(owner, MANAGE)
    base_id = await make_base(world, person, "mine", visibility=PERSONAL)

    changed = await update_base(world, owner, base_id, description="seen")
    assert (changed.owner_user_id, changed.updated_by) == (person.id, owner.id)
    await step_base(world, "Archive", base_id, owner.metadata)
    await step_base(world, "Activate", base_id, owner.metadata)
    await step_base(world, "Delete", base_id, owner.metadata)
    assert await listed(world, person) == []
    await step_base(world, "Restore", base_id, owner.metadata)
    assert await listed(world, person) == ["mine"]


async def test_a_list_is_of_one_visibility_state_or_owner(world: World) -> None:
    owner = await world.tenant()
    person = await world.user(owner, MANAGE)
    await make_base(world, owner, "ours")
    await make_base(world, person, "theirs", visibility=PERSONAL)
    kept = await make_base(world, person, "kept")
    await step_base(world, "Archive", kept, owner.metadata)

    for fields, names in (
        ({"visibility": PERSONAL}, ["theirs"]),
        ({"visibility": TENANT}, ["kept", "ours"]),
        ({"state": ACTIVE}, ["theirs", "ours"]),
        ({"state": ARCHIVED}, ["kept"]),
        ({"owner_user_id": person.id}, ["kept", "theirs"]),
        ({"owner_user_id": person.id, "state": ACTIVE, "visibility": PERSONAL}, ["theirs"]),
        ({"owner_user_id": person.id, "visibility": PUBLIC}, []),
    ):
        assert await listed(world, owner, **fields) == names, fields


@pytest.mark.parametrize("library", [False, True])
async def test_a_list_goes_on_where_its_page_ended(world: World, library: bool) -> None:
    platform = await world.platform()
    reader = await world.tenant() if library else platform
    names = [f"base {number}" for number in range(5)]
    for name in names:
        await make_base(world, platform, name, visibility=PUBLIC)

    found, token = [], ""
    while not found or token:
        request = pb.ListKnowledgeBasesRequest(page_size=2, page_token=token, all_tenants=library)
        page = await world.knowledge.ListKnowledgeBases(request, metadata=reader.metadata)
        found.append([base.name for base in page.knowledge_bases])
        token = page.next_page_token

    assert found == [["base 4", "base 3"], ["base 2", "base 1"], ["base 0"]]


async def test_of_another_users_base_nothing_is_said_whether_it_lives_or_not(world: World) -> None:
    owner = await world.tenant()
    person, reader, other = await world.user(owner, MANAGE), await world.user(owner), await world.tenant()
    base_id = await make_base(world, person, "secret", visibility=PERSONAL)

    said = []
    for verb in ("Delete", "Restore"):
        calls: list[Any] = [get_base(world, who, base_id) for who in (reader, other)]
        calls += [update_base(world, other, base_id, name="mine")]
        calls += [
            step_base(world, each, base_id, other.metadata) for each in ("Archive", "Activate", "Delete", "Restore")
        ]
        calls += [step_base(world, "Purge", base_id, await platform_inside(world, other))]
        for call in calls:
            refusal = await refused(call)
            said.append((refusal.code, refusal.reason, refusal.message))
        await step_base(world, verb, base_id, person.metadata)

    assert set(said) == {(Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND", "No knowledge base with this id.")}


async def test_only_its_owner_makes_a_base_personal(world: World) -> None:
    owner = await world.tenant()
    colleague, reader = await world.user(owner, MANAGE), await world.user(owner)
    base_id = await make_base(world, owner)
    change = pb.UpdateKnowledgeBaseRequest(id=base_id, visibility=PERSONAL)
    inside = await platform_inside(world, owner)

    for metadata in (colleague.metadata, inside):
        refusal = await refused(world.knowledge.UpdateKnowledgeBase(change, metadata=metadata))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_NOT_PERSONAL")
    await update_base(world, owner, base_id, visibility=PERSONAL)
    assert await listed(world, colleague) == ["papers"]
    assert await listed(world, reader) == []
    again = await update_base(world, colleague, base_id, visibility=PERSONAL)
    assert (again.visibility, again.owner_user_id) == (PERSONAL, owner.id)


async def test_the_platform_inside_a_tenant_makes_bases_that_are_nobodys(world: World) -> None:
    owner = await world.tenant()
    inside = await platform_inside(world, owner)
    create = {"name": "theirs", "embedding_model": MODEL}

    refusal = await refused(
        world.knowledge.CreateKnowledgeBase(
            pb.CreateKnowledgeBaseRequest(**create, visibility=PERSONAL), metadata=inside
        )
    )
    made = (
        await world.knowledge.CreateKnowledgeBase(pb.CreateKnowledgeBaseRequest(**create), metadata=inside)
    ).knowledge_base

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_NOT_PERSONAL")
    assert (made.tenant_id, made.owner_user_id, made.created_by) == (owner.tenant_id, "", "")
    assert (
        await refused(update_base(world, owner, made.id, visibility=PERSONAL))
    ).reason == "KNOWLEDGE_BASE_NOT_PERSONAL"


async def test_names_are_unique_among_what_is_shared_and_among_what_is_ones_own(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    colleague = await world.user(owner, MANAGE)
    await make_base(world, owner, "same", visibility=PERSONAL)
    own = await make_base(world, colleague, "same", visibility=PERSONAL)
    await make_base(world, owner, "same")
    await make_base(world, other, "same")
    another = await make_base(world, colleague, "another")

    calls: list[Any] = [make_base(world, colleague, "same", visibility=how) for how in (PERSONAL, TENANT)]
    calls += [
        update_base(world, colleague, another, name="same"),
        update_base(world, colleague, own, visibility=TENANT),
    ]
    calls += [update_base(world, colleague, another, name="same", visibility=PERSONAL)]
    for call in calls:
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "KNOWLEDGE_BASE_NAME_TAKEN")
        assert refusal.message == "Another knowledge base is called same."
    assert (await update_base(world, colleague, own, name="other", visibility=TENANT)).name == "other"


async def test_a_deleted_base_is_hidden_refused_and_brought_back_as_it_was(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner, description="What we read", chunk_size=64)
    before = await get_base(world, owner, base_id)
    await step_base(world, "Delete", base_id, owner.metadata)

    assert await listed(world, owner) == []
    assert await listed(world, owner, deleted=deleted_pb2.DELETED_ONLY) == ["papers"]
    hidden = await get_base(world, owner, base_id, deleted=deleted_pb2.DELETED_INCLUDE)
    assert (hidden.state, hidden.HasField("delete_time")) == (DELETED, True)
    calls: list[Any] = [get_base(world, owner, base_id), update_base(world, owner, base_id, name="mine")]
    calls += [step_base(world, verb, base_id, owner.metadata) for verb in ("Archive", "Activate", "Delete")]
    for call in calls:
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")
    twin = await make_base(world, owner)
    refusal = await refused(step_base(world, "Restore", base_id, owner.metadata))
    assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "KNOWLEDGE_BASE_NAME_TAKEN")
    await update_base(world, owner, twin, name="another")
    restored = (await step_base(world, "Restore", base_id, owner.metadata)).knowledge_base
    for changing in ("etag", "update_time"):
        before.ClearField(changing)
        restored.ClearField(changing)
    assert restored == before


async def test_a_live_base_is_neither_restored_nor_purged_and_a_purged_one_is_gone(world: World) -> None:
    owner = await world.tenant()
    inside = await platform_inside(world, owner)
    base_id = await make_base(world, owner)

    for verb in ("Restore", "Purge"):
        refusal = await refused(step_base(world, verb, base_id, inside))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "NOT_DELETED")
    await step_base(world, "Delete", base_id, owner.metadata)
    await step_base(world, "Purge", base_id, inside)
    assert await listed(world, owner, deleted=deleted_pb2.DELETED_INCLUDE) == []
    for verb in ("Restore", "Purge"):
        assert (await refused(step_base(world, verb, base_id, inside))).reason == "KNOWLEDGE_BASE_NOT_FOUND"


async def test_an_archived_base_is_told_as_such_and_stays_so_when_it_comes_back(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    archived = (await step_base(world, "Archive", base_id, owner.metadata)).knowledge_base
    again = await refused(step_base(world, "Archive", base_id, owner.metadata))
    renamed = await update_base(world, owner, base_id, name="kept")
    await step_base(world, "Delete", base_id, owner.metadata)
    restored = (await step_base(world, "Restore", base_id, owner.metadata)).knowledge_base
    active = (await step_base(world, "Activate", base_id, owner.metadata)).knowledge_base
    twice = await refused(step_base(world, "Activate", base_id, owner.metadata))

    assert [base.state for base in (archived, renamed, restored, active)] == [ARCHIVED, ARCHIVED, ARCHIVED, ACTIVE]
    assert (again.code, again.reason) == (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_ARCHIVED")
    assert (twice.code, twice.reason) == (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_ACTIVE")


@pytest.mark.parametrize("verb", ["Update", "Archive", "Activate", "Delete"])
async def test_a_change_is_refused_where_the_base_changed_since(world: World, verb: str) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    etag = (await get_base(world, owner, base_id)).etag
    changed = await update_base(world, owner, base_id, description="first", etag=etag)

    refusal = await refused(step_base(world, verb, base_id, owner.metadata, etag=etag))

    assert (refusal.code, refusal.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    assert await get_base(world, owner, base_id) == changed
    if verb == "Activate":
        changed = (await step_base(world, "Archive", base_id, owner.metadata, etag=changed.etag)).knowledge_base
    await step_base(world, verb, base_id, owner.metadata, etag=changed.etag)


async def test_what_was_a_persons_alone_goes_with_them_and_what_they_shared_stays(world: World) -> None:
    owner = await world.tenant()
    person = await world.user(owner, MANAGE)
    await make_base(world, person, "mine", visibility=PERSONAL)
    gone = await make_base(world, person, "gone", visibility=PERSONAL)
    await step_base(world, "Delete", gone, person.metadata)
    shared = await make_base(world, person, "ours")
    theirs = await make_base(world, owner, "theirs")
    await update_base(world, person, theirs, description="changed")
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=owner.metadata)

    request = user_pb2.PurgeUserRequest(id=person.id)
    await world.identity.PurgeUser(request, metadata=await platform_inside(world, owner))

    left = await world.knowledge.ListKnowledgeBases(
        pb.ListKnowledgeBasesRequest(deleted=deleted_pb2.DELETED_INCLUDE), metadata=owner.metadata
    )
    assert [(one.id, one.owner_user_id, one.created_by, one.updated_by) for one in left.knowledge_bases] == [
        (theirs, owner.id, owner.id, ""),
        (shared, "", "", ""),
    ]
