"""What prompts include: which of it, how much, and nothing that not everyone sees who sees the prompt."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.prompt.v1 import template_pb2 as templates
from atrium.prompt.v1 import version_pb2 as versions
from server.kernel.ids import uuid7
from server.prompt.store import versions as store
from tests.databases import WAITING, Scratch
from tests.factories.prompts import (
    NOT_FOR_EVER,
    PERSONAL,
    PUBLIC,
    TENANT,
    make_template,
    make_version,
    render,
    set_label,
)
from tests.factories.world import World, read_refusal, refused
from tests.servers import serving

Code = grpc.StatusCode


async def test_includes_are_found_by_version_by_label_and_by_id(world: World) -> None:
    owner = await world.tenant()
    part = await make_template(world, owner, "part")
    for text in ("old", "new"):
        await make_version(world, owner, part, text)
    await set_label(world, owner, part, "stable", "v1.0")
    whole = await make_template(world, owner, "whole")
    text = f"{{% include 'part' %}} {{% include 'part@v1.0' %}} {{% include 'part:stable' %}} {{% include '{part}' %}}"
    await make_version(world, owner, whole, text)

    assert (await render(world, owner, whole)).text == "new old old new"
    await set_label(world, owner, part, "stable", "v1.1")
    await make_version(world, owner, part, "newest")
    assert (await render(world, owner, whole)).text == "newest old new newest"


async def test_the_newest_is_included_whichever_servers_clock_it_was_made_by(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, earlier = await world.tenant(), uuid7()
    part = await make_template(world, owner, "part")
    await make_version(world, owner, part, "old")
    monkeypatch.setattr(store, "uuid7", lambda: earlier)
    await make_version(world, owner, part, "new")
    monkeypatch.undo()
    whole = await make_template(world, owner, "whole")
    await make_version(world, owner, whole, "{% include 'part' %}")

    assert (await render(world, owner, part)).text == "new"
    assert (await render(world, owner, whole)).text == "new"


async def test_no_more_is_included_than_is_made_of_one_prompt(world: World) -> None:
    owner = await world.tenant()
    part, whole = await make_template(world, owner, "part"), await make_template(world, owner, "whole")
    numbers = range(65)
    for number in numbers:
        await make_version(world, owner, part, str(number))
    choices = [f"{{% if n == {number} %}}{{% include 'part@v1.{number}' %}}{{% endif %}}" for number in numbers]
    which = versions.PromptVariable(name="n", type=versions.PromptVariable.TYPE_INTEGER)

    refusal = await refused(make_version(world, owner, whole, "".join(choices), variables=[which]))

    assert (refusal.code, refusal.reason, refusal.fields) == (Code.INVALID_ARGUMENT, "PROMPT_SYNTAX_INVALID", ["text"])
    violation = refusal.detail(error_details_pb2.BadRequest).field_violations[0]
    assert violation.description == "includes more than 64 others"
    await make_version(world, owner, whole, "".join(choices[:-1]), variables=[which])
    assert (await render(world, owner, whole, variables={"n": 63})).text == "63"


async def test_a_template_that_includes_itself_is_a_cycle_from_its_first_version_on(world: World) -> None:
    owner = await world.tenant()
    template = await make_template(world, owner, "one")

    for reference in ("one", template):
        refusal = await refused(make_version(world, owner, template, f"{{% include '{reference}' %}}"))
        assert refusal.reason == "PROMPT_INCLUDE_CYCLE", reference


async def test_a_cycle_that_comes_later_is_named(world: World) -> None:
    owner = await world.tenant()
    one, other = await make_template(world, owner, "one"), await make_template(world, owner, "other")
    await make_version(world, owner, other, "leaf")
    await make_version(world, owner, one, "{% include 'other' %}")

    refusal = await refused(make_version(world, owner, other, "{% include 'one' %}"))

    assert refusal.reason == "PROMPT_INCLUDE_CYCLE"
    violation = refusal.detail(error_details_pb2.BadRequest).field_violations[0]
    assert violation.description == "includes itself: one -> other"


@pytest.mark.parametrize("keys", [("", ""), ("a", "b")])
async def test_of_two_that_come_to_include_each_other_at_once_one_is_refused(
    world: World, scratch: Scratch, admin: Any, keys: tuple[str, str]
) -> None:
    owner = await world.tenant()
    names = ("one", "other")
    ids = [await make_template(world, owner, name) for name in names]
    for template_id in ids:
        await make_version(world, owner, template_id, "leaf")

    # In one process they come one after the other.
    async with serving(scratch.settings()) as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        worlds = (world, World(channel, ("", "")))
        async with scratch.connect() as holder, holder.transaction():
            await holder.execute("LOCK TABLE prompt_template_versions IN SHARE MODE")
            calls = [
                asyncio.create_task(make_version(one, owner, own, f"{{% include '{other}' %}}", idempotency_key=key))
                for one, own, other, key in zip(worlds, ids, reversed(names), keys, strict=True)
            ]
            # Until both have looked at what they include, where neither includes anything yet.
            async with asyncio.timeout(NOT_FOR_EVER):
                while await admin.fetchval(WAITING) < len(calls):  # noqa: ASYNC110 - it waits for the database
                    await asyncio.sleep(0.01)
        ended = await asyncio.gather(*calls, return_exceptions=True)

    (error,) = [one for one in ended if isinstance(one, BaseException)]
    assert isinstance(error, grpc.aio.AioRpcError)
    assert read_refusal(error).reason == "PROMPT_INCLUDE_CYCLE"


@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
async def test_a_label_is_not_put_on_what_includes_it(world: World, *, split: bool) -> None:
    owner = await world.tenant()
    one, other = await make_template(world, owner, "one"), await make_template(world, owner, "other")
    await make_version(world, owner, one, "old")
    await set_label(world, owner, one, "production", "v1.0")
    await make_version(world, owner, other, "then {% include 'one:production' %}")
    await make_version(
        world,
        owner,
        one,
        "{% include 'other' %}",
    )
    targets = [{"version": "v1.0", "weight": 99}, {"version": "v1.1", "weight": 1}] if split else ["v1.1"]

    refusal = await refused(set_label(world, owner, one, "production", *targets))
    staged = await set_label(world, owner, one, "staging", "v1.1")

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "PROMPT_INCLUDE_CYCLE")
    violation = refusal.detail(error_details_pb2.BadRequest).field_violations[0]
    assert (violation.field, violation.description) == ("targets", "includes itself: other -> one:production")
    assert [target.version for target in staged.targets] == ["v1.1"]
    assert (await render(world, owner, one, label="staging")).text == "then old"
    assert (await render(world, owner, one, label="production")).text == "old"


async def test_a_label_is_put_on_what_includes_anothers_of_the_same_name(world: World) -> None:
    owner = await world.tenant()
    one, other = await make_template(world, owner, "one"), await make_template(world, owner, "other")
    await make_version(world, owner, other, "part")
    await set_label(world, owner, other, "production", "v1.0")
    await make_version(world, owner, one, "{% include 'other:production' %} {% include 'other:production' %}")

    await set_label(world, owner, one, "production", "v1.0")

    assert (await render(world, owner, one, label="production")).text == "part part"


async def test_includes_go_no_deeper_than_can_be_rendered(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner, "part0")
    await make_version(world, owner, template_id, "leaf")
    for deep in range(1, 9):
        template_id = await make_template(world, owner, f"part{deep}")
        await make_version(world, owner, template_id, f"{{% include 'part0' %}} {{% include 'part{deep - 1}' %}}")
    assert (await render(world, owner, template_id)).text == " ".join(["leaf"] * 9)

    whole = await make_template(world, owner, "whole")
    refusal = await refused(make_version(world, owner, whole, "{% include 'part0' %}{% include 'part8' %}"))

    assert (refusal.code, refusal.reason, refusal.fields) == (Code.INVALID_ARGUMENT, "PROMPT_SYNTAX_INVALID", ["text"])
    violation = refusal.detail(error_details_pb2.BadRequest).field_violations[0]
    assert violation.description == "includes more than 8 deep: part8"


async def test_nothing_is_included_that_not_everyone_sees(world: World) -> None:
    owner = await world.tenant()
    secret = await make_template(world, owner, "secret", PERSONAL)
    await make_version(world, owner, secret, "secret")
    shared = await make_template(world, owner, "shared", TENANT)
    await make_version(world, owner, shared, "shared")
    platform = await world.platform()
    await make_version(world, platform, await make_template(world, platform, "shared", TENANT), "the platform's")
    everyones = await make_template(world, platform, "everyone's", PUBLIC)
    own = await make_template(world, owner, "own", PERSONAL)

    for person, template_id, included in (
        (owner, shared, "secret"),
        (platform, everyones, "shared"),
        (platform, everyones, secret),
    ):
        refusal = await refused(make_version(world, person, template_id, f"{{% include '{included}' %}}"))
        assert refusal.reason == "PROMPT_INCLUDE_UNKNOWN"
    await make_version(world, owner, own, "{% include 'secret' %} {% include 'shared' %}")
    assert (await render(world, owner, own)).text == "secret shared"


async def test_what_was_its_owners_alone_is_not_included_once_others_see_the_prompt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await world.tenant()
    reader = await world.user(owner)
    for visibility, text in ((PERSONAL, "the owner's"), (TENANT, "everyone's")):
        await make_version(world, owner, await make_template(world, owner, "part", visibility), text)
    own = await make_template(world, owner, "own", PERSONAL)
    await make_version(world, owner, own, "{% include 'part' %}")
    read = store.get

    async def shared_meanwhile(tx: Any, template_id: UUID, version: str) -> Any:
        found = await read(tx, template_id, version)
        monkeypatch.undo()
        request = templates.UpdateTemplateRequest(id=own, visibility=TENANT)
        await world.prompts.UpdateTemplate(request, metadata=owner.metadata)
        return found

    monkeypatch.setattr(store, "get", shared_meanwhile)
    await render(world, owner, own)

    assert (await render(world, reader, own)).text == "everyone's"
