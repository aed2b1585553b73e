"""Changes told as they happen, so that clients can keep what they render."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Literal
from uuid import UUID, uuid4

from server.db.database import Database
from server.kernel.paging import PageRequest
from server.kernel.principal import Principal, current_call
from server.kernel.watches import Watches
from server.prompt.domain import Label, Template, TemplateNotFound, TooManyPromptWatches, manages
from server.prompt.service.sight import Sight, shown
from server.prompt.store import templates, versions

_HEARTBEAT_SECONDS = 10.0
_LIFE_SECONDS = 3_500.0
"""After which a watch ends by itself, before the server's ceiling ends it."""

_KEPT_SECONDS = 300.0
_MOST_KEPT = 1_000
_MOST_KEPT_OF_TENANT = 100
"""How long, and how many of, the watches that were left can be taken up again: of all tenants, and of each."""

_MOST_OPEN = 200
"""Streams of a tenant, in a process."""

_MOST_SENT = 1_000
_PAGE = 200
_NEVER = datetime.min.replace(tzinfo=UTC)

State = tuple[Template, Sequence[Label]]
Word = Literal["reset", "synced", "heartbeat", "ended"]
News = State | UUID | Word
"""A template as it is now; the id of one that is not seen any more; and by their words what the API's events are."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a watch, and its number in it."""

    watch_id: UUID
    seq: int
    news: News


@dataclass(eq=False, slots=True)
class _Watch:
    """What somebody watches, and what they were told; `stream`: who reads it at present."""

    # As they were when it was last looked at what they see.
    caller: Principal
    wanted: frozenset[UUID]
    id: UUID = field(default_factory=uuid4)
    # What is still to be told, which a slow reader makes no longer than all there is: in any case, or only where the
    # template is another than the one that was told.
    changed: dict[UUID, bool] = field(default_factory=dict)
    # By when they were changed: what is heard of twice is told once.
    told: dict[UUID, datetime] = field(default_factory=dict)
    # What the last events were, up to `seq`: of a template its id alone, since what is told again is read again.
    sent: deque[UUID | Word] = field(default_factory=lambda: deque(maxlen=_MOST_SENT))
    seq: int = 0
    afresh: bool = True
    synced: bool = False
    # Whether something was told that a reader may have kept.
    begun: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    stream: object = None

    def hears(self, tenant_id: UUID, template_id: UUID) -> bool:
        return template_id in self.wanted if self.wanted else tenant_id == self.caller.tenant_id

    def is_of(self, caller: Principal, wanted: frozenset[UUID]) -> bool:
        """Whether it is what this caller would be told now, had they asked for these."""
        same = ("tenant_id", "home", "user_id", "permissions")
        return wanted == self.wanted and all(getattr(caller, name) == getattr(self.caller, name) for name in same)

    def begin_afresh(self) -> None:
        self.afresh = True
        self.woken.set()

    def event(self, news: News) -> Event:
        """The next one."""
        self.seq += 1
        self.sent.append(news[0].id if isinstance(news, tuple) else news)
        return Event(self.id, self.seq, news)

    def go_back(self, seq: int) -> bool:
        """Has the reader told again what came after that event; False where that is not known any more."""
        untold = self.seq - seq
        if not self.synced or not 0 <= untold <= len(self.sent):
            return False
        for _ in range(untold):
            match self.sent.pop():
                case UUID() as template_id:
                    self.told[template_id] = _NEVER
                    self.changed[template_id] = True
                case "reset" | "synced":
                    self.begin_afresh()
        self.seq = seq
        return True


class PromptWatching:
    """Tells watchers of the templates that they see."""

    def __init__(
        self,
        database: Database,
        sight: Sight,
        heartbeat: float = _HEARTBEAT_SECONDS,
        life: float = _LIFE_SECONDS,
        kept: float = _KEPT_SECONDS,
    ) -> None:
        """`heartbeat`: seconds without a change after which a watcher is told that nothing is new. `life`: seconds
        after which a stream ends. `kept`: seconds after which a watch that was left is forgotten.
        """
        self._database = database
        self._sight = sight
        self._heartbeat = heartbeat
        self._life = life
        self._kept = kept
        self._watches: dict[UUID, _Watch] = {}
        self._open = Watches(_MOST_OPEN, TooManyPromptWatches, "watches of prompts at once")
        # Those that nobody reads at present, the oldest first, and what forgets each when its time is over.
        self._left: dict[_Watch, asyncio.TimerHandle] = {}

    def changed(self, tenant_id: UUID, template_ids: Sequence[UUID], dependants: Sequence[UUID]) -> None:
        """Templates changed, and what these others include."""
        told: Mapping[UUID, bool] = dict.fromkeys(template_ids, False) | dict.fromkeys(dependants, True)
        for watch in self._watches.values():
            for template_id, in_any_case in told.items():
                if watch.hears(tenant_id, template_id):
                    watch.changed[template_id] = in_any_case or watch.changed.get(template_id, False)
                    watch.woken.set()

    def afresh(self) -> None:
        """Something may have changed that was not told."""
        for watch in self._watches.values():
            watch.begin_afresh()

    async def watch(
        self, wanted: Collection[UUID], watch_id: UUID | None = None, after_seq: int = 0
    ) -> AsyncGenerator[Event, None]:
        """What is there now, `synced`, and then each change; with `ended` at last.

        `wanted`: none is all of the tenant's. `watch_id`, `after_seq`: what was watched before, and the last event that
        came of it: where it is not known any more, this begins with `reset`.
        """
        with self._open.one_more(current_call().caller.tenant_id):
            watch = self._taken_up(frozenset(wanted), watch_id, after_seq)
            watch.stream = stream = object()
            watch.woken.set()  # whoever read it before
            current_call().renewed = watch.woken.set
            last = after_seq
            try:
                async for news in self._told(watch, stream):
                    event = watch.event(news)
                    last = event.seq
                    yield event
                # Of a watch that another stream has taken up, the numbers are that stream's.
                yield watch.event("ended") if watch.stream is stream else Event(watch.id, last + 1, "ended")
            finally:
                if watch.stream is stream:
                    watch.stream = None
                    self._leave(watch)

    async def _told(self, watch: _Watch, stream: object) -> AsyncGenerator[News, None]:
        """What is told until this stream's time is over, or another takes the watch up."""
        ends_at = monotonic() + self._life
        while watch.stream is stream:
            watch.woken.clear()
            if watch.afresh:
                async for news in self._all(watch):
                    yield news
            while not watch.afresh:
                if watch.caller.permissions != current_call().caller.permissions:
                    await self._look_anew(watch, stream)
                if not watch.changed:
                    break
                found = await self._news(watch, stream)
                if watch.stream is not stream:
                    return
                if found is not None:
                    yield found
            left = ends_at - monotonic()
            if left <= 0:
                return
            idle = not watch.woken.is_set() and not await _woken(watch, min(self._heartbeat, left))
            if idle and watch.stream is stream:
                yield "heartbeat"

    def _taken_up(self, wanted: frozenset[UUID], watch_id: UUID | None, after_seq: int) -> _Watch:
        """The caller's watch of before, where it can be gone on with; and otherwise a new one."""
        caller = current_call().caller
        known = self._watches.get(watch_id) if watch_id else None
        if known and known.is_of(caller, wanted) and known.go_back(after_seq):
            if known in self._left:
                self._left.pop(known).cancel()
            return known
        # Before anything is read: what changes meanwhile is told afterwards.
        watch = _Watch(caller, wanted, begun=watch_id is not None)
        self._watches[watch.id] = watch
        return watch

    def _leave(self, watch: _Watch) -> None:
        """Keeps it for whoever takes it up again; where there are too many, the oldest makes room."""
        self._left[watch] = asyncio.get_running_loop().call_later(self._kept, self._forget, watch)
        of_tenant = [one for one in self._left if one.caller.tenant_id == watch.caller.tenant_id]
        if len(of_tenant) > _MOST_KEPT_OF_TENANT:
            self._forget(of_tenant[0])
        elif len(self._left) > _MOST_KEPT:
            self._forget(next(iter(self._left)))

    def _forget(self, watch: _Watch) -> None:
        self._left.pop(watch).cancel()
        del self._watches[watch.id]

    async def _all(self, watch: _Watch) -> AsyncGenerator[News, None]:
        """All there is, between `reset`, where something was told before, and `synced`."""
        watch.afresh = watch.synced = False
        watch.caller = current_call().caller
        begun, watch.begun = watch.begun, True
        if begun:
            yield "reset"
        watch.told.clear()
        async for state in self._present(watch):
            watch.told[state[0].id] = state[0].updated_at
            yield state
        watch.synced = True
        yield "synced"

    async def _look_anew(self, watch: _Watch, stream: object) -> None:
        """The caller may do other things than before: has them told what they see now and did not, and the other way
        round.
        """
        caller = current_call().caller
        seen = {template.id async for template, _ in self._present(watch)}
        if watch.stream is not stream:
            return
        for template_id in seen ^ watch.told.keys():
            watch.changed.setdefault(template_id, False)
        watch.caller = caller

    async def _news(self, watch: _Watch, stream: object) -> State | UUID | None:
        """What there is to tell of the next template that changed."""
        template_id, in_any_case = next(iter(watch.changed.items()))
        del watch.changed[template_id]
        found, read = None, False
        try:
            found = await self._state(template_id)
            read = watch.stream is stream
        finally:
            if not read:  # it is for whoever takes the watch up, or has
                watch.changed[template_id] = True
                watch.woken.set()
        if not read:
            return None
        if found is None:
            return None if watch.told.pop(template_id, None) is None else template_id
        if watch.told.get(template_id) == found[0].updated_at and not in_any_case:
            return None
        watch.told[template_id] = found[0].updated_at
        return found

    async def _present(self, watch: _Watch) -> AsyncGenerator[State, None]:
        """All that is there for the watcher; no transaction is open while one of them is taken."""
        if watch.wanted:
            for template_id in sorted(watch.wanted):
                state = await self._state(template_id)
                if state is not None:
                    yield state
            return
        cursor: UUID | None = None
        while True:
            caller = current_call().caller
            async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
                page = await templates.page(
                    tx, PageRequest(_PAGE, cursor), caller.member_id, {}, personal=manages(caller)
                )
                labels = await versions.all_labels(tx, [template.id for template in page.items])
            for template in page.items:
                if template.seen_by(current_call().caller):  # still, however long it took to come to it
                    yield template, labels[template.id]
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    async def _state(self, template_id: UUID) -> State | None:
        try:
            template = await self._sight.template(template_id)
        except TemplateNotFound:
            return None
        async with self._sight.reading(template) as tx:
            return template, shown(template, (await versions.all_labels(tx, [template_id]))[template_id])


async def _woken(watch: _Watch, seconds: float) -> bool:
    """Whether anything happened within that time."""
    try:
        async with asyncio.timeout(seconds):
            await watch.woken.wait()
    except TimeoutError:
        return False
    return True
