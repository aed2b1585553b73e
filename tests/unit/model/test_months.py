"""In which month a call counts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.kernel.principal import Call
from server.llm.port import ChatChunk, Usage
from server.model import meter
from server.model.service import planning
from server.model.service.calls import CallService
from tests.unit.model.scripted import Records, Script, Settings, events_of

_MAY = datetime(2030, 5, 1, tzinfo=UTC)
_JUNE = datetime(2030, 6, 1, tzinfo=UTC)


@pytest.fixture
def settings() -> Settings:
    return Settings(monthly_token_quota=10**6)


async def test_a_call_that_goes_on_into_the_next_month_counts_once_and_in_the_one_in_which_it_began(
    calls: CallService, caller: Call, script: Script, records: Records, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = _JUNE - timedelta(seconds=1)
    for module in (planning, meter):
        monkeypatch.setattr(module, "now", lambda: moment)
    begun, goes_on = asyncio.Event(), asyncio.Event()
    script.steps = [ChatChunk("a"), goes_on, ChatChunk("b", "stop"), ChatChunk(usage=Usage(10, 5))]
    monkeypatch.setattr(goes_on, "wait", lambda: _told(begun, asyncio.Event.wait(goes_on)))

    over_the_end = asyncio.create_task(events_of(calls, caller))
    await begun.wait()
    moment = _JUNE + timedelta(seconds=1)
    goes_on.set()
    await over_the_end
    script.steps = [ChatChunk("c", "stop"), ChatChunk(usage=Usage(1, 1))]
    await events_of(calls, caller)
    await records()

    counted = await admin.fetch("SELECT window_start, used, reserved FROM quota_ledger WHERE window_kind = 'month'")
    used = await admin.fetch("SELECT day, prompt_tokens + completion_tokens FROM usage_rollups WHERE grain = 'model'")
    assert sorted(map(tuple, counted)) == [(_MAY, 15, 0), (_JUNE, 2, 0)]
    assert sorted(map(tuple, used)) == [(_JUNE.date() - timedelta(days=1), 15), (_JUNE.date(), 2)]


async def _told(event: asyncio.Event, waiting: Any) -> None:
    event.set()
    await waiting
