"""How an execution goes on when something of it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import floor
from typing import Any
from uuid import UUID

import orjson

from server.db.database import Tx
from server.jobs.backlog import Backlog
from server.jobs.queue import enqueue
from server.kernel.errors import DomainError
from server.workflow.definition import MOST_BYTES, RESULT
from server.workflow.errors import ExpressionFailed
from server.workflow.executions import EventType, Execution, Task, Used
from server.workflow.store import executions, tasks

STEP = "step/1"
"""The job that does a task."""

TEND = "tend/1"
"""The job that looks whether something of an execution is due."""

_LOOK_SECONDS = 0.25
_MOST_READ = 16 * MOST_BYTES
"""Of what items come to, as PostgreSQL writes it: with spaces."""


class Progress:
    """What happens to an execution in a transaction that holds it. `close` it at the end of that."""

    def __init__(self, tx: Tx, execution: Execution, backlog: Backlog) -> None:
        self._tx = tx
        self.execution = execution
        self._backlog = backlog
        self._told: list[tuple[EventType, Mapping[str, Any]]] = []
        self._jobs: list[UUID] = []

    def tell(self, kind: EventType, task: Task | None = None, **said: Any) -> None:
        """Has it told that this happened."""
        about: dict[str, Any] = {}
        if task is not None:
            about = {"task_id": str(task.id), "step_id": task.step_id, "iteration": task.iteration}
        self._told.append((kind, {**about, **said}))

    def begin(self, *task_ids: UUID) -> None:
        """Has the tasks begun, if the execution runs: where it is paused, they wait until it is resumed."""
        if self.execution.status == "running":
            self._jobs += task_ids

    @property
    def begun(self) -> Sequence[UUID]:
        """The tasks that are begun once the transaction has committed."""
        return self._jobs

    async def spent(self, task_id: UUID, token: UUID, used: Used) -> None:
        """Models used this for a run of the task, whether that or the execution has ended or not. It is counted once,
        however often it is told: who heard nothing of a commit does not know whether there was one.
        """
        if used.calls and await tasks.spend(self._tx, self.execution.id, task_id, token, used):
            total = self.execution.usage + used
            self.execution = await executions.change(self._tx, self.execution.id, usage=total)

    async def look_again(self, seconds: float) -> None:
        """Has the execution looked at then, or a little later."""
        await look_again(self._tx, self.execution.id, seconds)

    async def ended(self, task: Task) -> None:
        """A task has ended: what waited for it goes on, or the execution ends."""
        left = [task]
        while left and self.execution.is_open:
            one = left.pop()
            if one.status == "skipped":
                self.tell("task_skipped", one)
            elif one.status == "failed":
                self.tell("task_failed", one, error_reason=one.error_reason, error_message=one.error_message)
            else:
                self.tell("task_completed", one)
            step = self.execution.definition.step(one.step_id)
            if one.status == "failed" and step.on_failure == "fail":
                await self.fail(one.error_reason, f"Step {one.step_id}: {one.error_message}")
            elif one.iteration:
                left += await self._item_ended(one)
            else:
                left += await self._step_ended(one)
        await self.rest()

    async def rest(self) -> None:
        """The execution completes, if there is nothing left of it to do."""
        if self.execution.is_open and not await tasks.any_open(self._tx, self.execution.id):
            await self._complete()

    async def fail(self, reason: str | None, message: str) -> None:
        """The execution fails, and nothing more of it is done."""
        await self._end("failed", error_reason=reason, error_message=message)
        self.tell("execution_failed", error_reason=reason, error_message=message)

    async def cancel(self) -> None:
        """The execution was ended by somebody."""
        self.execution = await cancelled(self._tx, self.execution)

    async def write(self) -> None:
        """Writes down what happened so far."""
        if self._told:
            await executions.tell(self._tx, self.execution.id, self._told)
            self._told.clear()

    async def close(self) -> None:
        """Writes down what happened, and has begun what is to be begun. It comes last in its transaction."""
        await self.write()
        if self._jobs:
            payloads = [{"execution_id": str(self.execution.id), "task_id": str(one)} for one in self._jobs]
            await self._backlog.add(self._tx, STEP, *payloads)

    async def _item_ended(self, item: Task) -> list[Task]:
        """The step, if it was its last item."""
        (*last,) = await tasks.count_down(self._tx, self.execution.id, [item.step_id])
        if not last:
            return []
        this = self._tx, self.execution.id, item.step_id
        output = None
        if await tasks.item_outputs_length(*this) <= _MOST_READ:
            output = await tasks.item_outputs(*this)
        if output is None or _size(output) > MOST_BYTES:
            failed = ExpressionFailed("for_each", f"what the items come to has more than {MOST_BYTES} bytes")
            return [await self._changed(last[0], "failed", **failure(failed))]
        return [await self._changed(last[0], "completed", output=output)]

    async def _step_ended(self, task: Task) -> list[Task]:
        """Those that are skipped now. The others that wait for nothing more are begun."""
        following = {step.id: step for step in self.execution.definition.run if task.step_id in step.needs}
        if not following:
            return []
        free = await tasks.count_down(self._tx, self.execution.id, list(following))
        needs = {need for one in free for need in following[one.step_id].needs}
        found = await tasks.states(self._tx, self.execution.id, sorted(needs))
        skipped = []
        for one in free:
            # The output is of all steps, and can say what it is where none of the last ones was done.
            if one.step_id != RESULT and {found[need] for need in following[one.step_id].needs} == {"skipped"}:
                skipped.append(await self._changed(one, "skipped"))
            else:
                self.begin((await self._changed(one, "ready")).id)
        return skipped

    async def _changed(self, task: Task, status: Any, **said: Any) -> Task:
        changed = await tasks.change(self._tx, task, None, status, **said)
        assert changed is not None, "the execution is held"
        return changed

    async def _complete(self) -> None:
        definition = self.execution.definition
        wanted = [RESULT] if definition.output else definition.leaves
        found = await tasks.results(self._tx, self.execution.id, wanted)
        output = found[RESULT]["output"] if definition.output else {name: found[name]["output"] for name in wanted}
        if _size(output) > MOST_BYTES:
            failed = ExpressionFailed("output", f"what it comes to has more than {MOST_BYTES} bytes")
            await self.fail(failed.reason, failed.message)
            return
        await self._end("completed", output=output)
        self.tell("execution_completed")

    async def _end(self, status: Any, **said: Any) -> None:
        await tasks.cancel_open(self._tx, self.execution.id)
        self.execution = await executions.ended(self._tx, self.execution.id, status, **said)
        self._jobs.clear()
        await executions.count_end(self._tx, self.execution)


async def cancelled(tx: Tx, execution: Execution) -> Execution:
    """The execution, which is held, ended with all that it has not come to."""
    await tasks.cancel_open(tx, execution.id)
    await executions.tell(tx, execution.id, [("execution_cancelled", {})])
    return await executions.ended(tx, execution.id, "cancelled")


def failure(error: DomainError) -> Mapping[str, Any]:
    """What is kept of it. It may name what a tenant wrote, and PostgreSQL's texts have no NUL."""
    return {"error_reason": error.reason, "error_message": error.message.replace("\0", "\ufffd")}


async def look_again(tx: Tx, execution_id: UUID, seconds: float) -> None:
    """Has the transaction's execution, which is held, looked at so many seconds from now, or a little later.

    What is due together is looked for together: a thousand items that wait are not a thousand jobs.
    """
    # By the clock, and later than it: a job of that moment which is there already has not begun.
    moment, begun = await executions.moment(tx)
    due = (floor((moment + seconds) / _LOOK_SECONDS) + 1) * _LOOK_SECONDS
    payload = orjson.dumps({"tenant_id": str(tx.tenant_id), "execution_id": str(execution_id)})
    await enqueue(tx, TEND, payload, delay=timedelta(seconds=due - begun), key=f"{execution_id}/tend/{due:.2f}")


def _size(value: Any) -> int:
    return len(orjson.dumps(value))
