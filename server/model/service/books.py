"""The records of calls: written with what the calls used of their limits, and with the day's sums."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from server.db.database import Database, Tx
from server.db.together import Together
from server.kernel.errors import DatabaseUnavailable
from server.kernel.tasks import Background, persistently
from server.llm.port import Message, ToolCall
from server.model.chat import ChatCall
from server.model.domain import CallLog
from server.model.holds import Hold, Settlement
from server.model.journal import MOST_TOGETHER
from server.model.ledger import PATIENCE_SECONDS, Ledger
from server.model.store import contents, journal

_log = structlog.get_logger("atrium.books")

_MOST_WAITING = 10_000

GATHER_SECONDS = 0.05
"""How long a call that is noted waits for others to be counted with it."""

_ENOUGH_TOGETHER = 16
"""Calls that do not wait for more: what each was lent goes on being lent only when it is counted."""

_MOST_BEHIND = 1_000
"""Calls of a tenant that are noted and not counted, beyond which callers wait until theirs is."""

_PATIENCE_SECONDS = 0.25
"""How long who reads waits for another process to count what it noted."""

_LOOK_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Content:
    """What was said in a call, of a tenant that keeps it."""

    call_log_id: UUID
    messages: Sequence[Message]
    answer: Message

    @classmethod
    def of(cls, asked: ChatCall, text: str, tool_calls: Sequence[ToolCall], call_log_id: UUID) -> Content:
        return cls(call_log_id, asked.messages, Message("assistant", text, tool_calls))


@dataclass(frozen=True, slots=True)
class Entry:
    """A call that is over: the record of each model it asked, what it had reserved, what is kept of what was said."""

    records: Sequence[CallLog]
    hold: Hold
    content: Content | None = None

    @property
    def settlement(self) -> Settlement:
        return Settlement.of(self.hold, self.records)


@dataclass(slots=True)
class _Pile:
    """What is noted of one tenant's calls and to be counted. `hurried`: set where that is not to wait for more."""

    entries: list[Entry] = field(default_factory=list)
    hurried: asyncio.Event = field(default_factory=asyncio.Event)


_Desks = WeakValueDictionary[UUID, Together[Entry, Exception | None]]


class Books:
    """Writes calls down. Those of one tenant that end at one moment share a transaction.

    A call is noted in the journal, one small row, and that is all that its caller waits for. A moment later it is
    counted with those beside it: written among the records, added to the day's sums and to what is used of limits. Who
    reads any of these has it counted first (`caught_up`). Until then it holds what it held; so what others may be
    refused for is entered at once, and only calls that held nothing, or what was held for calls to come, are noted.

    Where the database does not answer, the caller is told, and the entries wait until it does: a call that was made is
    paid for, and what it held is free again. One that cannot be written takes no other with it.
    """

    def __init__(
        self, database: Database, ledger: Ledger, background: Background, *, most_waiting: int = _MOST_WAITING
    ) -> None:
        """`most_waiting`: how many entries wait for a database that does not answer."""
        self._database = database
        self._ledger = ledger
        self._background = background
        self._places = most_waiting
        self._desks: _Desks = WeakValueDictionary()
        self._noting: _Desks = WeakValueDictionary()
        self._piles: dict[UUID, _Pile] = {}
        ledger.hurry = self._hurry

    async def enter(self, tenant_id: UUID, entry: Entry) -> None:
        """Returns when it is written; it is even if the caller leaves meanwhile. Raises DatabaseUnavailable."""
        if (failure := await self.begin_to_enter(tenant_id, entry)) is not None:
            raise failure

    def begin_to_enter(self, tenant_id: UUID, entry: Entry) -> asyncio.Future[Exception | None]:
        """Has it written from now on, whoever waits for it: what that fails with, as above."""
        desks, act = (self._noting, self._note) if self._may_follow(tenant_id, entry) else (self._desks, self._write)
        desk = desks.get(tenant_id)
        if desk is None:
            desk = desks[tenant_id] = Together(partial(act, tenant_id), background=self._background)
        return desk.begin(entry)

    async def caught_up(self, tenant_id: UUID) -> None:
        """Returns when the tenant's calls that are over are counted, in whichever process: before they are read.

        What a process that has died noted, or one that is busy for long, is counted here. Raises DatabaseUnavailable.
        """
        self._hurry(tenant_id)
        ids = await self._ledger.noted(tenant_id)
        pause, until = _LOOK_SECONDS, monotonic() + _PATIENCE_SECONDS
        while ids and monotonic() < until:
            await asyncio.sleep(pause)
            pause *= 1.5
            ids &= await self._ledger.noted(tenant_id)
        await self._ledger.count_noted(tenant_id, ids)

    def _hurry(self, tenant_id: UUID) -> None:
        if (pile := self._piles.get(tenant_id)) is not None:
            pile.hurried.set()

    def _may_follow(self, tenant_id: UUID, entry: Entry) -> bool:
        """Whether it may be noted first and counted later."""
        if not entry.records or entry.content is not None:
            return False
        pile = self._piles.get(tenant_id)
        return (pile is None or len(pile.entries) < _MOST_BEHIND) and self._ledger.over(tenant_id, entry.hold)

    async def _note(self, tenant_id: UUID, entries: Sequence[Entry]) -> list[Exception | None]:
        try:
            await journal.note(self._database, tenant_id, [entry.settlement for entry in entries])
        except DatabaseUnavailable as error:
            self._write_later(tenant_id, entries)
            return [error] * len(entries)
        except Exception:  # noqa: BLE001 - whose mistake it is shows where each is written down
            return await self._write(tenant_id, entries)
        if (pile := self._piles.get(tenant_id)) is None:
            pile = self._piles[tenant_id] = _Pile()
            self._background.start(self._count(tenant_id, pile), "calls counted", Context())
        pile.entries.extend(entries)
        if len(pile.entries) >= _ENOUGH_TOGETHER:
            pile.hurried.set()
        return [None] * len(entries)

    async def _count(self, tenant_id: UUID, pile: _Pile) -> None:
        """Counts what is noted, until there is no more of it."""
        loop = asyncio.get_running_loop()
        try:
            while pile.entries:
                waiting = loop.call_later(GATHER_SECONDS, pile.hurried.set)
                await pile.hurried.wait()
                waiting.cancel()
                pile.hurried.clear()
                entries, pile.entries = pile.entries[:MOST_TOGETHER], pile.entries[MOST_TOGETHER:]
                if len(pile.entries) >= _ENOUGH_TOGETHER:
                    pile.hurried.set()
                await self._count_together(tenant_id, [entry.settlement for entry in entries])
        finally:  # what is noted still when the process ends is counted by another
            self._ledger.let_go(tenant_id, [entry.hold for entry in pile.entries])
            del self._piles[tenant_id]

    async def _count_together(self, tenant_id: UUID, settlements: Sequence[Settlement]) -> None:
        entered = False
        try:
            await persistently(lambda: self._ledger.enter(tenant_id, settlements), PATIENCE_SECONDS)
            entered = True
        except DatabaseUnavailable:
            _log.warning("calls stay noted", tenant_id=tenant_id, count=len(settlements))
        except Exception:  # noqa: BLE001 - one of them cannot be counted, or somebody who reads has counted some
            ids = [journal.id_of(settlement) for settlement in settlements]
            with suppress(DatabaseUnavailable):  # whoever reads counts them
                await self._ledger.count_noted(tenant_id, ids)
        finally:
            if not entered:
                self._ledger.let_go(tenant_id, [settlement.hold for settlement in settlements])

    async def _write(self, tenant_id: UUID, entries: Sequence[Entry]) -> list[Exception | None]:
        try:
            await self._write_together(tenant_id, entries)
        except DatabaseUnavailable as error:
            self._write_later(tenant_id, entries)
            return [error] * len(entries)
        except Exception as error:  # noqa: BLE001 - it is one entry's mistake, and the others' calls are written down
            if len(entries) > 1:
                return [outcome for entry in entries for outcome in await self._write(tenant_id, [entry])]
            (entry,) = entries
            if entry.content is not None:
                _log.exception("what was said in a call is not kept", call_log_id=entry.content.call_log_id)
                return await self._write(tenant_id, [replace(entry, content=None)])
            self._give_up(tenant_id, entries)
            return [error]
        return [None] * len(entries)

    async def _write_together(self, tenant_id: UUID, entries: Sequence[Entry]) -> None:
        """All or none. The same entries again change nothing."""
        kept = [entry.content for entry in entries if entry.content is not None]

        async def keep(tx: Tx) -> None:
            for content in kept:
                await contents.add(tx, content.call_log_id, content.messages, content.answer)

        await self._ledger.enter(tenant_id, [entry.settlement for entry in entries], keep if kept else None)

    def _write_later(self, tenant_id: UUID, entries: Sequence[Entry]) -> None:
        if len(entries) > self._places:
            self._give_up(tenant_id, entries)
            return
        self._places -= len(entries)
        self._background.start(self._write_again(tenant_id, entries), "call logs again")

    async def _write_again(self, tenant_id: UUID, entries: Sequence[Entry]) -> None:
        # Together as they were: a part of them may not have been written by a commit whose answer was lost.
        try:
            await persistently(lambda: self._write_together(tenant_id, entries), PATIENCE_SECONDS)
        except DatabaseUnavailable:
            self._give_up(tenant_id, entries)
        except asyncio.CancelledError:  # the server ends
            self._give_up(tenant_id, entries)
            raise
        except Exception:  # noqa: BLE001 - which of them it is about is found by writing each
            await self._write(tenant_id, entries)
        finally:
            self._places += len(entries)

    def _give_up(self, tenant_id: UUID, entries: Sequence[Entry]) -> None:
        """What is known of the calls goes into the log, and what they held ends by itself."""
        self._ledger.let_go(tenant_id, [entry.hold for entry in entries])
        for record in (record for entry in entries for record in entry.records):
            _log.error(
                "a call is not written down",
                tenant_id=tenant_id,
                call_log_id=record.id,
                user_id=record.user_id,
                model_id=record.model_id,
                tokens=record.total_tokens,
                cost=record.total_cost,
                exc_info=True,
            )
