"""`atrium` as a process of its own, as an operator starts it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import randrange
from typing import Any

import psutil
from click.testing import Result
from typer.testing import CliRunner

from server.cli import app
from server.settings import load_settings
from server.telemetry import configure_logging
from tests.databases import Scratch

ROOT = Path(__file__).parent.parent
BOUND_SECONDS = 60.0
"""Long enough for a busy machine; whatever takes longer does not come."""


class Process:
    """A running `atrium`. `lines`: what it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._printed = asyncio.Condition()
        self.lines: list[str] = []
        self.errors: list[str] = []
        streams = ((process.stdout, self.lines), (process.stderr, self.errors))
        self._readers = [
            asyncio.create_task(self._read(stream, lines)) for stream, lines in streams if stream is not None
        ]

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def line(self, pattern: str) -> re.Match[str]:
        """The first line that has the pattern in it; waits for it."""
        compiled = re.compile(pattern)
        async with asyncio.timeout(BOUND_SECONDS), self._printed:
            while True:
                for line in self.lines:
                    if found := compiled.search(line):
                        return found
                assert self._process.returncode is None, self.errors
                await self._printed.wait()

    async def port(self) -> int:
        """Where it serves."""
        return int((await self.line(r"^Atrium serves on 127\.0\.0\.1:(\d+) "))[1])

    async def administrator(self) -> tuple[str, str]:
        """The login and password that it printed."""
        found = await self.line(r"login (\S+), password (\S+)$")
        return found[1], found[2]

    async def end(self) -> int:
        """The exit code; waits for it, and for everything that was printed."""
        async with asyncio.timeout(BOUND_SECONDS):
            await asyncio.wait(self._readers)
            return await self._process.wait()

    def servers(self) -> list[psutil.Process]:
        """The server processes that it watches."""
        found = []
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess):  # it ended while it was looked at
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    async def _read(self, stream: Any, lines: list[str]) -> None:
        async for line in stream:
            lines.append(line.decode().rstrip("\n"))
            async with self._printed:
                self._printed.notify_all()
        async with self._printed:
            self._printed.notify_all()


def free_port(count: int = 1) -> int:
    """A port that is free, as are those after it, so many in all. The system gives none of these to a connection, which
    it might otherwise do before whoever asked listens there.
    """
    while True:
        port = randrange(20_000, 30_000)
        with ExitStack() as taken:
            try:
                for number in range(port, port + count):
                    taken.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            return port


def environment(scratch: Scratch, **settings: object) -> dict[str, str]:
    """What a server on this database is told; `settings` by their names, None for what is not set."""
    own = scratch.settings()
    assert own.master_key is not None
    given: dict[str, object] = {
        "database_url": own.database_url,
        "master_key": own.master_key.get_secret_value(),
        "pool_size": 2,
        "address": "127.0.0.1:0",
        "grace_seconds": 10,
        **settings,
    }
    return {
        f"ATRIUM_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in given.items()
        if value is not None
    }


async def command(variables: dict[str, str], *arguments: str) -> Result:
    """What the command ends with, within this process: starting one takes longer than most of them do."""
    try:
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=variables)
    finally:
        configure_logging(load_settings())  # away from the streams of the runner, which are closed


@asynccontextmanager
async def atrium(
    variables: dict[str, str], *arguments: str, errors: Any = asyncio.subprocess.PIPE
) -> AsyncIterator[Process]:
    """The command with these variables, until the context ends and it with it. `errors`: where it writes its log."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ATRIUM_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        *(arguments or ("serve",)),
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", **variables},
    )
    running = Process(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in family:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        await running.end()


def sentence_of(errors: list[str]) -> str:
    """The one sentence that a server says when it refuses to start."""
    assert not [line for line in errors if "Traceback" in line]
    (sentence,) = [line for line in errors if line.startswith("atrium: ")]
    return sentence.removeprefix("atrium: ")


async def refusal_of(variables: dict[str, str], *options: str) -> str:
    """The same, by the command within this process."""
    ended = await command(variables, "serve", *options)
    assert ended.exit_code == 1, ended.output
    return sentence_of(ended.stderr.splitlines())
