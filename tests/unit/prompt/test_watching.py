"""What is kept of watches that were left: by whom, for how long, how many, and nothing of the templates."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Collection
from contextlib import aclosing, nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal, begin_call
from server.prompt.domain import Template, TemplateNotFound
from server.prompt.service.watching import Event, PromptWatching, _Watch

NOT_FOR_EVER = 20.0
OF_TENANT, OF_ALL = 100, 1_000
NOTHING: Any = None


class Seen:
    """Everyone sees one template, and sees it as it is now: another object each time."""

    def __init__(self, tenant_id: UUID, there: bool) -> None:
        self.id = uuid4()
        self._tenant_id = tenant_id
        self._there = there

    async def template(self, template_id: UUID) -> Template:
        if template_id != self.id or not self._there:
            raise TemplateNotFound(template_id)
        at = datetime.now(UTC)
        fields: Any = (None, "name", None, None, "tenant", None, 0, 1, at, at, None, None)
        return Template(self.id, self._tenant_id, *fields)

    def reading(self, template: Template) -> Any:
        return nullcontext(NoRows())


class NoRows:
    async def fetch(self, *_: Any, **__: Any) -> list[Any]:
        return []


def watching_of(caller: Call, *, there: bool = False, **fields: Any) -> tuple[PromptWatching, Seen]:
    seen: Any = Seen(caller.caller.tenant_id, there)
    return PromptWatching(NOTHING, seen, **fields), seen


async def left(watching: PromptWatching, wanted: Collection[UUID]) -> Event:
    """The last event of a watch that was read up to `synced`, and then left."""
    async with aclosing(watching.watch(wanted)) as events:
        async for event in events:
            if event.news == "synced":
                return event
    raise AssertionError("it ended before it was synced")


async def gone(kind: type, id_: UUID) -> None:
    """Waits until there is no such object any more."""
    async with asyncio.timeout(NOT_FOR_EVER):
        while any(type(one) is kind and one.id == id_ for one in gc.get_objects()):
            await asyncio.sleep(0)
            gc.collect()


async def known(watching: PromptWatching, last: Event, wanted: Collection[UUID]) -> bool:
    """Whether the watch is gone on with. It has nothing new to tell then, and ends."""
    async with aclosing(watching.watch(wanted, last.watch_id, last.seq)) as events:
        return (await anext(events)).watch_id == last.watch_id


async def test_nothing_of_the_templates_is_kept(caller: Call) -> None:
    watching, seen = watching_of(caller, there=True)

    last = await left(watching, [seen.id])

    await gone(Template, seen.id)
    async with aclosing(watching.watch([seen.id], last.watch_id, 0)) as events:
        told = [(await anext(events)).news for _ in range(3)]
    assert told[0] == "reset"
    assert isinstance(told[1], tuple)
    assert told[2] == "synced"


async def test_of_a_tenants_too_many_the_oldest_is_forgotten_and_none_of_another_tenants(caller: Call) -> None:
    watching, seen = watching_of(caller, heartbeat=0)
    of_another, another = await left(watching, [seen.id]), caller.principal
    caller.principal = Principal(uuid4(), uuid4(), uuid4(), frozenset())

    lasts = [await left(watching, [seen.id]) for _ in range(OF_TENANT + 1)]

    assert not await known(watching, lasts[0], [seen.id])  # and what began in its place is the newest, and drives out
    assert not await known(watching, lasts[1], [seen.id])
    assert await known(watching, lasts[-1], [seen.id])
    caller.principal = another
    assert await known(watching, of_another, [seen.id])


async def test_of_all_tenants_too_many_the_oldest_is_forgotten(caller: Call) -> None:
    watching, seen = watching_of(caller, heartbeat=0)
    first, second = [(caller.principal, await left(watching, [seen.id])) for _ in range(2)]

    for count in range(OF_ALL - 1):
        if count % OF_TENANT == 0:
            caller.principal = Principal(uuid4(), uuid4(), uuid4(), frozenset())
        await left(watching, [seen.id])

    caller.principal, last = second
    assert await known(watching, last, [seen.id])
    caller.principal, last = first
    assert not await known(watching, last, [seen.id])


async def test_one_that_was_left_long_ago_is_forgotten_though_nobody_begins_another(caller: Call) -> None:
    watching, seen = watching_of(caller, kept=0, there=True)
    last = await left(watching, [seen.id])

    await gone(_Watch, last.watch_id)


async def test_one_that_is_taken_up_in_time_is_not_forgotten_while_it_is_read(caller: Call) -> None:
    watching, seen = watching_of(caller, heartbeat=0, kept=0)
    last = await left(watching, [seen.id])

    async with aclosing(watching.watch([seen.id], last.watch_id, last.seq)) as events:
        for _ in range(10):
            await anext(events)
            await asyncio.sleep(0)
        again = Call("/test", "request-2", "ab" * 16, "cd" * 8, principal=caller.principal)
        begin_call(again)
        assert await known(watching, Event(last.watch_id, last.seq + 10, "heartbeat"), [seen.id])


async def test_what_was_looked_at_with_rights_that_are_gone_is_not_gone_on_with(caller: Call) -> None:
    watching, seen = watching_of(caller, heartbeat=0)
    principal = caller.caller
    caller.principal = Principal(principal.tenant_id, principal.user_id, None, frozenset({Permission.TEMPLATES_MANAGE}))
    last = await left(watching, [seen.id])

    caller.principal = principal

    assert not await known(watching, last, [seen.id])


async def test_what_an_overtaken_stream_was_about_to_tell_the_other_tells_at_once(caller: Call) -> None:
    watching, seen = watching_of(caller, there=True, heartbeat=10 * NOT_FOR_EVER)
    goes_on, reading = asyncio.Event(), asyncio.Event()
    goes_on.set()
    template = seen.template

    async def slowly(template_id: UUID) -> Template:
        reading.set()
        await goes_on.wait()
        return await template(template_id)

    seen.template = slowly  # type: ignore[method-assign]
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(watching.watch([seen.id])) as first:
        async for last in first:
            if last.news == "synced":
                break
        rest = asyncio.create_task(anext(first))
        await asyncio.sleep(0)
        goes_on.clear()
        reading.clear()
        watching.changed(caller.caller.tenant_id, [seen.id], [])
        await reading.wait()

        async with aclosing(watching.watch([seen.id], last.watch_id, last.seq)) as second:
            told = asyncio.create_task(anext(second))
            for _ in range(10):  # it waits
                await asyncio.sleep(0)
            goes_on.set()
            news = (await told).news
        await rest

    assert isinstance(news, tuple)
