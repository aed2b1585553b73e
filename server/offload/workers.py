"""Processes for work that would hold up the calls of others: few, started when they are needed, each tenant in turn."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from server.kernel.errors import DomainError
from server.kernel.tasks import Background
from server.kernel.turns import Turns
from server.offload import worker

_MOST_SECONDS_TO_START = 30.0
_PIECE_BYTES = 1 << 16
_MOST_WAITING = 1024
_MOST_OF_A_TENANT = 256
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")

Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class _Job:
    tenant_id: UUID
    request: bytes
    answer: asyncio.Future[bytes]
    held: bool = True

    @property
    def pieces(self) -> int:
        return 1 + len(self.request) // _PIECE_BYTES


class Workers:
    """Does work in processes of its own. Tenants take turns, however much one of them asks for."""

    def __init__(
        self,
        parallel: int,
        *,
        busy: Callable[[], DomainError],
        too_long: Callable[[], DomainError],
        lost: Callable[[], DomainError] | None = None,
        imports: Sequence[str] = (),
        seconds: float,
        memory: int | None = None,
        most_waiting: int = _MOST_WAITING,
        most_of_a_tenant: int = _MOST_OF_A_TENANT,
    ) -> None:
        """`parallel`: how many processes. `busy`, `too_long`, `lost`: what is raised where there is too much work,
        where it took too long, and where its process ended under it or had too little memory; without `lost` the latter
        are failures of the server's. `imports`: the modules that the work is in, loaded before a process is given any.

        `seconds`: what one piece of work may take; its process is ended then. `memory`: bytes that a process may have,
        code and files that it maps not counted; held to on Linux. `most_waiting`, `most_of_a_tenant`: pieces of work
        that are waiting or under way, of all and of one; one that is large counts as one for each 64 KiB begun.
        """
        self._turns = Turns(parallel)
        self._busy = busy
        self._too_long = too_long
        self._lost = lost
        self._program = ("-m", worker.__name__, str(memory or 0), *imports)
        self._seconds = seconds
        self._most_waiting = most_waiting
        self._most_of_a_tenant = most_of_a_tenant
        self._held: Counter[UUID] = Counter()
        self._idle: list[Process] = []
        self._tasks = Background()

    async def run(self, tenant_id: UUID, work: Callable[..., Result], *arguments: Any) -> Result:
        """What the function, one of a module's, returns. Raises the DomainError that it raises, and those of `busy`,
        `too_long` and `lost`.
        """
        held = self._held[tenant_id]
        if held >= self._most_of_a_tenant or self._held.total() >= self._most_waiting:
            raise self._busy()
        job = _Job(tenant_id, worker.packed((work, arguments)), asyncio.get_running_loop().create_future())
        self._held[tenant_id] += job.pieces
        task = self._tasks.start(self._work(job), "work in a process of its own")
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
        self._let_go(job)

    def _let_go(self, job: _Job) -> None:
        if job.held:
            job.held = False
            self._held[job.tenant_id] -= job.pieces
            if not self._held[job.tenant_id]:
                del self._held[job.tenant_id]

    def _give(self, job: _Job, outcome: bytes | BaseException) -> None:
        self._let_go(job)  # first: whoever has the answer may ask for more at once
        if job.answer.done():
            return
        if isinstance(outcome, bytes):
            job.answer.set_result(outcome)
        elif isinstance(outcome, asyncio.CancelledError):
            job.answer.cancel()
        else:
            job.answer.set_exception(outcome)

    async def _answer(self, job: _Job) -> None:
        """Has a process do the work. It is used again only where it has answered."""
        process = None
        try:
            process = self._free() or await _started(self._program)
            async with asyncio.timeout(self._seconds):
                answer = await _asked(process, job.request)
            if answer == worker.OUT_OF_MEMORY:
                raise MemoryError("of a process that does work")
        except BaseException as error:
            if process is not None:
                await _ended(process)
            self._give(job, self._refusal(error, asked=process is not None))
            if not isinstance(error, Exception):
                raise
        else:
            self._idle.append(process)
            self._give(job, answer)

    def _refusal(self, error: BaseException, *, asked: bool) -> BaseException:
        """What is told where work failed. `asked`: a process was at work, and the failure is not that none started."""
        if isinstance(error, TimeoutError):
            return self._too_long()
        if asked and self._lost is not None and isinstance(error, MemoryError | EOFError | ConnectionError):
            return self._lost()
        return error

    def _free(self) -> Process | None:
        """One that has worked before, and has not ended since."""
        while self._idle:
            if (process := self._idle.pop()).returncode is None:
                return process
        return None


async def _started(program: Sequence[str]) -> Process:
    # What works on tenants' texts is given no secret, and finds modules as this process found them.
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", *program, stdin=PIPE, stdout=PIPE, env=environment
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
