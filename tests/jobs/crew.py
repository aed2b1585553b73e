"""A worker in a process of its own, to be killed, stopped and overtaken: `python -m tests.jobs.crew <settings>`.

Its jobs say on standard output that they began, and end when a line comes in.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from pydantic import SecretStr

from server.db.database import Database
from server.jobs.backlog import Backlog, TenantRun
from server.jobs.runs import Run
from server.jobs.worker import Worker
from server.settings import Settings


async def main() -> None:
    urls = json.loads(sys.argv[1])
    settings = Settings(**urls, master_key=SecretStr("A" * 43 + "="), pool_size=2)
    answers = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(answers), sys.stdin)

    async def wait(run: Run) -> None:
        print(f"began {run.attempts}", flush=True)
        await answers.readline()
        print("ended", flush=True)

    async def theirs(run: TenantRun) -> None:
        print(f"began {run.payload['number']} of a tenant", flush=True)
        await answers.readline()

    async def die(_: Run) -> None:
        os._exit(9)

    async with Database.open(settings) as database:
        handlers = {"wait": wait, "die": die, "theirs": Backlog(1).handler(database, theirs)}
        await Worker(settings, database, handlers).run()


if __name__ == "__main__":
    asyncio.run(main())
