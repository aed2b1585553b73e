"""Watches of prompts: what is told, in which order, and what is told of it after an interruption."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from time import monotonic
from typing import Any
from uuid import uuid4

import grpc
import pytest

from atrium.identity.v1 import role_pb2
from atrium.prompt.v1 import template_pb2 as templates
from server.db.database import Database
from server.kernel.principal import Call
from server.prompt.domain import TooManyPromptWatches
from server.prompt.service.sight import Sight
from server.prompt.service.watching import PromptWatching
from tests.databases import Scratch
from tests.factories.prompts import (
    NOT_FOR_EVER,
    PERSONAL,
    PUBLIC,
    Watch,
    make_template,
    make_version,
    render,
    set_label,
)
from tests.factories.world import World
from tests.promptly import within
from tests.servers import serving

Code = grpc.StatusCode
TOLD_WITHIN = 5.0

pytestmark = pytest.mark.usefixtures("patient_listener")


async def test_a_watch_tells_what_there_is_and_then_each_change(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    template_id = await make_template(world, owner)
    await make_template(world, owner, "mine", PERSONAL)
    colleague = await world.user(owner)
    watch = Watch(world, colleague)

    assert await watch.synced() == ["greeting"]
    await make_template(world, other, "of another")
    await make_version(world, owner, template_id, "first")
    assert (await watch.next()).changed.template.current_version == "v1.0"
    await set_label(world, owner, template_id, "production", "v1.0")
    changed = (await watch.next()).changed
    assert [(label.label, label.targets[0].version) for label in changed.labels] == [("production", "v1.0")]
    hide = templates.UpdateTemplateRequest(id=template_id, visibility=PERSONAL)
    await world.prompts.UpdateTemplate(hide, metadata=owner.metadata)
    assert (await watch.next()).removed_id == template_id
    watch.stream.cancel()


async def test_a_watch_of_named_templates_tells_of_these_alone_and_of_public_ones_too(world: World) -> None:
    platform, other = await world.platform(), await world.tenant()
    public, unnamed = [await make_template(world, platform, name, PUBLIC) for name in ("p", "u")]
    watch = Watch(world, other, public, str(uuid4()))

    assert await watch.synced() == ["p"]
    await make_version(world, platform, unnamed, "x")
    await make_version(world, platform, public, "x")
    changed = (await watch.next()).changed.template
    assert (changed.id, changed.current_version, changed.owner_user_id) == (public, "v1.0", "")
    await world.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=public), metadata=platform.metadata)
    assert (await watch.next()).removed_id == public
    watch.stream.cancel()


async def test_a_watch_tells_of_a_template_when_what_it_includes_changes(world: World) -> None:
    owner = await world.tenant()
    leaf, middle, whole = [await make_template(world, owner, name) for name in ("leaf", "middle", "whole")]
    for text in ("first", "second"):
        await make_version(world, owner, leaf, text)
    await set_label(world, owner, leaf, "production", "v1.0")
    await make_version(world, owner, middle, "{% include 'leaf:production' %}")
    await make_version(world, owner, whole, f"{{% include '{middle}' %}}")
    watch = Watch(world, owner, whole)
    await watch.synced()
    rename = templates.UpdateTemplateRequest(id=leaf, name="another")
    back = templates.UpdateTemplateRequest(id=leaf, name="leaf")

    for change in (
        lambda: set_label(world, owner, leaf, "production", "v1.1"),
        lambda: make_version(world, owner, middle, "{% include 'leaf' %}"),
        lambda: make_version(world, owner, leaf, "third"),
        lambda: world.prompts.UpdateTemplate(rename, metadata=owner.metadata),
        lambda: world.prompts.UpdateTemplate(back, metadata=owner.metadata),
        lambda: world.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=leaf), metadata=owner.metadata),
    ):
        await change()
        assert (await watch.next()).changed.template.id == whole
    watch.stream.cancel()


@pytest.mark.parametrize("named", [False, True], ids=["all", "named"])
async def test_a_watch_follows_what_its_reader_may_see(world: World, named: bool) -> None:
    await within(TOLD_WITHIN, lambda: _follows(world, named=named))


async def _follows(world: World, *, named: bool) -> float:
    """How long it took to tell what the reader may not see any more, or what they may see again."""
    owner = await world.tenant()
    manager = await world.user(owner)
    role = await world.role(owner, "templates:manage")
    held = {"user_id": manager.id, "role_id": role.id}
    await world.identity.AssignRole(role_pb2.AssignRoleRequest(**held), metadata=owner.metadata)
    mine, common = await make_template(world, owner, "mine", PERSONAL), await make_template(world, owner, "common")
    watch = Watch(world, manager, *((mine, common) if named else ()))
    assert sorted(await watch.synced()) == ["common", "mine"]

    await world.identity.UnassignRole(role_pb2.UnassignRoleRequest(**held), metadata=owner.metadata)
    lost_at = monotonic()
    async with asyncio.timeout(NOT_FOR_EVER):
        assert (await watch.next()).removed_id == mine
    took = monotonic() - lost_at
    await make_version(world, owner, mine, "x")
    await make_version(world, owner, common, "x")
    assert (await watch.next()).changed.template.id == common
    resumed = Watch(world, manager, *((mine, common) if named else ()), watch_id=watch.id, after_seq=watch.seqs[-1])
    assert (await watch.next()).HasField("ended")

    await world.identity.AssignRole(role_pb2.AssignRoleRequest(**held), metadata=owner.metadata)
    given_at = monotonic()
    async with asyncio.timeout(NOT_FOR_EVER):
        assert (await resumed.next()).changed.template.id == mine
    took = max(took, monotonic() - given_at)
    assert resumed.seqs[0] == watch.seqs[-1]
    resumed.stream.cancel()
    return took


async def test_a_watch_is_resumed_after_the_last_event_that_came(world: World) -> None:
    owner = await world.tenant()
    first, second = [await make_template(world, owner, name) for name in ("first", "second")]
    before = Watch(world, owner)
    await before.synced()
    await make_version(world, owner, first, "x")
    await before.next()
    await make_version(world, owner, second, "x")
    await before.next()
    before.stream.cancel()
    gone = await make_template(world, owner, "gone")
    await world.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=second), metadata=owner.metadata)

    after = Watch(world, owner, watch_id=before.id, after_seq=before.seqs[-2])
    told = [await after.next(), await after.next()]
    await make_version(world, owner, first, "y")
    told.append(await after.next())

    assert before.seqs == list(range(1, before.seqs[-1] + 1))
    assert after.seqs == list(range(before.seqs[-1], before.seqs[-1] + 3))
    assert after.id == before.id
    assert {one.removed_id or one.changed.template.id for one in told[:2]} == {second, gone}
    assert told[2].changed.template.id == first
    after.stream.cancel()


async def test_a_watch_that_is_not_known_any_more_begins_with_everything(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    await make_template(world, owner)
    known = Watch(world, owner)
    await known.synced()
    last = known.seqs[-1]

    for person, wanted, watch_id, after_seq in (
        (owner, (), str(uuid4()), 1),
        (owner, (), known.id, last + 1),
        (owner, (str(uuid4()),), known.id, last),
        (other, (), known.id, last),
    ):
        watch = Watch(world, person, *wanted, watch_id=watch_id, after_seq=after_seq)
        assert (await watch.next()).HasField("reset")
        assert await watch.synced() == (["greeting"] if person is owner and not wanted else [])
        assert watch.id != watch_id
        assert watch.seqs == list(range(1, len(watch.seqs) + 1))
        watch.stream.cancel()
    known.stream.cancel()


async def test_a_watch_has_one_stream_and_each_stream_one_end(world: World) -> None:
    owner = await world.tenant()
    first = Watch(world, owner)
    await first.synced()

    second = Watch(world, owner, watch_id=first.id, after_seq=first.seqs[-1])
    end = await first.next()

    assert end.HasField("ended")
    assert first.seqs == list(range(1, len(first.seqs) + 1))
    with pytest.raises(StopAsyncIteration):
        await first.event()
    template_id = await make_template(world, owner)
    assert (await second.next()).changed.template.id == template_id
    second.stream.cancel()


async def test_what_changed_while_the_listener_was_cut_is_told_after_a_reset(world: World, admin: Any) -> None:
    owner = await world.tenant()
    template_id = await make_template(world, owner)
    watch = Watch(world, owner)
    await watch.synced()

    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'atrium listener' AND datname = current_database()"
    )
    await make_version(world, owner, template_id, "x")
    # Whether the listener is back before the change or after it, both are told of: the gap, and what is there now.
    kinds, version = set[str](), ""
    while not ({"reset", "synced"} <= kinds and version == "v1.0"):
        event = await watch.next()
        kinds.add(event.WhichOneof("event"))
        version = event.changed.template.current_version or version

    assert watch.seqs == list(range(1, len(watch.seqs) + 1))
    watch.stream.cancel()


async def test_an_idle_watch_is_told_that_the_server_is_there(database: Database, caller: Call) -> None:
    watching = PromptWatching(database, Sight(database), heartbeat=0)

    async with aclosing(watching.watch([])) as events:
        told = [await anext(events) for _ in range(4)]

    assert [(event.seq, event.news) for event in told] == list(enumerate(["synced", *["heartbeat"] * 3], start=1))


async def test_a_watch_whose_time_is_over_ends_and_is_resumed_behind_its_end(database: Database, caller: Call) -> None:
    watching = PromptWatching(database, Sight(database), life=0)

    first = [event async for event in watching.watch([])]
    second = [event async for event in watching.watch([], first[-1].watch_id, first[-1].seq)]

    assert [(event.seq, event.news) for event in (*first, *second)] == [(1, "synced"), (2, "ended"), (3, "ended")]


async def test_so_many_may_watch_a_tenants_prompts_at_once(
    database: Database, caller: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.prompt.service.watching._MOST_OPEN", 1)
    watching = PromptWatching(database, Sight(database))
    async with aclosing(watching.watch([])) as first:
        await anext(first)

        with pytest.raises(TooManyPromptWatches):
            await anext(watching.watch([]))

    async with aclosing(watching.watch([])) as again:
        assert (await anext(again)).news == "synced"


async def test_a_deployment_on_one_server_holds_on_every_other(scratch: Scratch) -> None:
    async with AsyncExitStack() as stack:
        worlds = []
        for _ in range(2):
            app, port = await stack.enter_async_context(serving(scratch.settings()))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            worlds.append(World(channel, await app.founding.first_platform_administrator() or ("", "")))
        here, there = worlds
        owner = await here.tenant()
        template_id = await make_template(here, owner)
        for text in ("first", "second"):
            await make_version(here, owner, template_id, text)
        await set_label(here, owner, template_id, "production", "v1.0")
        watch = Watch(there, owner)
        await watch.synced()
        assert (await render(there, owner, template_id, label="production")).text == "first"

        await set_label(here, owner, template_id, "production", "v1.1")

        assert (await watch.next()).changed.labels[0].targets[0].version == "v1.1"
        assert (await render(there, owner, template_id, label="production")).text == "second"
        watch.stream.cancel()
