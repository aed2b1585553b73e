"""Changes told as they happen, so that clients can keep what they render."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from server.db.database import Database
from server.kernel.paging import PageRequest
from server.kernel.principal import current_call
from server.prompt.domain import Label, Template, TemplateNotFound
from server.prompt.service.sight import Sight
from server.prompt.store import templates, versions

_HEARTBEAT_SECONDS = 10.0
_PAGE = 200

State = tuple[Template, Sequence[Label]]
Event = State | UUID | Literal["synced", "heartbeat"]
"""A template as it is now; the id of one that is not seen any more; all is told; nothing new."""


@dataclass(eq=False, slots=True)
class _Watcher:
    """Who watches. `changed`: what is still to be told, which a slow reader makes no longer than all there is."""

    tenant_id: UUID
    wanted: Collection[UUID]
    changed: dict[UUID, None] = field(default_factory=dict)
    afresh: bool = True
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class PromptWatching:
    """Tells watchers of the templates that they see."""

    def __init__(self, database: Database, sight: Sight, heartbeat: float = _HEARTBEAT_SECONDS) -> None:
        """`heartbeat`: seconds without a change after which a watcher is told that nothing is new."""
        self._database = database
        self._sight = sight
        self._heartbeat = heartbeat
        self._watchers: set[_Watcher] = set()

    def changed(self, tenant_id: UUID, template_id: UUID) -> None:
        """A template changed."""
        for watcher in self._watchers:
            if template_id in watcher.wanted if watcher.wanted else tenant_id == watcher.tenant_id:
                watcher.changed[template_id] = None
                watcher.woken.set()

    def afresh(self) -> None:
        """Something may have changed that was not told."""
        for watcher in self._watchers:
            watcher.afresh = True
            watcher.woken.set()

    async def watch(self, wanted: Collection[UUID]) -> AsyncGenerator[Event, None]:
        """What is there now, `synced`, and then each change; without end. `wanted`: none is all of the tenant's."""
        watcher = _Watcher(current_call().caller.tenant_id, frozenset(wanted))
        # By when they were changed: what is heard of twice is told once.
        told: dict[UUID, datetime] = {}
        # Before anything is read: what changes meanwhile is told afterwards.
        self._watchers.add(watcher)
        try:
            while True:
                watcher.woken.clear()
                if watcher.afresh:
                    watcher.afresh = False
                    before, told = told, {}
                    async for state in self._present(watcher):
                        told[state[0].id] = state[0].updated_at
                        yield state
                    for gone in before.keys() - told.keys():
                        yield gone
                    yield "synced"
                while watcher.changed and not watcher.afresh:
                    template_id = next(iter(watcher.changed))
                    del watcher.changed[template_id]
                    found = await self._state(template_id)
                    if found is None:
                        if told.pop(template_id, None) is not None:
                            yield template_id
                    elif told.get(template_id) != found[0].updated_at:
                        told[template_id] = found[0].updated_at
                        yield found
                if not watcher.woken.is_set() and not await self._woken(watcher):
                    yield "heartbeat"
        finally:
            self._watchers.discard(watcher)

    async def _woken(self, watcher: _Watcher) -> bool:
        """Whether anything happened within the heartbeat's time."""
        try:
            async with asyncio.timeout(self._heartbeat):
                await watcher.woken.wait()
        except TimeoutError:
            return False
        return True

    async def _present(self, watcher: _Watcher) -> AsyncGenerator[State, None]:
        """All that is there for the watcher; no transaction is open while one of them is taken."""
        if watcher.wanted:
            for template_id in sorted(watcher.wanted):
                state = await self._state(template_id)
                if state is not None:
                    yield state
            return
        caller = current_call().caller
        cursor: UUID | None = None
        while True:
            async with self._database.tenant_tx(watcher.tenant_id) as tx:
                page = await templates.page(tx, PageRequest(_PAGE, cursor), caller.member_id, {}, "exclude")
                labels = await versions.all_labels(tx, [template.id for template in page.items])
            for template in page.items:
                yield template, labels[template.id]
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    async def _state(self, template_id: UUID) -> State | None:
        try:
            template = await self._sight.template(template_id)
        except TemplateNotFound:
            return None
        async with self._database.tenant_tx(template.tenant_id) as tx:
            return template, (await versions.all_labels(tx, [template_id]))[template_id]
