"""Executions: started, found, paused, resumed, ended, repeated, and what somebody decides in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change
from server.kernel.errors import InvalidRequest
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.workflow.definition import Definition
from server.workflow.domain import manages
from server.workflow.errors import (
    ExecutionNotFound,
    ExecutionNotPaused,
    ExecutionPaused,
    TaskNotFound,
    TaskNotWaiting,
    TaskRejected,
    TooManyExecutions,
    WorkflowVersionNotFound,
)
from server.workflow.executions import MOST_PENDING, Budget, Decision, Execution, Listed, Task
from server.workflow.graph import Taken, after, first_tasks
from server.workflow.limits import problem
from server.workflow.ports import AuditLog
from server.workflow.service.engine import Engine, Places
from server.workflow.service.progress import Progress, failure
from server.workflow.service.sight import Sight
from server.workflow.service.values import execution_values
from server.workflow.store import executions as store
from server.workflow.store import tasks

_RETRY_SECONDS = 10.0


class ExecutionService:
    """Keeps the executions of the caller's tenant."""

    def __init__(self, database: Database, sight: Sight, engine: Engine, audit: AuditLog) -> None:
        self._database = database
        self._sight = sight
        self._engine = engine
        self._audit = audit

    async def execute(
        self, workflow_id: UUID, version: str, given: Mapping[str, Any], priority: int, budget: Budget
    ) -> Execution:
        """A new one, for the caller. `version`: empty: the newest.

        Raises WorkflowNotFound, WorkflowDeleted, WorkflowVersionNotFound, InvalidRequest, TooManyExecutions.
        """
        check("input", given)
        workflow = await self._sight.workflow(workflow_id, "include")
        workflow.check_live()
        definition = workflow.definition
        if version not in ("", workflow.version):
            found = await self._sight.version(workflow, version)
            if found is None:
                raise WorkflowVersionNotFound(version)
            definition = found.definition
        made = {
            "workflow_id": workflow_id,
            "workflow_version": version or workflow.version,
            "definition": definition,
            "personal": workflow.visibility == "personal",
            "input": given,
            "priority": priority,
            "budget": budget,
        }
        return await self._create(made, definition, {})

    async def get(self, execution_id: UUID) -> Execution:
        """Raises ExecutionNotFound."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return seen(execution_id, await store.get(tx, execution_id))

    async def page(self, request: PageRequest, filters: Mapping[str, Any]) -> Page[Listed]:
        """What the caller sees, newest first. `filters`: workflow_id, status, trace_id."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            return await store.page(tx, request, caller.member_id, filters, personal=manages(caller))

    async def tasks(self, execution_id: UUID, request: PageRequest, status: str | None) -> Page[Task]:
        """Newest first. Raises ExecutionNotFound."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            seen(execution_id, await store.get(tx, execution_id))
            return await tasks.page(tx, execution_id, request, status)

    async def lineage(self, execution_id: UUID) -> tuple[list[Listed], list[Listed]]:
        """What it repeats, and what repeats it, as far as the caller sees it. Raises ExecutionNotFound."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            seen(execution_id, await store.get(tx, execution_id))
            above, below = await store.lineage(tx, execution_id)
        return [one for one in above if one.seen_by(caller)], [one for one in below if one.seen_by(caller)]

    async def pause(self, execution_id: UUID, reason: str) -> Execution:
        """Raises ExecutionNotFound, ExecutionEnded, ExecutionPaused."""
        async with self._held(execution_id) as (tx, progress):
            if progress.execution.status == "paused":
                raise ExecutionPaused(str(execution_id))
            old = progress.execution
            progress.execution = await store.change(tx, execution_id, status="paused", pause_reason=reason or None)
            progress.tell("execution_paused")
            await self._record(tx, "executions.pause", old, progress.execution)
        return progress.execution

    async def resume(self, execution_id: UUID) -> Execution:
        """Raises ExecutionNotFound, ExecutionEnded, ExecutionNotPaused."""
        caller = current_call().caller
        places = await self._engine.places(caller.tenant_id)
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = seen(execution_id, await store.lock(tx, execution_id))
            old.check_open()
            if old.status != "paused":
                raise ExecutionNotPaused(str(execution_id))
            await store.change(tx, execution_id, status="pending", pause_reason=None)
            return await self._admitted(tx, "executions.resume", old, places)

    async def cancel(self, execution_id: UUID) -> Execution:
        """Raises ExecutionNotFound, ExecutionEnded."""
        async with self._held(execution_id) as (tx, progress):
            old = progress.execution
            await progress.cancel()
            await self._record(tx, "executions.cancel", old, progress.execution)
        return progress.execution

    async def replay(self, execution_id: UUID, from_step_id: str) -> Execution:
        """The same once more, for the caller. `from_step_id`: what does not need that step is taken over; empty:
        nothing is.

        Raises ExecutionNotFound, WorkflowNotFound, WorkflowDeleted, InvalidRequest, TooManyExecutions.
        """
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            old = seen(execution_id, await store.get(tx, execution_id))
            names = [step.id for step in old.definition.steps]
            if from_step_id and from_step_id not in names:
                raise InvalidRequest([("from_step_id", "is no step of the execution")])
            kept = set(names) - after(old.definition, from_step_id) if from_step_id else set()
            taken = await tasks.taken(tx, execution_id, sorted(kept))
        (await self._sight.workflow(old.workflow_id, "include")).check_live()
        made = {
            "workflow_id": old.workflow_id,
            "workflow_version": old.workflow_version,
            "definition": old.definition,
            "personal": old.personal,
            "input": old.input,
            "priority": old.priority,
            "budget": old.budget,
            "parent_execution_id": old.id,
        }
        return await self._create(made, old.definition, taken)

    async def decide(self, execution_id: UUID, task_id: UUID, decision: Decision, value: Any, comment: str) -> Task:
        """Decides about a task that waits for somebody. `value`: what it is to be instead, where it is modified.

        Raises ExecutionNotFound, ExecutionEnded, TaskNotFound, TaskNotWaiting, InvalidRequest.
        """
        check("value", value)
        async with self._held(execution_id) as (tx, progress):
            task = await tasks.get(tx, execution_id, task_id)
            if task is None:
                raise TaskNotFound(task_id)
            if task.status != "waiting" or task.step_type != "approval" or task.input is None:
                raise TaskNotWaiting(task.step_id)
            old = progress.execution
            progress.tell("task_decided", task, decision=decision)
            said = {"decision": decision, "comment": comment or None}
            if decision == "reject":
                rejected = TaskRejected(task.step_id)
                changed = await tasks.change(tx, task, None, "failed", output=said, **failure(rejected))
            else:
                said["value"] = value if decision == "modify" else task.input["value"]
                changed = await tasks.change(tx, task, None, "completed", output=said)
            assert changed is not None, "the execution is held"
            await progress.ended(changed)
            about = {"task_id": str(task_id), "step_id": task.step_id, "decision": decision, "comment": comment or None}
            await self._record(tx, "executions.decide", old, progress.execution, about)
        return changed

    async def _create(self, made: Mapping[str, Any], definition: Definition, taken: Mapping[str, Taken]) -> Execution:
        call = current_call()
        places = await self._engine.places(call.caller.tenant_id)
        execution_id = uuid7()
        said = {
            **made,
            "id": execution_id,
            "user_id": call.caller.member_id,
            "api_key_id": call.caller.api_key_id,
            "platform_user_id": None if call.caller.member_id else call.caller.user_id,
            "request_id": call.request_id,
            "trace_id": call.trace_id,
        }
        async with self._database.tenant_tx(call.caller.tenant_id) as tx:
            if await store.count(tx, "pending") >= MOST_PENDING:
                raise TooManyExecutions("executions", _RETRY_SECONDS)
            execution = await store.create(tx, said)
            await tasks.add(tx, execution_id, first_tasks(definition, taken))
            return await self._admitted(tx, "executions.create", execution, places, made=True)

    async def _admitted(
        self, tx: Tx, action: str, execution: Execution, places: Places, *, made: bool = False
    ) -> Execution:
        """The execution, once places are given. `made`: there was none before."""
        await self._engine.admit(tx, places)
        found = await store.get(tx, execution.id)
        assert found is not None, "it is held"
        await self._record(tx, action, None if made else execution, found)
        return found

    @asynccontextmanager
    async def _held(self, execution_id: UUID) -> AsyncIterator[tuple[Tx, Progress]]:
        """A transaction that holds the execution. Raises ExecutionNotFound, ExecutionEnded."""
        async with self._engine.holding(current_call().caller.tenant_id, execution_id) as (tx, progress):
            seen(execution_id, None if progress is None else progress.execution).check_open()
            assert progress is not None, "it is seen"
            yield tx, progress

    async def _record(
        self,
        tx: Tx,
        action: str,
        old: Execution | None,
        new: Execution,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        said = {**(execution_values(new) or {}), **(about or {})}
        await self._audit.record(tx, Change(action, "execution", new.id, old=execution_values(old), new=said))


def seen(execution_id: UUID, execution: Execution | None) -> Execution:
    """The same. Raises ExecutionNotFound where there is none, or the caller does not see it."""
    if execution is None or not execution.seen_by(current_call().caller):
        raise ExecutionNotFound(execution_id)
    return execution


def check(field: str, value: Any) -> None:
    """Raises InvalidRequest where it is more than is kept."""
    if wrong := problem(value):
        raise InvalidRequest([(field, wrong)])
