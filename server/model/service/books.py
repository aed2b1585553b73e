"""The records of calls: written with what the calls used of their limits, and with the day's sums."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from server.db.database import Tx
from server.db.together import Together
from server.kernel.errors import DatabaseUnavailable
from server.kernel.tasks import Background, persistently
from server.llm.port import Message, ToolCall
from server.model.chat import ChatCall
from server.model.domain import CallLog
from server.model.holds import Hold, Settlement
from server.model.ledger import PATIENCE_SECONDS, Ledger
from server.model.store import contents

_log = structlog.get_logger("atrium.books")

_MOST_WAITING = 10_000


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
        cost = sum((record.total_cost or Decimal(0) for record in self.records), Decimal(0))
        return Settlement(self.hold, tokens, cost, self.records)


class Books:
    """Writes calls down. Those of one tenant that end at one moment share a transaction.

    Where the database does not answer, the caller is told, and the entries wait until it does: a call that was made is
    paid for, and what it held is free again. One that cannot be written takes no other with it.
    """

    def __init__(self, ledger: Ledger, background: Background, *, most_waiting: int = _MOST_WAITING) -> None:
        """`most_waiting`: how many entries wait for a database that does not answer."""
        self._ledger = ledger
        self._background = background
        self._places = most_waiting
        self._desks: WeakValueDictionary[UUID, Together[Entry, Exception | None]] = WeakValueDictionary()

    async def enter(self, tenant_id: UUID, entry: Entry, meanwhile: Callable[[], None] | None = None) -> None:
        """Returns when it is written; it is even if the caller leaves meanwhile. Raises DatabaseUnavailable.

        `meanwhile`: may be called while it is being written.
        """
        desk = self._desks.get(tenant_id)
        if desk is None:
            desk = self._desks[tenant_id] = Together(partial(self._write, tenant_id), background=self._background)
        failure = await desk(entry, meanwhile)
        if failure is not None:
            raise failure

    def enter_later(self, tenant_id: UUID, entry: Entry) -> asyncio.Task[None]:
        """Writes it without anybody's waiting."""
        return self._background.start(self.enter(tenant_id, entry), "call log")

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
