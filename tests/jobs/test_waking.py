"""Workers are told of what is enqueued: soon, of a burst together, and over another connection where one is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.db.database import Database
from server.jobs.queue import CHANNEL, waking
from tests.databases import Scratch
from tests.jobs.working import NOT_FOR_EVER, Done, ask, until, working
from tests.pauses import noted_pauses

_WAKING = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'atrium waking' AND datname = current_database() "
    "AND pid <> $1"
)


async def test_an_idle_worker_is_woken_at_once(scratch: Scratch, asking: Database, admin: Any) -> None:
    done = Done()
    async with working(scratch, {"wait": done}):
        await ask(asking)
        await done.next()
        await until(admin, "SELECT count(*) FROM jobs.pgqueuer", 0)
        took = []
        for _ in range(5):
            began = monotonic()
            await ask(asking)
            await done.next()
            took.append(monotonic() - began)

    assert min(took) < 1  # it sleeps for five seconds where nobody wakes it


async def test_of_a_burst_workers_are_told_together(asking: Database, admin: Any) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    await admin.add_listener(CHANNEL, lambda *event: told.put_nowait(event[-1]))

    began = monotonic()
    await asyncio.gather(*(ask(asking) for _ in range(200)))
    took = monotonic() - began
    async with asyncio.timeout(NOT_FOR_EVER):
        await told.get()
    await ask(asking)
    async with asyncio.timeout(NOT_FOR_EVER):
        await told.get()

    # One every ten milliseconds at the most, however many commits there are.
    assert told.qsize() <= took / 0.01


async def _waking(admin: Any, other_than: int = 0) -> int:
    async with asyncio.timeout(NOT_FOR_EVER):
        while (pid := await admin.fetchval(_WAKING, other_than)) is None:  # noqa: ASYNC110 - it is in the database
            await asyncio.sleep(0.01)
    return int(pid)


async def test_a_connection_that_is_lost_is_made_again_before_a_job_needs_it(asking: Database, admin: Any) -> None:
    lost = await _waking(admin)

    await admin.execute("SELECT pg_terminate_backend($1)", lost)

    assert await _waking(admin, lost) != lost


async def test_who_was_not_told_over_a_silent_connection_is_told_over_the_next(asking: Database, admin: Any) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    await admin.add_listener(CHANNEL, lambda *event: told.put_nowait(event[-1]))
    silent = await _waking(admin)
    os.kill(silent, signal.SIGSTOP)
    try:
        await ask(asking)

        async with asyncio.timeout(NOT_FOR_EVER):
            await told.get()
        assert await _waking(admin, silent) != silent
    finally:
        os.kill(silent, signal.SIGCONT)


async def test_a_database_that_is_away_is_tried_less_and_less_often(
    scratch: Scratch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = noted_pauses(monkeypatch)
    nowhere = scratch.settings(database_url="postgresql://127.0.0.1:1/nowhere")

    with capture_logs() as logs:
        async with asyncio.timeout(NOT_FOR_EVER), waking(nowhere, database):
            while len(pauses) < 8:  # noqa: ASYNC110 - its tries are what is waited for
                await asyncio.sleep(0)

    assert pauses[0] <= 0.1
    assert pauses[7] >= 2.5
    assert {(entry["event"], entry["error"]) for entry in logs} == {("waking interrupted", "ConnectionRefusedError")}
