"""Executions given places, looked after while they wait, and found again where their jobs were lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import orjson

from server.db.database import Database, Tx
from server.jobs.backlog import Backlog, TenantRun, asked, forget
from server.jobs.runs import Run
from server.kernel.errors import NotFound, TenantGone
from server.workflow.errors import ExecutionTimedOut, TaskLost, TaskTimedOut
from server.workflow.executions import Execution, Task
from server.workflow.ports import Tenants
from server.workflow.service.progress import STEP, Progress, failure
from server.workflow.store import executions, tasks


@dataclass(frozen=True, slots=True)
class Places:
    """How many executions of a tenant run at once, and for how long each: `life`."""

    most: int
    life: timedelta


class Engine:
    """Has executions go on. Whatever happens to one happens in a transaction that holds it."""

    def __init__(self, database: Database, backlog: Backlog, tenants: Tenants) -> None:
        self._database = database
        self._backlog = backlog
        self._tenants = tenants

    async def places(self, tenant_id: UUID) -> Places:
        """What the tenant has set: read before a transaction, which holds its connection."""
        found = await self._tenants.model_settings(tenant_id)
        return Places(found.max_concurrent_workflows, timedelta(seconds=found.workflow_timeout_seconds))

    @asynccontextmanager
    async def holding(
        self, tenant_id: UUID, execution_id: UUID, run: TenantRun | None = None
    ) -> AsyncIterator[tuple[Tx, Progress | None]]:
        """A transaction that holds the execution; None: there is none. At its end what happened is written down, where
        a place is free then the next one has it, and the run's job is done.
        """
        places = await self.places(tenant_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            execution = await executions.lock(tx, execution_id)
            progress = None if execution is None else Progress(tx, execution, self._backlog)
            yield tx, progress
            # In this order everywhere: whoever has the tenant's slots waits for nothing more.
            if execution is not None and progress is not None:
                await progress.write()
                now = progress.execution.status
                # One that waits was passed over by whoever had a place to give while it was held here.
                if execution.status == "running" != now or now == "pending":
                    await self.admit(tx, places)
                await progress.close()
            if run is not None:
                await run.finish(tx)

    async def admit(self, tx: Tx, places: Places) -> None:
        """Gives the executions that wait for places those that are free."""
        await executions.hold_turn(tx)
        while (room := places.most - await executions.count(tx, "running")) > 0:
            following = await executions.next_pending(tx, room)
            if not following:
                return
            for execution in following:
                await self._start(tx, execution, places)

    async def _start(self, tx: Tx, execution: Execution, places: Places) -> None:
        life = places.life
        if execution.budget.seconds is not None:
            life = min(life, timedelta(seconds=execution.budget.seconds))
        resumed = execution.started_at is not None
        progress = Progress(tx, await executions.started(tx, execution.id, life), self._backlog)
        progress.tell("execution_resumed" if resumed else "execution_started")
        if not resumed:
            await progress.look_again(life.total_seconds())
        ready = await tasks.take_ready(tx, execution.id)
        progress.begin(*ready)
        if resumed or not ready:
            # What may have ended meanwhile ends by itself: here, who holds its workflow may be waiting for this turn.
            await progress.look_again(0.0)
        await progress.close()

    async def tend(self, run: Run) -> None:
        """Does TEND."""
        named = orjson.loads(run.payload)
        with suppress(NotFound, TenantGone):  # the tenant was purged
            await self.look(UUID(named["tenant_id"]), UUID(named["execution_id"]))

    async def look(self, tenant_id: UUID, execution_id: UUID) -> None:
        """Has done what is due of an execution. One that has ended may have left its place to nobody."""
        async with self.holding(tenant_id, execution_id) as (tx, progress):
            if progress is not None and progress.execution.is_open:
                await self._look(tx, progress)
                return
        await self.give_places(tenant_id)

    async def give_places(self, tenant_id: UUID) -> None:
        """Gives the executions that wait for places those that are free."""
        places = await self.places(tenant_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            await self.admit(tx, places)

    async def _look(self, tx: Tx, progress: Progress) -> None:
        if await executions.is_late(tx, progress.execution.id):
            late = ExecutionTimedOut()
            await progress.fail(late.reason, late.message)
        elif progress.execution.status == "running":
            progress.begin(*await tasks.take_due(tx, progress.execution.id))
            await self._settle(tx, progress)

    async def _settle(self, tx: Tx, progress: Progress) -> None:
        """Ends what has waited for as long as it may, and the execution where nothing is left of it."""
        for task in await tasks.due(tx, progress.execution.id):
            if progress.execution.is_open:
                await self._waited(tx, progress, task)
        await progress.rest()

    async def _waited(self, tx: Tx, progress: Progress, task: Task) -> None:
        if task.step_type == "wait":
            ended = await tasks.change(tx, task, None, "completed")
        else:
            ended = await tasks.change(tx, task, None, "failed", **failure(TaskTimedOut()))
        assert ended is not None, "the execution is held"
        await progress.ended(ended)

    async def reconcile(self, tenant_id: UUID) -> int:
        """Asks anew for tasks that have no job any more, has those failed whose job was put aside, and looks after what
        was not looked after: how many tasks.
        """
        async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
            there = await executions.to_look_at(tx)
            waiting = await executions.count(tx, "pending")
        if waiting:
            await self.give_places(tenant_id)
        lost = 0
        for execution_id in there:
            async with self.holding(tenant_id, execution_id) as (tx, progress):
                if progress is not None and progress.execution.is_open:
                    await self._look(tx, progress)
                    lost += await self._find_lost(tx, progress)
        return lost

    async def _find_lost(self, tx: Tx, progress: Progress) -> int:
        """How many tasks had no job that would ever do them."""
        if progress.execution.status != "running":
            return 0
        execution_id = progress.execution.id
        jobs = await asked(tx, STEP, {"execution_id": str(execution_id)})
        alive = {job["task_id"] for job, is_aside in jobs if not is_aside} | {str(one) for one in progress.begun}
        stuck = [one for one in await tasks.at_work(tx, execution_id) if str(one) not in alive]
        aside = {job["task_id"] for job, is_aside in jobs if is_aside}
        missing = [one for one in stuck if str(one) not in aside]
        await tasks.release(tx, execution_id, missing)
        progress.begin(*missing)
        for task_id in stuck:
            if str(task_id) in aside and progress.execution.is_open:
                await self._lost(tx, progress, task_id)
        return len(stuck)

    async def _lost(self, tx: Tx, progress: Progress, task_id: UUID) -> None:
        """A task has failed whose job failed as often as one may, or ended as many workers."""
        await forget(tx, STEP, {"task_id": str(task_id)})
        task = await tasks.get(tx, progress.execution.id, task_id)
        assert task is not None, "the execution is held"
        ended = await tasks.change(tx, task, None, "failed", **failure(TaskLost()))
        assert ended is not None, "the execution is held"
        await progress.ended(ended)
