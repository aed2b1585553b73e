"""What tests of jobs have in common: workers in this process and in others, and jobs that tell of their runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from server.db.database import Database
from server.jobs.queue import enqueue
from server.jobs.runs import Run
from server.jobs.worker import Cron, Handler, Patience, Worker
from server.kernel.ids import PLATFORM_TENANT_ID
from tests.databases import Scratch

TAKEN_OVER_SECONDS = 17.0
"""A dead worker's job is another's after its heartbeat and a sleep, at most."""

NOT_FOR_EVER = 40.0

QUICK = Patience(most_failures=4, first_seconds=0.01, most_seconds=0.05)

STATUS = "SELECT status::text FROM jobs.pgqueuer"


@asynccontextmanager
async def working(
    scratch: Scratch, handlers: Mapping[str, Handler], schedule: tuple[Cron, ...] = (), **options: Any
) -> AsyncIterator[Worker]:
    """A worker in this process."""
    settings = scratch.settings(pool_size=3)
    async with Database.open(settings) as database:
        worker = Worker(settings, database, handlers, schedule, patience=QUICK, **options)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task


async def ask(database: Database, name: str = "wait", **options: Any) -> bool:
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        return await enqueue(tx, name, **options)


async def until(admin: Any, query: str, wanted: Any) -> None:
    async with asyncio.timeout(NOT_FOR_EVER):
        while await admin.fetchval(query) != wanted:  # noqa: ASYNC110 - what it waits for is in the database
            await asyncio.sleep(0.01)


class Done:
    """A handler that notes its runs, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.runs: asyncio.Queue[Run] = asyncio.Queue()
        self._failures = failures

    async def __call__(self, run: Run) -> None:
        self.runs.put_nowait(run)
        if run.attempts <= self._failures:
            raise ZeroDivisionError

    async def next(self) -> Run:
        async with asyncio.timeout(NOT_FOR_EVER):
            return await self.runs.get()


class Member:
    """A worker in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(NOT_FOR_EVER):
            return (await self._process.stdout.readline()).decode().strip()

    def answer(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        async with asyncio.timeout(NOT_FOR_EVER):
            return await self._process.wait()


@asynccontextmanager
async def crew(scratch: Scratch) -> AsyncIterator[Member]:
    urls = json.dumps({"database_url": scratch.url})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.jobs.crew", urls),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    try:
        yield Member(process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()
