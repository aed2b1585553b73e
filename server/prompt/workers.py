"""Processes for work that would hold up the calls of others: few, started when they are needed, each tenant in turn."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from server.kernel.tasks import Background
from server.kernel.turns import Turns
from server.prompt import worker
from server.prompt.errors import PromptsBusy, PromptWorkTooLong

_MOST_SECONDS = 5.0
"""What is allowed takes a second or two; whatever takes longer has found a way around its bounds."""

_MOST_SECONDS_TO_START = 30.0
_PIECE_BYTES = 1 << 16
_MOST_WAITING = 1024
_MOST_OF_A_TENANT = 256
_RETRY_SECONDS = 1.0
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")

Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class _Job:
    tenant_id: UUID
    request: bytes
    answer: asyncio.Future[bytes]

    @property
    def pieces(self) -> int:
        return 1 + len(self.request) // _PIECE_BYTES


class Workers:
    """Does work in processes of its own. Tenants take turns, however much one of them asks for."""

    def __init__(
        self,
        parallel: int,
        seconds: float = _MOST_SECONDS,
        most_waiting: int = _MOST_WAITING,
        most_of_a_tenant: int = _MOST_OF_A_TENANT,
    ) -> None:
        """`parallel`: how many processes. `seconds`: what one piece of work may take; its process is ended then.
        `most_waiting`, `most_of_a_tenant`: pieces of work that are waiting or under way, of all and of one; one that is
        large counts as one for each 64 KiB begun.
        """
        self._turns = Turns(parallel)
        self._seconds = seconds
        self._most_waiting = most_waiting
        self._most_of_a_tenant = most_of_a_tenant
        self._held: Counter[UUID] = Counter()
        self._idle: list[Process] = []
        self._tasks = Background()

    async def run(self, tenant_id: UUID, work: Callable[..., Result], *arguments: Any) -> Result:
        """What the function of `worker` returns. Raises what it raises, PromptsBusy, PromptWorkTooLong."""
        held = self._held[tenant_id]
        if held >= self._most_of_a_tenant or self._held.total() >= self._most_waiting:
            raise PromptsBusy("work on prompts at once", _RETRY_SECONDS)
        job = _Job(tenant_id, worker.packed((work, arguments)), asyncio.get_running_loop().create_future())
        self._held[tenant_id] += job.pieces
        task = self._tasks.start(self._work(job), "work on a prompt")
        task.add_done_callback(lambda _: self._over(job))
        result: Result = worker.outcome(await job.answer)
        return result

    async def close(self) -> None:
        """Ends the processes, whatever they work on."""
        await self._tasks.close(seconds=0)
        await asyncio.gather(*(_ended(process) for process in self._idle))
        self._idle.clear()

    async def _work(self, job: _Job) -> None:
        """Goes on without whoever asked: a process that is at work cannot be given to others."""
        async with self._turns.place(job.tenant_id):
            if not job.answer.done():  # they may have gone
                await self._answer(job)

    def _over(self, job: _Job) -> None:
        job.answer.cancel()  # where nothing was answered
        self._held[job.tenant_id] -= job.pieces
        if not self._held[job.tenant_id]:
            del self._held[job.tenant_id]

    async def _answer(self, job: _Job) -> None:
        """Has a process do the work. It is used again only where it has answered."""
        process = None
        try:
            process = self._free() or await _started()
            async with asyncio.timeout(self._seconds):
                answer = await _asked(process, job.request)
        except BaseException as error:
            if process is not None:
                await _ended(process)
            _give(job.answer, PromptWorkTooLong() if isinstance(error, TimeoutError) else error)
            if not isinstance(error, Exception):
                raise
        else:
            self._idle.append(process)
            _give(job.answer, answer)

    def _free(self) -> Process | None:
        """One that has worked before, and has not ended since."""
        while self._idle:
            if (process := self._idle.pop()).returncode is None:
                return process
        return None


def _give(future: asyncio.Future[bytes], outcome: bytes | BaseException) -> None:
    if future.done():
        return
    if isinstance(outcome, bytes):
        future.set_result(outcome)
    elif isinstance(outcome, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(outcome)


async def _started() -> Process:
    # What renders tenants' texts is given no secret, and finds modules as this process found them.
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", worker.__name__, stdin=PIPE, stdout=PIPE, env=environment
    )
    try:
        async with asyncio.timeout(_MOST_SECONDS_TO_START):
            await _read(process)
    except BaseException:
        await _ended(process)
        raise
    return process


async def _asked(process: Process, request: bytes) -> bytes:
    """Its answer. Raises IncompleteReadError, ConnectionError where the process ended."""
    assert process.stdin is not None
    process.stdin.write(request)
    await process.stdin.drain()
    return await _read(process)


async def _read(process: Process) -> bytes:
    assert process.stdout is not None
    (length,) = worker.LENGTH.unpack(await process.stdout.readexactly(worker.LENGTH.size))
    return await process.stdout.readexactly(length)


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
