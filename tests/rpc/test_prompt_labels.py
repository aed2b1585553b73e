"""Labels of prompts, and calls of models with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.rpc import error_details_pb2
from pydantic import SecretStr

from atrium.model.v1 import call_log_pb2, chat_pb2, model_pb2, stream_pb2
from atrium.prompt.v1 import label_pb2
from atrium.prompt.v1 import prompt_service_pb2 as pb
from atrium.prompt.v1 import template_pb2 as templates
from server.kernel.clock import now
from server.prompt.domain import Label, Share
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.prompts import (
    NAME,
    PERSONAL,
    PUBLIC,
    TENANT,
    make_template,
    make_version,
    render,
    set_label,
)
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

Code = grpc.StatusCode
FAST, FAILING = "stub-fast-3", "stub-500"


async def test_to_move_a_label_is_to_deploy_and_to_move_it_back_to_roll_back(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    for text in ("first", "second"):
        await make_version(world, owner, template_id, text)

    seen = []
    for version in ("v1.0", "v1.1", "v1.0"):
        await set_label(world, owner, template_id, "production", version)
        seen.append((await render(world, owner, template_id, label="production")).text)

    assert seen == ["first", "second", "first"]
    assert (await render(world, owner, template_id)).text == "second"
    assert (await render(world, owner, template_id, version="v1.0")).text == "first"
    request = label_pb2.RemoveLabelRequest(template_id=template_id, label="production")
    await world.prompts.RemoveLabel(request, metadata=owner.metadata)
    refusal = await refused(render(world, owner, template_id, label="production"))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "LABEL_NOT_FOUND")


async def test_a_label_that_was_moved_since_it_was_read_stays_where_it_is(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    for text in ("first", "second"):
        await make_version(world, owner, template_id, text)

    def remove(etag: str) -> Any:
        request = label_pb2.RemoveLabelRequest(template_id=template_id, label="production", etag=etag)
        return world.prompts.RemoveLabel(request, metadata=owner.metadata)

    first = await set_label(world, owner, template_id, "production", "v1.0")
    second = await set_label(world, owner, template_id, "production", "v1.1", etag=first.etag)
    late = [
        await refused(set_label(world, owner, template_id, "production", "v1.0", etag=first.etag)),
        await refused(remove(first.etag)),
    ]
    listed = await world.prompts.ListLabels(
        label_pb2.ListLabelsRequest(template_id=template_id), metadata=owner.metadata
    )
    await remove(second.etag)
    late.append(await refused(set_label(world, owner, template_id, "production", "v1.0", etag=second.etag)))
    again = await set_label(world, owner, template_id, "production", "v1.0")

    assert {(refusal.code, refusal.reason) for refusal in late} == {(Code.ABORTED, "ETAG_MISMATCH")}
    assert list(listed.labels) == [second]
    assert len({first.etag, second.etag, again.etag}) == 3


async def test_a_protected_label_takes_a_permission_of_its_own(world: World) -> None:
    owner = await world.tenant()
    editor = await world.user(owner, "templates:manage")
    template_id = await make_template(world, owner)
    await make_version(world, owner, template_id, "first")
    await set_label(world, editor, template_id, "staging", "v1.0")
    await set_label(world, owner, template_id, "production", "v1.0", protected=True)

    moves = (
        set_label(world, editor, template_id, "production", "v1.0"),
        set_label(world, editor, template_id, "production", "v1.0", protected=False),
        set_label(world, editor, template_id, "staging", "v1.0", protected=True),
        world.prompts.RemoveLabel(
            label_pb2.RemoveLabelRequest(template_id=template_id, label="production"), metadata=editor.metadata
        ),
        world.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=template_id), metadata=editor.metadata),
    )
    for move in moves:
        refusal = await refused(move)
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert (await set_label(world, owner, template_id, "production", "v1.0")).protected


async def test_a_template_with_a_protected_label_is_renamed_hidden_and_shown_with_that_permission_too(
    world: World,
) -> None:
    owner = await world.tenant()
    editor, reader = await world.user(owner, "templates:manage"), await world.user(owner)
    keeper = await world.user(owner, "templates:manage", "prompt_labels:manage")
    made_of = {
        "greeting": (TENANT, "Hello"),
        "whole": (TENANT, "{% include 'greeting' %}"),
        "part": (PERSONAL, "mine"),
        "own": (PERSONAL, "{% include 'part' %}"),  # which it would not find any more where others see it
    }
    ids = {name: await make_template(world, editor, name, visibility) for name, (visibility, _) in made_of.items()}
    for name, (_, text) in made_of.items():
        await make_version(world, editor, ids[name], text)
    template_id, whole, own = ids["greeting"], ids["whole"], ids["own"]
    for made in (template_id, own):
        await set_label(world, owner, made, "production", "v1.0", protected=True)

    def change(template: str, person: Person = editor, **fields: Any) -> Any:
        request = templates.UpdateTemplateRequest(id=template, **fields)
        return world.prompts.UpdateTemplate(request, metadata=person.metadata)

    for changed in (
        change(template_id, visibility=PERSONAL),
        change(template_id, name="another"),
        change(template_id, name="another", description="x"),
        change(own, visibility=TENANT),
    ):
        refusal = await refused(changed)
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
        assert refusal.detail(error_details_pb2.ErrorInfo).metadata["permission"] == "prompt_labels:manage"
    assert (await render(world, reader, template_id, label="production")).text == "Hello"
    assert (await render(world, reader, whole)).text == "Hello"
    await change(template_id, name="greeting", visibility=TENANT, description="The same, and what it is for.")
    await change(whole, name="another", visibility=PERSONAL)
    assert (await change(template_id, keeper, name="welcome")).template.name == "welcome"


async def test_a_deleted_template_with_a_protected_label_is_brought_back_with_that_permission_too(world: World) -> None:
    owner = await world.tenant()
    editor = await world.user(owner, "templates:manage")
    template_id = await make_template(world, editor)
    await make_version(world, editor, template_id, "Hello")
    await set_label(world, owner, template_id, "production", "v1.0", protected=True)
    await world.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=template_id), metadata=owner.metadata)
    restore = templates.RestoreTemplateRequest(id=template_id)

    refusal = await refused(world.prompts.RestoreTemplate(restore, metadata=editor.metadata))

    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
    await world.prompts.RestoreTemplate(restore, metadata=owner.metadata)
    assert (await render(world, editor, template_id, label="production")).text == "Hello"


async def test_a_split_label_gives_each_user_one_version_and_each_version_its_share(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    for text in ("a", "b"):
        await make_version(world, owner, template_id, text)
    shares = [label_pb2.LabelTarget(version="v1.0", weight=75), label_pb2.LabelTarget(version="v1.1", weight=25)]
    await set_label(world, owner, template_id, "production", *shares)

    seen = {}
    for key in map(str, range(400)):
        seen[key] = (await render(world, owner, template_id, label="production", user_key=key)).text
    again = [(await render(world, owner, template_id, label="production", user_key=str(key))).text for key in range(40)]

    assert again == [seen[str(key)] for key in range(40)]
    assert 0.6 < Counter(seen.values())["a"] / 400 < 0.9


async def test_a_template_has_sixty_four_labels_and_no_more(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    await make_version(world, owner, template_id, "x")
    for number in range(64):
        await set_label(world, owner, template_id, f"l{number}", "v1.0")

    refusal = await refused(set_label(world, owner, template_id, "one-more", "v1.0"))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_LABELS")
    await set_label(world, owner, template_id, "l7", "v1.0")
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


async def test_a_call_begins_with_the_prompt_and_its_settings_and_is_counted_to_its_version(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    settings = {"model": "local-chat", "temperature": 0, "max_tokens": 3}
    version = await make_version(world, owner, template_id, "Say {{ name }}.", variables=[NAME], settings=settings)
    await set_label(world, owner, template_id, "production", "v1.0")
    prompt = chat_pb2.Prompt(template_id=template_id, label="production", variables={"name": "hello"})

    answer = await world.models.Chat(chat_pb2.ChatRequest(prompt=prompt), metadata=owner.metadata)
    assert (answer.model, answer.usage.completion_tokens) == ("local-chat", 3)
    stream = world.models.StreamChat(stream_pb2.StreamChatRequest(prompt=prompt, max_tokens=2), metadata=owner.metadata)
    events = [event async for event in stream]
    assert events[-1].HasField("completed")
    logs = (await world.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(), metadata=owner.metadata)).call_logs
    assert [log.prompt_version_id for log in logs] == [version.id] * 2
    stats = await world.prompts.GetTemplateStats(
        pb.GetTemplateStatsRequest(template_id=template_id), metadata=owner.metadata
    )
    (used,) = stats.versions
    assert (used.version, used.version_id, used.calls, used.errors) == ("v1.0", version.id, 2, 0)
    assert used.completion_tokens == 5
    assert used.average_latency.ToTimedelta().total_seconds() > 0


async def test_a_prompt_in_a_call_is_refused_as_when_it_is_rendered(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    await make_version(world, owner, template_id, "Say {{ name }}.", variables=[NAME])
    stranger = await world.nobody(owner)
    await world.give(owner, stranger.id, "models:execute")

    prompt = chat_pb2.Prompt(template_id=template_id)
    refusal = await refused(
        world.models.Chat(chat_pb2.ChatRequest(model="local-chat", prompt=prompt), metadata=owner.metadata)
    )
    assert (refusal.reason, refusal.fields) == ("PROMPT_VARIABLES_INVALID", ["variables.name"])
    refusal = await refused(
        world.models.Chat(chat_pb2.ChatRequest(model="local-chat", prompt=prompt), metadata=stranger.metadata)
    )
    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")


@pytest.fixture
async def priced(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """A server that knows a model with a price, and one that fails."""
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")})
    async with serving(settings) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        price = model_pb2.ModelPrice(input_cost_per_1k="1000", output_cost_per_1k="2000")
        for name in (FAST, FAILING):
            await make_model(world, stub.base_url, name, price=price)
        yield world


async def test_each_rendering_is_counted_and_those_of_other_tenants_are_not(scratch: Scratch, admin: Any) -> None:
    async with serving(scratch.settings()) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        platform, other = await world.platform(), await world.tenant()
        template_id = await make_template(world, platform, visibility=PUBLIC)
        await make_version(world, platform, template_id, "x")
        for person in (platform, other, platform):
            await render(world, person, template_id)

    # A server writes what it has counted before it ends.
    assert await admin.fetchval("SELECT usage_count FROM prompt_templates WHERE id = $1", UUID(template_id)) == 2


async def test_each_call_that_names_a_template_is_counted_as_a_rendering_is(scratch: Scratch, admin: Any) -> None:
    async with serving(scratch.settings()) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        owner = await world.tenant()
        named, other = [await make_template(world, owner, name) for name in ("named", "other")]
        for template_id in (named, other):
            await make_version(world, owner, template_id, "x", settings={"model": "local-chat", "max_tokens": 1})
        prompt = chat_pb2.Prompt(template_id=named)
        for _ in range(2):
            await world.models.Chat(chat_pb2.ChatRequest(prompt=prompt), metadata=owner.metadata)
        stream = world.models.StreamChat(stream_pb2.StreamChatRequest(prompt=prompt), metadata=owner.metadata)
        events = [event async for event in stream]
        await render(world, owner, other)

    assert events[-1].HasField("completed")
    counts = {
        row["id"]: row["usage_count"] for row in await admin.fetch("SELECT id, usage_count FROM prompt_templates")
    }
    assert (counts[UUID(named)], counts[UUID(other)]) == (3, 1)


async def test_who_names_no_key_gets_their_own_version_of_a_split_label_in_calls_too(priced: World) -> None:
    owner = await priced.tenant()
    template_id = await make_template(priced, owner)
    made = [await make_version(priced, owner, template_id, text) for text in ("a", "b")]
    await set_label(priced, owner, template_id, "production", *(one.version for one in made))
    prompt = chat_pb2.Prompt(template_id=template_id, label="production")

    for person in [await priced.user(owner, "models:execute") for _ in range(4)]:
        own = await render(priced, person, template_id, label="production")
        named = await render(priced, owner, template_id, label="production", user_key=person.id)
        for _ in range(2):
            await priced.models.Chat(chat_pb2.ChatRequest(model=FAST, prompt=prompt), metadata=person.metadata)
        request = call_log_pb2.ListCallLogsRequest(user_id=person.id)
        logs = (await priced.models.ListCallLogs(request, metadata=owner.metadata)).call_logs

        assert own.version_id == named.version_id
        assert [log.prompt_version_id for log in logs] == [own.version_id] * 2


async def test_statistics_count_what_failed_and_what_it_cost(priced: World) -> None:
    owner = await priced.tenant()
    template_id = await make_template(priced, owner)
    version = await make_version(priced, owner, template_id, "three words here")
    prompt = chat_pb2.Prompt(template_id=template_id)
    for _ in range(2):
        await priced.models.Chat(chat_pb2.ChatRequest(model=FAST, prompt=prompt), metadata=owner.metadata)
    refusal = await refused(
        priced.models.Chat(chat_pb2.ChatRequest(model=FAILING, prompt=prompt), metadata=owner.metadata)
    )

    request = pb.GetTemplateStatsRequest(template_id=template_id)
    (used,) = (await priced.prompts.GetTemplateStats(request, metadata=owner.metadata)).versions

    assert refusal.code is Code.UNAVAILABLE
    assert (used.version_id, used.calls, used.errors) == (version.id, 3, 1)
    # The stub counts words: 3 are read and 3 written by each call that went well.
    assert (used.prompt_tokens, used.completion_tokens) == (6, 6)
    assert Decimal(used.cost_usd) == 6 + 12


@pytest.mark.parametrize(("before", "after"), [((75, 25), (77, 23)), ((1, 1), (48, 52))])
def test_keys_keep_their_version_where_weights_change_by_little(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    template_id, keys = UUID(int=1), [str(number) for number in range(2_000)]

    seen = []
    for weights in (before, after):
        shares = [Share(f"v1.{place}", weight) for place, weight in enumerate(weights)]
        label = Label("production", shares, False, None, now())  # noqa: FBT003
        seen.append([label.version_for(template_id, key) for key in keys])

    moved = {pair for pair in zip(*seen, strict=True) if pair[0] != pair[1]}
    assert len(moved) == 1, "all that move go the same way"
    assert sum(one != other for one, other in zip(*seen, strict=True)) < 0.05 * len(keys)
