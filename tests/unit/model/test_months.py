"""In which month a call counts."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from server.kernel.clock import now
from server.kernel.principal import Call
from server.llm.port import ChatChunk, Usage
from server.model import meter
from server.model.service import planning
from server.model.service.calls import CallService
from tests.unit.model.scripted import Records, Script, Settings, events_of

_THIS = now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)  # there are partitions of it and of the next
_NEXT = (_THIS + timedelta(days=32)).replace(day=1)


@pytest.fixture
def settings() -> Settings:
    return Settings(monthly_token_quota=10**6)


async def test_a_call_that_goes_on_into_the_next_month_counts_once_and_in_the_one_in_which_it_began(
    calls: CallService, caller: Call, script: Script, records: Records, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = _NEXT - timedelta(seconds=1)
    for module in (planning, meter):
        monkeypatch.setattr(module, "now", lambda: moment)
    begun, goes_on = asyncio.Event(), asyncio.Event()
    script.steps = [ChatChunk("a"), goes_on, ChatChunk("b", "stop"), ChatChunk(usage=Usage(10, 5))]
    monkeypatch.setattr(goes_on, "wait", lambda: _told(begun, asyncio.Event.wait(goes_on)))

    over_the_end = asyncio.create_task(events_of(calls, caller))
    await begun.wait()
    moment = _NEXT + timedelta(seconds=1)
    goes_on.set()
    await over_the_end
    script.steps = [ChatChunk("c", "stop"), ChatChunk(usage=Usage(1, 1))]
    await events_of(calls, caller)
    await records()

    counted = await admin.fetch("SELECT window_start, used, reserved FROM quota_ledger WHERE window_kind = 'month'")
    used = await admin.fetch("SELECT day, prompt_tokens + completion_tokens FROM usage_rollups WHERE grain = 'model'")
    assert sorted(map(tuple, counted)) == [(_THIS, 15, 0), (_NEXT, 2, 0)]
    assert sorted(map(tuple, used)) == [(_NEXT.date() - timedelta(days=1), 15), (_NEXT.date(), 2)]


async def _told(event: asyncio.Event, waiting: Any) -> None:
    event.set()
    await waiting
