"""The records of calls: written with what the calls used of their limits, and with the day's sums."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from uuid import UUID
from weakref import WeakValueDictionary

from server.db.database import Tx
from server.db.together import Together
from server.kernel.tasks import Background
from server.llm.port import Message, ToolCall
from server.model.chat import ChatCall
from server.model.domain import CallLog
from server.model.ledger import Hold, Ledger, Settlement
from server.model.store import contents


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
        tokens = sum(record.total_tokens for record in self.records)
        return Settlement(
            self.hold, tokens, sum((record.total_cost or Decimal(0) for record in self.records), Decimal(0))
        )


class Books:
    """Writes calls down. Those of one tenant that end at one moment share a transaction."""

    def __init__(self, ledger: Ledger, background: Background) -> None:
        self._ledger = ledger
        self._background = background
        self._desks: WeakValueDictionary[UUID, Together[Entry, None]] = WeakValueDictionary()

    async def enter(self, tenant_id: UUID, entry: Entry) -> None:
        """Returns when it is written; it is even if the caller leaves meanwhile."""
        await asyncio.shield(self.enter_later(tenant_id, entry))

    def enter_later(self, tenant_id: UUID, entry: Entry) -> asyncio.Task[None]:
        """Writes it without anybody's waiting."""
        return self._background.start(self._enter(tenant_id, entry), "call log")

    async def _enter(self, tenant_id: UUID, entry: Entry) -> None:
        desk = self._desks.get(tenant_id)
        if desk is None:
            desk = self._desks[tenant_id] = Together(partial(self._write, tenant_id))
        await desk(entry)

    async def _write(self, tenant_id: UUID, entries: Sequence[Entry]) -> list[None]:
        records = [record for entry in entries for record in entry.records]
        kept = [entry.content for entry in entries if entry.content is not None]

        async def keep(tx: Tx) -> None:
            for content in kept:
                await contents.add(tx, content.call_log_id, content.messages, content.answer)

        await self._ledger.enter(tenant_id, [entry.settlement for entry in entries], records, keep if kept else None)
        return [None] * len(entries)
