"""Prompts: who sees them, their versions and labels, what they come to, and who is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.common.v1 import deleted_pb2
from atrium.identity.v1 import user_pb2
from atrium.model.v1 import chat_pb2
from atrium.model.v1 import model_service_pb2 as model
from atrium.prompt.v1 import label_pb2
from atrium.prompt.v1 import prompt_service_pb2 as pb
from atrium.prompt.v1 import template_pb2 as templates
from atrium.prompt.v1 import version_pb2 as versions
from atrium.tenant.v1 import tenant_service_pb2 as tenant
from tests.databases import Scratch
from tests.factories.world import Person, World, refused
from tests.servers import serving

Code = grpc.StatusCode
PERSONAL, TENANT, PUBLIC = (
    templates.VISIBILITY_PERSONAL,
    templates.VISIBILITY_TENANT,
    templates.VISIBILITY_PUBLIC,
)
NAME = versions.PromptVariable(name="name", type=versions.PromptVariable.TYPE_STRING, required=True)


async def _template(world: World, person: Person, name: str = "greeting", visibility: int = TENANT) -> str:
    request = templates.CreateTemplateRequest(name=name, visibility=visibility)
    return str((await world.prompts.CreateTemplate(request, metadata=person.metadata)).template.id)


async def _version(world: World, person: Person, template_id: str, text: str, **fields: Any) -> Any:
    request = versions.CreateVersionRequest(template_id=template_id, text=text, **fields)
    return (await world.prompts.CreateVersion(request, metadata=person.metadata)).version


async def _label(world: World, person: Person, template_id: str, label: str, *targets: Any, **fields: Any) -> Any:
    given = [label_pb2.LabelTarget(version=one) if isinstance(one, str) else one for one in targets]
    request = label_pb2.SetLabelRequest(template_id=template_id, label=label, targets=given, **fields)
    return (await world.prompts.SetLabel(request, metadata=person.metadata)).label


async def _render(world: World, person: Person, template_id: str, **fields: Any) -> pb.RenderPromptResponse:
    request = pb.RenderPromptRequest(template_id=template_id, **fields)
    return await world.prompts.RenderPrompt(request, metadata=person.metadata)


async def _listed(world: World, person: Person, **fields: Any) -> list[str]:
    found = await world.prompts.ListTemplates(templates.ListTemplatesRequest(**fields), metadata=person.metadata)
    return [template.name for template in found.templates]


def _get(world: World, person: Person, template_id: str, **fields: Any) -> Any:
    return world.prompts.GetTemplate(templates.GetTemplateRequest(id=template_id, **fields), metadata=person.metadata)


async def test_visibility_decides_who_sees_a_template(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    colleague = await world.user(owner)
    mine, ours, everyones = [
        await _template(world, owner, name, visibility)
        for name, visibility in (("mine", PERSONAL), ("ours", TENANT), ("everyone's", PUBLIC))
    ]

    assert await _listed(world, owner) == ["everyone's", "ours", "mine"]
    assert await _listed(world, colleague) == ["everyone's", "ours"]
    assert await _listed(world, other) == []
    assert "everyone's" in await _listed(world, other, all_tenants=True)
    assert "ours" not in await _listed(world, other, all_tenants=True)
    assert (await _get(world, other, everyones)).template.tenant_id == owner.tenant_id
    for person, hidden in ((colleague, mine), (other, mine), (other, ours)):
        refusal = await refused(_get(world, person, hidden))
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "TEMPLATE_NOT_FOUND")


async def test_a_public_template_is_used_in_every_tenant_and_changed_in_its_own(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    template_id = await _template(world, owner, visibility=PUBLIC)
    await _version(world, owner, template_id, "Hello {{ name }}", variables=[NAME])

    assert (await _render(world, other, template_id, variables={"name": "Ada"})).text == "Hello Ada"
    refusal = await refused(
        world.prompts.UpdateTemplate(
            templates.UpdateTemplateRequest(id=template_id, name="mine"), metadata=other.metadata
        )
    )
    assert refusal.code is Code.NOT_FOUND
    request = templates.UpdateTemplateRequest(id=template_id, visibility=TENANT)
    await world.prompts.UpdateTemplate(request, metadata=owner.metadata)
    assert (await refused(_get(world, other, template_id))).code is Code.NOT_FOUND
    again = _render(world, other, template_id, variables={"name": "Ada"})
    assert (await refused(again)).reason == "TEMPLATE_NOT_FOUND"


async def test_a_suspended_tenants_public_templates_are_gone_until_it_is_active_again(world: World) -> None:
    owner, other, platform = await world.tenant(), await world.tenant(), await world.platform()
    template_id = await _template(world, owner, visibility=PUBLIC)
    await _get(world, other, template_id)

    await world.tenants.SuspendTenant(tenant.SuspendTenantRequest(id=owner.tenant_id), metadata=platform.metadata)
    assert (await refused(_get(world, other, template_id))).code is Code.NOT_FOUND
    await world.tenants.ActivateTenant(tenant.ActivateTenantRequest(id=owner.tenant_id), metadata=platform.metadata)
    assert (await _get(world, other, template_id)).template.id == template_id


@pytest.mark.parametrize("visibility", [PUBLIC, TENANT])
async def test_whoever_may_not_publish_does_not(world: World, visibility: int) -> None:
    owner = await world.tenant()
    editor = await world.user(owner, "templates:manage")
    template_id = await _template(world, owner if visibility == PUBLIC else editor, visibility=visibility)
    changes = (
        templates.UpdateTemplateRequest(id=template_id, visibility=PUBLIC if visibility == TENANT else TENANT),
        templates.UpdateTemplateRequest(id=template_id, visibility=PUBLIC, description="mine"),
    )

    for change in changes:
        refusal = await refused(world.prompts.UpdateTemplate(change, metadata=editor.metadata))
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
    refusal = await refused(
        world.prompts.CreateTemplate(
            templates.CreateTemplateRequest(name="p", visibility=PUBLIC), metadata=editor.metadata
        )
    )
    assert refusal.code is Code.PERMISSION_DENIED


async def test_only_its_owner_makes_a_template_personal(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    colleague = await world.user(owner, "templates:manage")
    template_id = await _template(world, owner)
    change = templates.UpdateTemplateRequest(id=template_id, visibility=PERSONAL)

    refusal = await refused(world.prompts.UpdateTemplate(change, metadata=colleague.metadata))
    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "TEMPLATE_NOT_PERSONAL")
    await world.prompts.UpdateTemplate(change, metadata=owner.metadata)
    assert await _listed(world, colleague) == []
    inside = (*platform.metadata, ("x-tenant-id", owner.tenant_id))
    refusal = await refused(world.prompts.CreateTemplate(templates.CreateTemplateRequest(name="p"), metadata=inside))
    assert refusal.reason == "TEMPLATE_NOT_PERSONAL"


async def test_names_are_unique_among_what_is_shared_and_among_what_is_ones_own(world: World) -> None:
    owner = await world.tenant()
    colleague = await world.user(owner, "templates:manage")
    await _template(world, owner, "same", PERSONAL)
    await _template(world, colleague, "same", PERSONAL)
    await _template(world, owner, "same", TENANT)

    for visibility in (PERSONAL, TENANT):
        refusal = await refused(_template(world, colleague, "same", visibility))
        assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "TEMPLATE_NAME_TAKEN")


async def test_versions_are_numbered_given_and_never_the_same(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    numbers = [(await _version(world, owner, template_id, text)).version for text in ("one", "two")]
    await _version(world, owner, template_id, "three", version="v2.0", changelog="Another tone.")
    numbers.append((await _version(world, owner, template_id, "four")).version)

    assert numbers == ["v1.0", "v1.1", "v2.1"]
    refusal = await refused(_version(world, owner, template_id, "five", version="v1.1"))
    assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "VERSION_TAKEN")
    request = versions.ListVersionsRequest(template_id=template_id, page_size=2)
    page = await world.prompts.ListVersions(request, metadata=owner.metadata)
    rest = versions.ListVersionsRequest(template_id=template_id, page_size=2, page_token=page.next_page_token)
    last = await world.prompts.ListVersions(rest, metadata=owner.metadata)
    assert [one.version for one in (*page.versions, *last.versions)] == ["v2.1", "v2.0", "v1.1", "v1.0"]
    assert page.versions[1].changelog == "Another tone."
    read = versions.GetVersionRequest(template_id=template_id, version="v1.0")
    assert (await world.prompts.GetVersion(read, metadata=owner.metadata)).version.text == "one"
    assert (await _get(world, owner, template_id)).template.current_version == "v2.1"


async def test_versions_made_at_once_are_all_made(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)

    made = await asyncio.gather(*(_version(world, owner, template_id, str(number)) for number in range(8)))

    assert sorted(one.version for one in made) == [f"v1.{number}" for number in range(8)]
    twins = [_version(world, owner, template_id, "x", version="v5.0") for _ in range(4)]
    ended = await asyncio.gather(*twins, return_exceptions=True)
    codes = Counter(one.code() if isinstance(one, grpc.aio.AioRpcError) else "made" for one in ended)
    assert codes == {"made": 1, Code.ALREADY_EXISTS: 3}


async def test_a_version_that_is_asked_for_twice_with_one_key_is_made_once(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)

    made = [await _version(world, owner, template_id, "x", idempotency_key="key") for _ in range(2)]

    assert made[0] == made[1]


async def test_a_conversation_is_bounded_as_a_text_is(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    turn = versions.PromptMessage(role=versions.PromptMessage.ROLE_USER, content="x" * 65_536)
    request = versions.CreateVersionRequest(template_id=template_id, messages=[turn] * 3)

    refusal = await refused(world.prompts.CreateVersion(request, metadata=owner.metadata))

    assert (refusal.reason, refusal.fields) == ("PROMPT_SYNTAX_INVALID", ["messages"])


async def test_equal_versions_have_equal_hashes(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    one, other, third = [await _version(world, owner, template_id, text) for text in ("a", "a", "b")]

    assert one.content_hash == other.content_hash != third.content_hash
    assert len(one.content_hash) == 64


async def test_a_chat_prompt_is_rendered_turn_by_turn_with_its_settings(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    kind, role = versions.PromptVariable, versions.PromptMessage
    request = versions.CreateVersionRequest(
        template_id=template_id,
        messages=[
            role(role=role.ROLE_SYSTEM, content="You are {{ tone|d('kind') }}."),
            role(role=role.ROLE_USER, content="{% for one in items %}{{ one }}, {% endfor %}{{ n + 1 }}"),
        ],
        variables=[
            kind(name="tone", type=kind.TYPE_STRING),
            kind(name="items", type=kind.TYPE_LIST, default={"list_value": {"values": [{"string_value": "a"}]}}),
            kind(name="n", type=kind.TYPE_INTEGER, required=True),
        ],
        settings={"model": "local-chat", "temperature": 0.5, "stop": ["END"], "seed": 7},
    )
    await world.prompts.CreateVersion(request, metadata=owner.metadata)

    rendered = await _render(world, owner, template_id, variables={"n": 41})

    assert [(one.role, one.content) for one in rendered.messages] == [
        (role.ROLE_SYSTEM, "You are kind."),
        (role.ROLE_USER, "a, 42"),
    ]
    assert (rendered.settings.model, rendered.settings.temperature, rendered.settings.seed) == ("local-chat", 0.5, 7)
    read = versions.GetVersionRequest(template_id=template_id)
    kept = (await world.prompts.GetVersion(read, metadata=owner.metadata)).version
    assert (list(kept.messages), list(kept.variables), kept.settings) == (
        list(request.messages),
        list(request.variables),
        request.settings,
    )


@pytest.mark.parametrize(
    ("text", "variables", "reason", "field"),
    [
        ("Hello {{ name", {}, "PROMPT_SYNTAX_INVALID", "text"),
        ("{{ nobody }}", {}, "PROMPT_VARIABLES_INVALID", "text"),
        ("{% import 'os' as os %}", {}, "PROMPT_SYNTAX_INVALID", "text"),
        ("{{ 'x'|center(300000000) }}", {}, "PROMPT_SYNTAX_INVALID", "text"),
        ("{% include 'nothing' %}", {}, "PROMPT_INCLUDE_UNKNOWN", "text"),
        ("{% include 'greeting' %}", {}, "PROMPT_INCLUDE_CYCLE", "text"),
    ],
)
async def test_a_version_that_could_not_be_rendered_is_not_made(
    world: World, text: str, variables: dict[str, Any], reason: str, field: str
) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    await _version(world, owner, template_id, "before")

    refusal = await refused(_version(world, owner, template_id, text))

    assert (refusal.code, refusal.reason, refusal.fields) == (Code.INVALID_ARGUMENT, reason, [field])


@pytest.mark.parametrize(
    ("text", "variables", "reason", "field"),
    [
        ("{{ name }}", {}, "PROMPT_VARIABLES_INVALID", "variables.name"),
        ("{{ name }}", {"name": 7}, "PROMPT_VARIABLES_INVALID", "variables.name"),
        ("{{ name }}", {"name": "a", "other": 1}, "PROMPT_VARIABLES_INVALID", "variables.other"),
        ("{{ 'x' * 300000000 }}{{ name }}", {"name": "a"}, "PROMPT_RENDER_FAILED", "text"),
        ("{{ name.__class__ }}", {"name": "a"}, "PROMPT_RENDER_FAILED", "text"),
        ("{% for i in range(99999999) %}{{ name }}{% endfor %}", {"name": "a"}, "PROMPT_RENDER_FAILED", "text"),
        ("{{ 1 / 0 }}{{ name }}", {"name": "a"}, "PROMPT_RENDER_FAILED", "text"),
    ],
)
async def test_what_cannot_be_rendered_says_why(
    world: World, text: str, variables: dict[str, Any], reason: str, field: str
) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    await _version(world, owner, template_id, text, variables=[NAME])

    refusal = await refused(_render(world, owner, template_id, variables=variables))

    assert (refusal.code, refusal.reason, refusal.fields) == (Code.INVALID_ARGUMENT, reason, [field])


async def test_includes_are_found_by_version_by_label_and_by_id(world: World) -> None:
    owner = await world.tenant()
    part = await _template(world, owner, "part")
    for text in ("old", "new"):
        await _version(world, owner, part, text)
    await _label(world, owner, part, "stable", "v1.0")
    whole = await _template(world, owner, "whole")
    text = f"{{% include 'part' %}} {{% include 'part@v1.0' %}} {{% include 'part:stable' %}} {{% include '{part}' %}}"
    await _version(world, owner, whole, text)

    assert (await _render(world, owner, whole)).text == "new old old new"
    await _label(world, owner, part, "stable", "v1.1")
    await _version(world, owner, part, "newest")
    assert (await _render(world, owner, whole)).text == "newest old new newest"


async def test_a_cycle_that_comes_later_is_named(world: World) -> None:
    owner = await world.tenant()
    one, other = await _template(world, owner, "one"), await _template(world, owner, "other")
    await _version(world, owner, other, "leaf")
    await _version(world, owner, one, "{% include 'other' %}")

    refusal = await refused(_version(world, owner, other, "{% include 'one' %}"))

    assert refusal.reason == "PROMPT_INCLUDE_CYCLE"
    violation = refusal.detail(error_details_pb2.BadRequest).field_violations[0]
    assert violation.description == "includes itself: one -> other"


async def test_nothing_is_included_that_not_everyone_sees(world: World) -> None:
    owner = await world.tenant()
    secret = await _template(world, owner, "secret", PERSONAL)
    await _version(world, owner, secret, "secret")
    shared = await _template(world, owner, "shared", TENANT)
    await _version(world, owner, shared, "shared")
    everyones = await _template(world, owner, "everyone's", PUBLIC)
    own = await _template(world, owner, "own", PERSONAL)

    for template_id, included in ((shared, "secret"), (everyones, "shared"), (everyones, secret)):
        refusal = await refused(_version(world, owner, template_id, f"{{% include '{included}' %}}"))
        assert refusal.reason == "PROMPT_INCLUDE_UNKNOWN"
    await _version(world, owner, own, "{% include 'secret' %} {% include 'shared' %}")
    assert (await _render(world, owner, own)).text == "secret shared"


async def test_to_move_a_label_is_to_deploy_and_to_move_it_back_to_roll_back(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    for text in ("first", "second"):
        await _version(world, owner, template_id, text)

    seen = []
    for version in ("v1.0", "v1.1", "v1.0"):
        await _label(world, owner, template_id, "production", version)
        seen.append((await _render(world, owner, template_id, label="production")).text)

    assert seen == ["first", "second", "first"]
    assert (await _render(world, owner, template_id)).text == "second"
    assert (await _render(world, owner, template_id, version="v1.0")).text == "first"
    request = label_pb2.RemoveLabelRequest(template_id=template_id, label="production")
    await world.prompts.RemoveLabel(request, metadata=owner.metadata)
    refusal = await refused(_render(world, owner, template_id, label="production"))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "LABEL_NOT_FOUND")


async def test_a_protected_label_takes_a_permission_of_its_own(world: World) -> None:
    owner = await world.tenant()
    editor = await world.user(owner, "templates:manage")
    template_id = await _template(world, owner)
    await _version(world, owner, template_id, "first")
    await _label(world, editor, template_id, "staging", "v1.0")
    await _label(world, owner, template_id, "production", "v1.0", protected=True)

    moves = (
        _label(world, editor, template_id, "production", "v1.0"),
        _label(world, editor, template_id, "production", "v1.0", protected=False),
        _label(world, editor, template_id, "staging", "v1.0", protected=True),
        world.prompts.RemoveLabel(
            label_pb2.RemoveLabelRequest(template_id=template_id, label="production"), metadata=editor.metadata
        ),
        world.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=template_id), metadata=editor.metadata),
    )
    for move in moves:
        refusal = await refused(move)
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert (await _label(world, owner, template_id, "production", "v1.0")).protected


async def test_a_split_label_gives_each_user_one_version_and_each_version_its_share(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    for text in ("a", "b"):
        await _version(world, owner, template_id, text)
    shares = [label_pb2.LabelTarget(version="v1.0", weight=75), label_pb2.LabelTarget(version="v1.1", weight=25)]
    await _label(world, owner, template_id, "production", *shares)

    seen = {}
    for key in map(str, range(400)):
        seen[key] = (await _render(world, owner, template_id, label="production", user_key=key)).text
    again = [
        (await _render(world, owner, template_id, label="production", user_key=str(key))).text for key in range(40)
    ]

    assert again == [seen[str(key)] for key in range(40)]
    assert 0.6 < Counter(seen.values())["a"] / 400 < 0.9


async def test_the_difference_of_two_versions(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    await _version(world, owner, template_id, "Hello\nWorld\n", settings={"temperature": 0.5})
    await _version(world, owner, template_id, "Hello\nAda\n", settings={"temperature": 0.7})
    request = pb_diff(template_id, "v1.0", "v1.1")

    found = await world.prompts.DiffVersions(request, metadata=owner.metadata)

    assert found.content_diff == "--- v1.0\n+++ v1.1\n@@ -1,2 +1,2 @@\n Hello\n-World\n+Ada\n"
    assert '-    "temperature": 0.5' in found.settings_diff
    refusal = await refused(world.prompts.DiffVersions(pb_diff(template_id, "v1.0", "v9.9"), metadata=owner.metadata))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "VERSION_NOT_FOUND")


def pb_diff(template_id: str, old: str, new: str) -> versions.DiffVersionsRequest:
    return versions.DiffVersionsRequest(template_id=template_id, from_version=old, to_version=new)


async def test_a_deleted_template_is_hidden_refused_and_brought_back_with_all_it_had(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    template_id = await _template(world, owner)
    await _version(world, owner, template_id, "first")
    await _label(world, owner, template_id, "production", "v1.0")
    delete = templates.DeleteTemplateRequest(id=template_id)
    await world.prompts.DeleteTemplate(delete, metadata=owner.metadata)

    assert await _listed(world, owner) == []
    assert await _listed(world, owner, deleted=deleted_pb2.DELETED_ONLY) == ["greeting"]
    for use in (
        _render(world, owner, template_id, label="production"),
        _version(world, owner, template_id, "second"),
        _label(world, owner, template_id, "production", "v1.0"),
        world.models.Chat(
            model.ChatRequest(model="local-chat", prompt={"template_id": template_id}), metadata=owner.metadata
        ),
    ):
        refusal = await refused(use)
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "TEMPLATE_DELETED")
    await _template(world, owner)
    restore = templates.RestoreTemplateRequest(id=template_id)
    refusal = await refused(world.prompts.RestoreTemplate(restore, metadata=owner.metadata))
    assert refusal.reason == "TEMPLATE_NAME_TAKEN"
    taken = (await world.prompts.ListTemplates(templates.ListTemplatesRequest(), metadata=owner.metadata)).templates[0]
    rename = templates.UpdateTemplateRequest(id=taken.id, name="another", etag=taken.etag)
    await world.prompts.UpdateTemplate(rename, metadata=owner.metadata)
    await world.prompts.RestoreTemplate(restore, metadata=owner.metadata)
    assert (await _render(world, owner, template_id, label="production")).text == "first"
    inside = (*platform.metadata, ("x-tenant-id", owner.tenant_id))
    purge = templates.PurgeTemplateRequest(id=template_id)
    assert (await refused(world.prompts.PurgeTemplate(purge, metadata=inside))).reason == "NOT_DELETED"
    await world.prompts.DeleteTemplate(delete, metadata=owner.metadata)
    await world.prompts.PurgeTemplate(purge, metadata=inside)
    everything = await _listed(world, owner, deleted=deleted_pb2.DELETED_INCLUDE)
    assert everything == ["another"]


async def test_what_was_a_persons_alone_goes_with_them_and_what_they_shared_stays(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    person = await world.user(owner, "templates:manage")
    await _template(world, person, "mine", PERSONAL)
    shared = await _template(world, person, "ours", TENANT)
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=owner.metadata)
    inside = (*platform.metadata, ("x-tenant-id", owner.tenant_id))

    await world.identity.PurgeUser(user_pb2.PurgeUserRequest(id=person.id), metadata=inside)

    left = await world.prompts.ListTemplates(
        templates.ListTemplatesRequest(deleted=deleted_pb2.DELETED_INCLUDE), metadata=owner.metadata
    )
    assert [(one.id, one.owner_user_id) for one in left.templates] == [(shared, "")]


async def test_a_template_without_a_version_cannot_be_used_yet(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)

    for fields in ({}, {"label": "production"}):
        refusal = await refused(_render(world, owner, template_id, **fields))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "TEMPLATE_WITHOUT_VERSION")
    refusal = await refused(_render(world, owner, template_id, version="v1.0"))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "VERSION_NOT_FOUND")


class Watch:
    """A watch, and what it was told so far."""

    def __init__(self, world: World, person: Person, *template_ids: str) -> None:
        request = pb.WatchPromptsRequest(template_ids=template_ids)
        self.stream: Any = world.prompts.WatchPrompts(request, metadata=person.metadata)
        self._events: AsyncIterator[Any] = aiter(self.stream)

    async def next(self) -> Any:
        async with asyncio.timeout(5):
            while True:
                event = await anext(self._events)
                if not event.HasField("heartbeat"):
                    return event

    async def synced(self) -> list[str]:
        """The names of what there is."""
        names = []
        while not (event := await self.next()).HasField("synced"):
            names.append(event.changed.template.name)
        return names


async def test_a_watch_tells_what_there_is_and_then_each_change(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    template_id = await _template(world, owner)
    await _template(world, owner, "mine", PERSONAL)
    colleague = await world.user(owner)
    watch = Watch(world, colleague)

    assert await watch.synced() == ["greeting"]
    await _template(world, other, "of another")
    await _version(world, owner, template_id, "first")
    assert (await watch.next()).changed.template.current_version == "v1.0"
    await _label(world, owner, template_id, "production", "v1.0")
    changed = (await watch.next()).changed
    assert [(label.label, label.targets[0].version) for label in changed.labels] == [("production", "v1.0")]
    hide = templates.UpdateTemplateRequest(id=template_id, visibility=PERSONAL)
    await world.prompts.UpdateTemplate(hide, metadata=owner.metadata)
    assert (await watch.next()).removed_id == template_id
    watch.stream.cancel()


async def test_a_watch_of_named_templates_tells_of_these_alone_and_of_public_ones_too(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    public, unnamed = await _template(world, owner, "p", PUBLIC), await _template(world, owner, "u", PUBLIC)
    watch = Watch(world, other, public, str(uuid4()))

    assert await watch.synced() == ["p"]
    await _version(world, owner, unnamed, "x")
    await _version(world, owner, public, "x")
    assert (await watch.next()).changed.template.id == public
    await world.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=public), metadata=owner.metadata)
    assert (await watch.next()).removed_id == public
    watch.stream.cancel()


async def test_a_call_begins_with_the_prompt_and_its_settings_and_is_counted_to_its_version(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    settings = {"model": "local-chat", "temperature": 0, "max_tokens": 3}
    version = await _version(world, owner, template_id, "Say {{ name }}.", variables=[NAME], settings=settings)
    await _label(world, owner, template_id, "production", "v1.0")
    prompt = chat_pb2.Prompt(template_id=template_id, label="production", variables={"name": "hello"})

    answer = await world.models.Chat(model.ChatRequest(prompt=prompt), metadata=owner.metadata)
    assert (answer.model, answer.usage.completion_tokens) == ("local-chat", 3)
    stream = world.models.StreamChat(model.StreamChatRequest(prompt=prompt, max_tokens=2), metadata=owner.metadata)
    events = [event async for event in stream]
    assert events[-1].HasField("completed")
    logs = (await world.models.ListCallLogs(model.ListCallLogsRequest(), metadata=owner.metadata)).call_logs
    assert [log.prompt_version_id for log in logs] == [version.id] * 2
    stats = await world.prompts.GetTemplateStats(
        pb.GetTemplateStatsRequest(template_id=template_id), metadata=owner.metadata
    )
    (used,) = stats.versions
    assert (used.version, used.version_id, used.calls, used.errors) == ("v1.0", version.id, 2, 0)
    assert used.completion_tokens == 5
    assert used.average_latency.ToTimedelta().total_seconds() > 0
    async with asyncio.timeout(10):
        while (await _get(world, owner, template_id)).template.usage_count != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_a_prompt_in_a_call_is_refused_as_when_it_is_rendered(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    await _version(world, owner, template_id, "Say {{ name }}.", variables=[NAME])
    stranger = await world.nobody(owner)
    await world.give(owner, stranger.id, "models:execute")

    prompt = chat_pb2.Prompt(template_id=template_id)
    refusal = await refused(
        world.models.Chat(model.ChatRequest(model="local-chat", prompt=prompt), metadata=owner.metadata)
    )
    assert (refusal.reason, refusal.fields) == ("PROMPT_VARIABLES_INVALID", ["variables.name"])
    refusal = await refused(
        world.models.Chat(model.ChatRequest(model="local-chat", prompt=prompt), metadata=stranger.metadata)
    )
    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")


async def test_an_update_is_refused_where_the_template_changed_since(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    etag = (await _get(world, owner, template_id)).template.etag
    first = templates.UpdateTemplateRequest(id=template_id, description="first", etag=etag)
    await world.prompts.UpdateTemplate(first, metadata=owner.metadata)

    refusal = await refused(world.prompts.UpdateTemplate(first, metadata=owner.metadata))

    assert (refusal.code, refusal.reason) == (Code.ABORTED, "ETAG_MISMATCH")


async def test_a_template_has_sixty_four_labels_and_no_more(world: World) -> None:
    owner = await world.tenant()
    template_id = await _template(world, owner)
    await _version(world, owner, template_id, "x")
    for number in range(64):
        await _label(world, owner, template_id, f"l{number}", "v1.0")

    refusal = await refused(_label(world, owner, template_id, "one-more", "v1.0"))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_LABELS")
    await _label(world, owner, template_id, "l7", "v1.0")
    assert (
        len(
            (
                await world.prompts.ListLabels(
                    label_pb2.ListLabelsRequest(template_id=template_id), metadata=owner.metadata
                )
            ).labels
        )
        == 64
    )


async def test_a_deployment_on_one_server_holds_on_every_other(scratch: Scratch) -> None:
    async with AsyncExitStack() as stack:
        worlds = []
        for _ in range(2):
            app, port = await stack.enter_async_context(serving(scratch.settings()))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            worlds.append(World(channel, await app.founding.first_platform_administrator() or ("", "")))
        here, there = worlds
        owner = await here.tenant()
        template_id = await _template(here, owner)
        for text in ("first", "second"):
            await _version(here, owner, template_id, text)
        await _label(here, owner, template_id, "production", "v1.0")
        watch = Watch(there, owner)
        await watch.synced()
        assert (await _render(there, owner, template_id, label="production")).text == "first"

        await _label(here, owner, template_id, "production", "v1.1")

        assert (await watch.next()).changed.labels[0].targets[0].version == "v1.1"
        assert (await _render(there, owner, template_id, label="production")).text == "second"
        watch.stream.cancel()
