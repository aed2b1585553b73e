"""Templates: who sees them, and what becomes of them."""

from __future__ import annotations

import grpc

from atrium.common.v1 import deleted_pb2
from atrium.identity.v1 import user_pb2
from atrium.model.v1 import chat_pb2
from atrium.prompt.v1 import label_pb2
from atrium.prompt.v1 import prompt_service_pb2 as pb
from atrium.prompt.v1 import template_pb2 as templates
from atrium.prompt.v1 import version_pb2 as versions
from tests.factories.prompts import (
    NAME,
    PERSONAL,
    PUBLIC,
    TENANT,
    get_template,
    listed,
    make_template,
    make_version,
    render,
    set_label,
)
from tests.factories.world import World, refused

Code = grpc.StatusCode


async def test_visibility_decides_who_sees_a_template(world: World) -> None:
    owner, other, platform = await world.tenant(), await world.tenant(), await world.platform()
    person, colleague = await world.user(owner, "templates:manage"), await world.user(owner)
    mine, ours = [
        await make_template(world, person, name, visibility)
        for name, visibility in (("mine", PERSONAL), ("ours", TENANT))
    ]
    await make_template(world, platform, "everyone's", PUBLIC)
    await make_template(world, platform, "the platform's", TENANT)

    assert await listed(world, person) == await listed(world, owner) == ["ours", "mine"]
    assert await listed(world, colleague) == ["ours"]
    assert await listed(world, other) == []
    for anyone in (person, colleague, other):
        assert await listed(world, anyone, all_tenants=True) == ["everyone's"]
    for somebody, hidden in ((colleague, mine), (other, mine), (other, ours)):
        refusal = await refused(get_template(world, somebody, hidden))
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "TEMPLATE_NOT_FOUND")


async def test_whoever_manages_templates_sees_and_ends_personal_ones_of_others(world: World) -> None:
    owner = await world.tenant()
    person = await world.user(owner, "templates:manage")
    template_id = await make_template(world, person, "mine", PERSONAL)
    change = templates.UpdateTemplateRequest(id=template_id, description="seen")
    await make_version(world, owner, template_id, "Hello")

    assert (await world.prompts.UpdateTemplate(change, metadata=owner.metadata)).template.owner_user_id == person.id
    assert (await render(world, owner, template_id)).text == "Hello"
    await world.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=template_id), metadata=owner.metadata)
    assert await listed(world, person) == []


async def test_a_public_template_is_used_in_every_tenant_and_changed_by_the_platform(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    template_id = await make_template(world, platform, visibility=PUBLIC)
    await make_version(world, platform, template_id, "Hello {{ name }}", variables=[NAME])
    await set_label(world, platform, template_id, "production", "v1.0")

    rendered = render(world, other, template_id, label="production", variables={"name": "Ada"})
    assert (await rendered).text == "Hello Ada"
    refusal = await refused(
        world.prompts.UpdateTemplate(
            templates.UpdateTemplateRequest(id=template_id, name="mine"), metadata=other.metadata
        )
    )
    assert refusal.code is Code.NOT_FOUND
    request = templates.UpdateTemplateRequest(id=template_id, visibility=TENANT)
    await world.prompts.UpdateTemplate(request, metadata=platform.metadata)
    assert (await refused(get_template(world, other, template_id))).code is Code.NOT_FOUND
    again = render(world, other, template_id, variables={"name": "Ada"})
    assert (await refused(again)).reason == "TEMPLATE_NOT_FOUND"


async def test_in_other_tenants_nobody_is_named_by_a_public_template(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    template_id = await make_template(world, platform, visibility=PUBLIC)
    await make_version(world, platform, template_id, "Hello")
    await set_label(world, platform, template_id, "production", "v1.0")
    read = versions.GetVersionRequest(template_id=template_id)
    page = versions.ListVersionsRequest(template_id=template_id)
    labels = label_pb2.ListLabelsRequest(template_id=template_id)

    for person, named in ((platform, platform.id), (other, "")):
        who = {"metadata": person.metadata}
        library = await world.prompts.ListTemplates(templates.ListTemplatesRequest(all_tenants=True), **who)
        found = [
            (await get_template(world, person, template_id)).template.owner_user_id,
            library.templates[0].owner_user_id,
            (await world.prompts.GetVersion(read, **who)).version.created_by,
            (await world.prompts.ListVersions(page, **who)).versions[0].created_by,
            (await world.prompts.ListLabels(labels, **who)).labels[0].moved_by,
        ]
        assert found == [named] * 5


async def test_only_the_platform_has_public_templates(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    template_id = await make_template(world, owner)
    inside = (*platform.metadata, ("x-tenant-id", owner.tenant_id))
    create = templates.CreateTemplateRequest(name="p", visibility=PUBLIC)
    update = templates.UpdateTemplateRequest(id=template_id, visibility=PUBLIC)

    for metadata, code, reason in (
        (owner.metadata, Code.PERMISSION_DENIED, "PERMISSION_MISSING"),
        (inside, Code.FAILED_PRECONDITION, "TEMPLATE_NOT_PUBLIC"),
    ):
        for call, request in ((world.prompts.CreateTemplate, create), (world.prompts.UpdateTemplate, update)):
            refusal = await refused(call(request, metadata=metadata))
            assert (refusal.code, refusal.reason) == (code, reason)


async def test_among_the_platforms_own_people_publishing_takes_a_permission(world: World) -> None:
    platform = await world.platform()
    editor = await world.user(platform, "templates:manage")
    published = await make_template(world, platform, "published", PUBLIC)
    own = await make_template(world, editor, "own", TENANT)

    for change in (
        templates.UpdateTemplateRequest(id=published, visibility=TENANT),
        templates.UpdateTemplateRequest(id=published, description="mine"),
        templates.UpdateTemplateRequest(id=own, visibility=PUBLIC),
    ):
        refusal = await refused(world.prompts.UpdateTemplate(change, metadata=editor.metadata))
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")


async def test_of_another_users_template_nothing_is_said_whether_it_lives_or_not(world: World) -> None:
    owner = await world.tenant()
    person, reader, other = await world.user(owner, "templates:manage"), await world.user(owner), await world.tenant()
    template_id = await make_template(world, person, "secret", PERSONAL)
    read = (
        (world.prompts.GetTemplate, templates.GetTemplateRequest(id=template_id)),
        (world.prompts.RenderPrompt, pb.RenderPromptRequest(template_id=template_id)),
        (world.prompts.ListVersions, versions.ListVersionsRequest(template_id=template_id)),
        (world.prompts.ListLabels, label_pb2.ListLabelsRequest(template_id=template_id)),
    )
    target = label_pb2.LabelTarget(version="v1.0")
    changed = (
        (world.prompts.CreateVersion, versions.CreateVersionRequest(template_id=template_id, text="x")),
        (
            world.prompts.SetLabel,
            label_pb2.SetLabelRequest(template_id=template_id, label="production", targets=[target]),
        ),
        (world.prompts.RestoreTemplate, templates.RestoreTemplateRequest(id=template_id)),
        (world.prompts.DeleteTemplate, templates.DeleteTemplateRequest(id=template_id)),
    )

    said = []
    for _ in range(2):
        for stranger, calls in ((reader, read), (other, read + changed)):
            for call, request in calls:
                refusal = await refused(call(request, metadata=stranger.metadata))
                said.append((refusal.code, refusal.reason, refusal.message))
        if await listed(world, person):
            delete = templates.DeleteTemplateRequest(id=template_id)
            await world.prompts.DeleteTemplate(delete, metadata=person.metadata)

    assert set(said) == {(Code.NOT_FOUND, "TEMPLATE_NOT_FOUND", "No template with this id.")}


async def test_only_its_owner_makes_a_template_personal(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    colleague, reader = await world.user(owner, "templates:manage"), await world.user(owner)
    template_id = await make_template(world, owner)
    change = templates.UpdateTemplateRequest(id=template_id, visibility=PERSONAL)

    refusal = await refused(world.prompts.UpdateTemplate(change, metadata=colleague.metadata))
    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "TEMPLATE_NOT_PERSONAL")
    await world.prompts.UpdateTemplate(change, metadata=owner.metadata)
    assert await listed(world, colleague) == ["greeting"]
    assert await listed(world, reader) == []
    inside = (*platform.metadata, ("x-tenant-id", owner.tenant_id))
    refusal = await refused(world.prompts.CreateTemplate(templates.CreateTemplateRequest(name="p"), metadata=inside))
    assert refusal.reason == "TEMPLATE_NOT_PERSONAL"


async def test_names_are_unique_among_what_is_shared_and_among_what_is_ones_own(world: World) -> None:
    owner = await world.tenant()
    colleague = await world.user(owner, "templates:manage")
    await make_template(world, owner, "same", PERSONAL)
    await make_template(world, colleague, "same", PERSONAL)
    await make_template(world, owner, "same", TENANT)

    for visibility in (PERSONAL, TENANT):
        refusal = await refused(make_template(world, colleague, "same", visibility))
        assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "TEMPLATE_NAME_TAKEN")


async def test_a_deleted_template_is_hidden_refused_and_brought_back_with_all_it_had(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    template_id = await make_template(world, owner)
    await make_version(world, owner, template_id, "first")
    await set_label(world, owner, template_id, "production", "v1.0")
    delete = templates.DeleteTemplateRequest(id=template_id)
    await world.prompts.DeleteTemplate(delete, metadata=owner.metadata)

    assert await listed(world, owner) == []
    assert await listed(world, owner, deleted=deleted_pb2.DELETED_ONLY) == ["greeting"]
    for use in (
        render(world, owner, template_id, label="production"),
        make_version(world, owner, template_id, "second"),
        set_label(world, owner, template_id, "production", "v1.0"),
        world.models.Chat(
            chat_pb2.ChatRequest(model="local-chat", prompt={"template_id": template_id}), metadata=owner.metadata
        ),
    ):
        refusal = await refused(use)
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "TEMPLATE_DELETED")
    await make_template(world, owner)
    restore = templates.RestoreTemplateRequest(id=template_id)
    refusal = await refused(world.prompts.RestoreTemplate(restore, metadata=owner.metadata))
    assert refusal.reason == "TEMPLATE_NAME_TAKEN"
    taken = (await world.prompts.ListTemplates(templates.ListTemplatesRequest(), metadata=owner.metadata)).templates[0]
    rename = templates.UpdateTemplateRequest(id=taken.id, name="another", etag=taken.etag)
    await world.prompts.UpdateTemplate(rename, metadata=owner.metadata)
    await world.prompts.RestoreTemplate(restore, metadata=owner.metadata)
    assert (await render(world, owner, template_id, label="production")).text == "first"
    inside = (*platform.metadata, ("x-tenant-id", owner.tenant_id))
    purge = templates.PurgeTemplateRequest(id=template_id)
    assert (await refused(world.prompts.PurgeTemplate(purge, metadata=inside))).reason == "NOT_DELETED"
    await world.prompts.DeleteTemplate(delete, metadata=owner.metadata)
    await world.prompts.PurgeTemplate(purge, metadata=inside)
    everything = await listed(world, owner, deleted=deleted_pb2.DELETED_INCLUDE)
    assert everything == ["another"]


async def test_what_was_a_persons_alone_goes_with_them_and_what_they_shared_stays(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    person = await world.user(owner, "templates:manage")
    await make_template(world, person, "mine", PERSONAL)
    shared = await make_template(world, person, "ours", TENANT)
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=owner.metadata)
    inside = (*platform.metadata, ("x-tenant-id", owner.tenant_id))

    await world.identity.PurgeUser(user_pb2.PurgeUserRequest(id=person.id), metadata=inside)

    left = await world.prompts.ListTemplates(
        templates.ListTemplatesRequest(deleted=deleted_pb2.DELETED_INCLUDE), metadata=owner.metadata
    )
    assert [(one.id, one.owner_user_id) for one in left.templates] == [(shared, "")]


async def test_an_update_is_refused_where_the_template_changed_since(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    etag = (await get_template(world, owner, template_id)).template.etag
    first = templates.UpdateTemplateRequest(id=template_id, description="first", etag=etag)
    await world.prompts.UpdateTemplate(first, metadata=owner.metadata)

    refusal = await refused(world.prompts.UpdateTemplate(first, metadata=owner.metadata))

    assert (refusal.code, refusal.reason) == (Code.ABORTED, "ETAG_MISMATCH")
