"""Versions of prompts, and what they are rendered to."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import grpc
import pytest

from atrium.prompt.v1 import version_pb2 as versions
from tests.databases import WAITING, Scratch
from tests.factories.prompts import (
    NAME,
    NOT_FOR_EVER,
    get_template,
    make_template,
    make_version,
    render,
)
from tests.factories.world import World, read_refusal, refused
from tests.servers import serving

Code = grpc.StatusCode


async def test_versions_are_numbered_given_and_never_the_same(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    numbers = [(await make_version(world, owner, template_id, text)).version for text in ("one", "two")]
    await make_version(world, owner, template_id, "three", version="v2.0", changelog="Another tone.")
    numbers.append((await make_version(world, owner, template_id, "four")).version)

    assert numbers == ["v1.0", "v1.1", "v2.1"]
    refusal = await refused(make_version(world, owner, template_id, "five", version="v1.1"))
    assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "VERSION_TAKEN")
    request = versions.ListVersionsRequest(template_id=template_id, page_size=2)
    page = await world.prompts.ListVersions(request, metadata=owner.metadata)
    rest = versions.ListVersionsRequest(template_id=template_id, page_size=2, page_token=page.next_page_token)
    last = await world.prompts.ListVersions(rest, metadata=owner.metadata)
    assert [one.version for one in (*page.versions, *last.versions)] == ["v2.1", "v2.0", "v1.1", "v1.0"]
    assert page.versions[1].changelog == "Another tone."
    read = versions.GetVersionRequest(template_id=template_id, version="v1.0")
    assert (await world.prompts.GetVersion(read, metadata=owner.metadata)).version.text == "one"
    assert (await get_template(world, owner, template_id)).template.current_version == "v2.1"


async def test_the_version_after_the_last_of_a_number_begins_the_next(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    await make_version(world, owner, template_id, "one", version="v5.99999")

    assert (await make_version(world, owner, template_id, "two")).version == "v6.0"

    await make_version(world, owner, template_id, "three", version="v99999.99999")
    assert (await refused(make_version(world, owner, template_id, "four"))).reason == "VERSION_TAKEN"


async def test_versions_made_at_once_are_all_made(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)

    made = await asyncio.gather(*(make_version(world, owner, template_id, str(number)) for number in range(8)))

    assert sorted(one.version for one in made) == [f"v1.{number}" for number in range(8)]
    twins = [make_version(world, owner, template_id, "x", version="v5.0") for _ in range(4)]
    ended = await asyncio.gather(*twins, return_exceptions=True)
    codes = Counter(one.code() if isinstance(one, grpc.aio.AioRpcError) else "made" for one in ended)
    assert codes == {"made": 1, Code.ALREADY_EXISTS: 3}


@pytest.mark.parametrize(
    ("name", "made", "refusals"), [("", ["v1.0", "v1.1"], []), ("v5.0", ["v5.0"], ["VERSION_TAKEN"])]
)
async def test_versions_made_at_once_by_two_servers_are_two_or_one_and_a_conflict(
    world: World, scratch: Scratch, admin: Any, name: str, made: list[str], refusals: list[str]
) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)

    # In one process they come one after the other.
    async with serving(scratch.settings()) as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        worlds = (world, World(channel, ("", "")))
        async with scratch.connect() as holder, holder.transaction():
            await holder.execute("SELECT FROM prompt_templates WHERE id = $1 FOR UPDATE", UUID(template_id))
            calls = [
                asyncio.create_task(make_version(one, owner, template_id, text, version=name))
                for one, text in zip(worlds, ("one", "two"), strict=True)
            ]
            async with asyncio.timeout(NOT_FOR_EVER):
                while await admin.fetchval(WAITING) < len(calls):  # noqa: ASYNC110 - it waits for the database
                    await asyncio.sleep(0.01)
        ended = await asyncio.gather(*calls, return_exceptions=True)

    assert sorted(one.version for one in ended if not isinstance(one, BaseException)) == made
    assert [read_refusal(one).reason for one in ended if isinstance(one, grpc.aio.AioRpcError)] == refusals


async def test_a_version_that_is_asked_for_twice_with_one_key_is_made_once(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)

    made = [await make_version(world, owner, template_id, "x", idempotency_key="key") for _ in range(2)]

    assert made[0] == made[1]


async def test_a_conversation_is_bounded_as_a_text_is(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    turn = versions.PromptMessage(role=versions.PromptMessage.ROLE_USER, content="x" * 65_536)
    request = versions.CreateVersionRequest(template_id=template_id, messages=[turn] * 3)

    refusal = await refused(world.prompts.CreateVersion(request, metadata=owner.metadata))

    assert (refusal.reason, refusal.fields) == ("PROMPT_SYNTAX_INVALID", ["messages"])


async def test_equal_versions_have_equal_hashes(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    one, other, third = [await make_version(world, owner, template_id, text) for text in ("a", "a", "b")]

    assert one.content_hash == other.content_hash != third.content_hash
    assert len(one.content_hash) == 64


async def test_a_chat_prompt_is_rendered_turn_by_turn_with_its_settings(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
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

    rendered = await render(world, owner, template_id, variables={"n": 41})

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
        ("{{ '\\x00' }}", {}, "PROMPT_SYNTAX_INVALID", "text"),
        ("{{ {}['\\ud800'] }}", {}, "PROMPT_SYNTAX_INVALID", "text"),
        ("{% include 'nothing' %}", {}, "PROMPT_INCLUDE_UNKNOWN", "text"),
        ("{% include 'greeting' %}", {}, "PROMPT_INCLUDE_CYCLE", "text"),
    ],
)
async def test_a_version_that_could_not_be_rendered_is_not_made(
    world: World, text: str, variables: dict[str, Any], reason: str, field: str
) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    await make_version(world, owner, template_id, "before")

    refusal = await refused(make_version(world, owner, template_id, text))

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
    template_id = await make_template(world, owner)
    await make_version(world, owner, template_id, text, variables=[NAME])

    refusal = await refused(render(world, owner, template_id, variables=variables))

    assert (refusal.code, refusal.reason, refusal.fields) == (Code.INVALID_ARGUMENT, reason, [field])


@pytest.mark.parametrize("number", [1e16, 1.2345678901234568e17, 1e19, -1e17, 1e300])
async def test_a_default_is_rendered_as_it_was_declared_however_large(world: World, number: float) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    kind = versions.PromptVariable
    many = {"list_value": {"values": [{"number_value": number}]}}
    variables = [
        kind(name="n", type=kind.TYPE_NUMBER, default={"number_value": number}),
        kind(name="many", type=kind.TYPE_LIST, default=many),
    ]
    await make_version(world, owner, template_id, "{{ n }} {{ many|join }}", variables=variables)

    assert (await render(world, owner, template_id)).text == f"{number} {number}"


def _long_defaults(*lengths: int) -> list[versions.PromptVariable]:
    """Variables whose defaults are lists of so many numbers."""
    made = versions.PromptVariable
    return [
        made(
            name=f"v{place}",
            type=made.TYPE_LIST,
            default={"list_value": {"values": [{"number_value": 0.5}] * length}},
        )
        for place, length in enumerate(lengths)
    ]


async def test_defaults_are_bounded_together(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)

    refusal = await refused(make_version(world, owner, template_id, "x", variables=_long_defaults(20_000, 20_000, 5)))

    assert (refusal.reason, refusal.fields) == ("PROMPT_VARIABLES_INVALID", ["variables[1].default"])


async def test_long_defaults_are_not_bound_where_all_calls_are_served(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    required = versions.PromptVariable(name="n", type=versions.PromptVariable.TYPE_INTEGER, required=True)
    variables = [*_long_defaults(10_000, 10_000), required]
    await make_version(world, owner, template_id, "{{ v0|length + n }}", variables=variables)
    monkeypatch.delattr("server.prompt.service.work.bind")  # which is another's in another process

    refusal = await refused(render(world, owner, template_id))

    assert (refusal.reason, refusal.fields) == ("PROMPT_VARIABLES_INVALID", ["variables.n"])
    assert (await render(world, owner, template_id, variables={"n": 1})).text == "10001"


async def test_the_difference_of_two_versions(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    await make_version(world, owner, template_id, "Hello\nWorld\n", settings={"temperature": 0.5})
    await make_version(world, owner, template_id, "Hello\nAda\n", settings={"temperature": 0.7})
    request = pb_diff(template_id, "v1.0", "v1.1")

    found = await world.prompts.DiffVersions(request, metadata=owner.metadata)

    assert found.content_diff == "--- v1.0\n+++ v1.1\n@@ -1,2 +1,2 @@\n Hello\n-World\n+Ada\n"
    assert '-    "temperature": 0.5' in found.settings_diff
    refusal = await refused(world.prompts.DiffVersions(pb_diff(template_id, "v1.0", "v9.9"), metadata=owner.metadata))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "VERSION_NOT_FOUND")


def pb_diff(template_id: str, old: str, new: str) -> versions.DiffVersionsRequest:
    return versions.DiffVersionsRequest(template_id=template_id, from_version=old, to_version=new)


async def test_a_template_without_a_version_cannot_be_used_yet(world: World) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)

    for fields in ({}, {"label": "production"}):
        refusal = await refused(render(world, owner, template_id, **fields))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "TEMPLATE_WITHOUT_VERSION")
    refusal = await refused(render(world, owner, template_id, version="v1.0"))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "VERSION_NOT_FOUND")


async def test_whoever_comes_at_once_is_answered_where_nothing_is_compiled_yet(world: World, scratch: Scratch) -> None:
    ann = await world.tenant()
    template_id = await make_template(world, ann, "new")
    many = versions.PromptVariable(name="many", type=versions.PromptVariable.TYPE_LIST)
    await make_version(world, ann, template_id, "{% for n in many %}{{ n }}{% endfor %}", variables=[many])
    long = {"many": [*range(600)]}  # more than is rendered where calls are served

    async with serving(scratch.settings()) as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        other = World(channel, ("", ""))
        short, much = [
            await asyncio.gather(*(render(other, ann, template_id, variables=values) for _ in range(count)))
            for count, values in ((100, {"many": [1, 2]}), (40, long))
        ]

    assert {reply.text for reply in short} == {"12"}
    assert {reply.text for reply in much} == {"".join(map(str, range(600)))}
