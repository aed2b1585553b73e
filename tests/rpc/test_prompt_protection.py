"""What a protected label stands for is changed by whoever may move it, and through what it includes by nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.prompt.v1 import label_pb2
from atrium.prompt.v1 import template_pb2 as templates
from tests.databases import Scratch, somebody_waits
from tests.factories.prompts import PERSONAL, Watch, get_template, make_template, make_version, render, set_label
from tests.factories.world import Person, World, refused

Code = grpc.StatusCode


async def _made(world: World, person: Person, name: str, *texts: str) -> str:
    """A template with these versions."""
    template_id = await make_template(world, person, name)
    for text in texts:
        await make_version(world, person, template_id, text)
    return template_id


async def _denied(change: Awaitable[Any]) -> None:
    refusal = await refused(change)
    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert refusal.detail(error_details_pb2.ErrorInfo).metadata["permission"] == "prompt_labels:manage"


def _rename(world: World, person: Person, template_id: str, name: str) -> Any:
    request = templates.UpdateTemplateRequest(id=template_id, name=name)
    return world.prompts.UpdateTemplate(request, metadata=person.metadata)


def _delete(world: World, person: Person, template_id: str) -> Any:
    return world.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=template_id), metadata=person.metadata)


def _restore(world: World, person: Person, template_id: str) -> Any:
    return world.prompts.RestoreTemplate(templates.RestoreTemplateRequest(id=template_id), metadata=person.metadata)


def _remove_label(world: World, person: Person, template_id: str, label: str) -> Any:
    request = label_pb2.RemoveLabelRequest(template_id=template_id, label=label)
    return world.prompts.RemoveLabel(request, metadata=person.metadata)


@pytest.fixture
async def owner(world: World) -> Person:
    return await world.tenant()


@pytest.fixture
async def editor(world: World, owner: Person) -> Person:
    return await world.user(owner, "templates:manage")


async def test_what_is_included_as_it_is_newest_gets_no_version_without_that_permission(
    world: World, owner: Person, editor: Person
) -> None:
    inner = await _made(world, owner, "inner", "safe")
    outer = await _made(world, owner, "outer", "{% include 'inner' %}")
    await make_version(world, editor, inner, "still safe")
    await set_label(world, owner, outer, "production", "v1.0", protected=True)

    await _denied(make_version(world, editor, inner, "changed"))

    assert (await render(world, editor, outer, label="production")).text == "still safe"
    await make_version(world, owner, inner, "changed by one who may")
    assert (await render(world, editor, outer, label="production")).text == "changed by one who may"


async def test_a_label_that_is_protected_just_before_is_protected(
    world: World, owner: Person, editor: Person, scratch: Scratch
) -> None:
    inner = await _made(world, owner, "inner", "safe")
    outer = await _made(world, owner, "outer", "{% include 'inner' %}")
    await set_label(world, owner, outer, "production", "v1.0")
    async with scratch.connect(scratch.owner_url) as other:
        transaction = other.transaction()
        await transaction.start()
        place = f"hashtextextended('includes of {owner.tenant_id}', 0)"
        await other.execute(f"SELECT pg_advisory_xact_lock({place})")
        change = asyncio.ensure_future(make_version(world, editor, inner, "changed"))
        await somebody_waits(other)
        await other.execute("UPDATE prompt_labels SET protected = true")
        await transaction.commit()

    await _denied(change)


async def test_those_who_wait_for_what_a_label_stands_for_leave_connections_to_others(
    world: World, owner: Person, editor: Person, scratch: Scratch
) -> None:
    other = await world.tenant()
    theirs = await make_template(world, other)
    many = [await make_template(world, owner, f"template{number}") for number in range(6)]
    async with scratch.connect(scratch.owner_url) as holder, holder.transaction():
        place = f"hashtextextended('includes of {owner.tenant_id}', 0)"
        await holder.execute(f"SELECT pg_advisory_xact_lock({place})")
        changes = [asyncio.ensure_future(make_version(world, editor, one, "x")) for one in many]
        await somebody_waits(holder)
        for _ in range(50):  # of which the changes would have taken every connection meanwhile
            await get_template(world, other, theirs)

    assert {(await change).version for change in changes} == {"v1.0"}


async def test_however_far_and_by_whatever_way_it_is_included(world: World, owner: Person, editor: Person) -> None:
    inner = await _made(world, owner, "inner", "safe")
    middle = await _made(world, owner, "middle", f"{{% include '{inner}' %}}", "nothing")
    for label in ("staging", "other"):
        await set_label(world, editor, middle, label, "v1.0")
    outer = await _made(world, owner, "outer", "nothing", "{% if false %}{% include 'middle:staging' %}{% endif %}")
    shares = [label_pb2.LabelTarget(version=version, weight=1) for version in ("v1.0", "v1.1")]
    await set_label(world, owner, outer, "production", *shares, protected=True)

    for change in (
        make_version(world, editor, inner, "changed"),
        set_label(world, editor, middle, "staging", "v1.1"),
        _remove_label(world, editor, middle, "staging"),
        _rename(world, editor, middle, "another"),
        _rename(world, editor, inner, "another"),
        _delete(world, editor, inner),
    ):
        await _denied(change)

    await set_label(world, editor, middle, "other", "v1.1")
    await make_version(world, editor, middle, "newer than what the label is on")
    await make_version(world, editor, outer, "newer than what the label is on")


async def test_what_is_included_as_it_is_for_ever_is_free_to_get_others(
    world: World, owner: Person, editor: Person
) -> None:
    inner = await _made(world, owner, "inner", "safe")
    draft = await _made(world, owner, "draft", "of another version")
    outer = await _made(world, owner, "outer", "{% include 'inner@v1.0' %}", "{% include 'draft' %}")
    await set_label(world, owner, outer, "production", "v1.0", protected=True)

    await make_version(world, editor, inner, "newer")
    await set_label(world, editor, inner, "staging", "v1.1")
    await make_version(world, editor, draft, "newer")
    await _delete(world, editor, draft)
    await _denied(_rename(world, editor, inner, "another"))

    assert (await render(world, editor, outer, label="production")).text == "safe"


async def test_an_id_is_the_same_however_it_is_written(world: World, owner: Person, editor: Person) -> None:
    inner = await _made(world, owner, "inner", "safe")
    outer = await _made(world, owner, "outer", f"{{% include '{inner.upper()}' %}}")
    await set_label(world, owner, outer, "production", "v1.0", protected=True)
    watch = Watch(world, owner, outer)
    await watch.synced()

    await _denied(make_version(world, editor, inner, "changed"))
    await make_version(world, owner, inner, "changed by one who may")

    assert (await watch.next()).changed.template.id == outer
    assert (await render(world, editor, outer, label="production")).text == "changed by one who may"
    watch.stream.cancel()
    refusal = await refused(make_version(world, owner, inner, f"{{% include '{inner.upper()}' %}}"))
    assert refusal.reason == "PROMPT_INCLUDE_CYCLE"


async def test_nothing_takes_the_place_of_what_is_included(world: World, owner: Person, editor: Person) -> None:
    inner = await _made(world, owner, "inner", "safe")
    outer = await _made(world, owner, "outer", "{% include 'inner@v1.0' %}")
    await set_label(world, owner, outer, "production", "v1.0", protected=True)
    await _delete(world, owner, inner)
    another = await _made(world, owner, "another")

    await _denied(make_template(world, editor, "inner"))
    await _denied(_rename(world, editor, another, "inner"))
    await _denied(_restore(world, editor, inner))

    await make_template(world, editor, "inner", PERSONAL)  # which nobody's shared prompt finds
    made = await make_template(world, owner, "inner")
    await _denied(make_version(world, editor, made, "changed", version="v1.0"))
    await make_version(world, editor, made, "of another name", version="v2.0")


async def test_a_personal_prompt_finds_its_owners_first(world: World, owner: Person, editor: Person) -> None:
    await _made(world, owner, "inner", "safe")
    own = await make_template(world, editor, "own", PERSONAL)
    await make_version(world, editor, own, "{% include 'inner' %}")
    await set_label(world, owner, own, "production", "v1.0", protected=True)

    await _denied(make_template(world, editor, "inner", PERSONAL))

    await make_template(world, owner, "inner", PERSONAL)
    assert (await render(world, editor, own, label="production")).text == "safe"
