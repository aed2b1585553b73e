"""Tasks done: by jobs, for whoever started the execution."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import structlog

from server.db.database import Database, Tx
from server.jobs.backlog import TenantRun
from server.jobs.runs import Overtaken
from server.kernel.errors import (
    DatabaseUnavailable,
    DomainError,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
)
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal, within
from server.kernel.tasks import Background, persistently, scoped
from server.workflow import worker
from server.workflow.definition import MOST_ITEMS, AgentRun, Approval, Chat, Search, Step, Transform, Wait
from server.workflow.errors import ExpressionFailed, TaskLost, TaskTimedOut
from server.workflow.executions import Execution, Task, TaskStatus, Used
from server.workflow.graph import items
from server.workflow.ports import Offload, People, Tenants
from server.workflow.service.actions import Actions
from server.workflow.service.engine import Engine
from server.workflow.service.progress import STEP, failure
from server.workflow.store import executions, tasks
from server.workflow.worker import Source

MOST_STEPS = 20
"""At once in one worker: each waits for a model most of the time."""

_MOST_BEGUN = 4
"""How often a job may be begun by workers that then are gone: the queue, which tells nobody, allows it more."""

_LOOK_SECONDS = 1.0
_SUSPENDED_SECONDS = 30.0
_MOST_DELAY = 3_600.0
_PATIENCE_SECONDS = 600.0
_NOBODY = UUID(int=0)

_UNFORESEEN: Mapping[str, Any] = {"error_reason": "INTERNAL", "error_message": "Something went wrong on the server."}

_log = structlog.get_logger("atrium.workflow")


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a run has to do. `token`: by which the task is its own. `known`: what expressions may name."""

    execution: Execution
    task: Task
    step: Step
    token: UUID
    known: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a try came to. `given`: what somebody decides about. `items`: what the step is to be run for. `seconds`:
    until what waits is due; None: it is not by itself. `agent_type`: which kind of agent did it.
    """

    status: TaskStatus = "completed"
    output: Any = None
    given: Mapping[str, Any] | None = None
    items: Sequence[Any] = ()
    seconds: float | None = None
    agent_type: str | None = None


@dataclass(slots=True)
class Spending:
    """What the models of a run have used so far, however it ends."""

    used: Used = field(default_factory=Used)

    def add(self, tokens: int, cost: Decimal | None) -> None:
        """A model was asked. `cost`: USD; None: no price is in force."""
        self.used += Used(1, tokens, cost or Decimal(0))


class _Gone(Exception):
    """The execution was ended meanwhile, or the task is another run's."""


class Steps:
    """Does STEP."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        offload: Offload,
        actions: Actions,
        people: People,
        tenants: Tenants,
        background: Background,
    ) -> None:
        self._database = database
        self._background = background
        self._engine = engine
        self._offload = offload
        self._actions = actions
        self._people = people
        self._tenants = tenants

    async def __call__(self, run: TenantRun) -> None:
        """Does the task, or has it done again later. Raises Overtaken, and what is wrong with the database."""
        try:
            await self._tenants.enter(run.tenant_id)
        except FailedPrecondition:  # who is suspended spends nothing, and goes on once they are not
            await self._leave(run, _SUSPENDED_SECONDS)
            return
        begun = await self._begin(run)
        if begun is None:
            return
        spending = Spending()
        try:
            await self._do(run, begun, spending)
        except (Overtaken, DatabaseUnavailable, asyncio.CancelledError):
            if spending.used.calls:  # whoever does the task anew has it before them: what is used up is not used again
                counting = persistently(lambda: self._count(begun, run.tenant_id, spending), _PATIENCE_SECONDS)
                self._background.start(counting, "what a step used")
            raise

    async def _do(self, run: TenantRun, begun: _Begun, spending: Spending) -> None:
        try:
            if run.lease.attempts > _MOST_BEGUN:
                raise TaskLost
            outcome = await self._attempt(run.tenant_id, begun, spending)
        except _Gone:
            await self._count(begun, run.tenant_id, spending)
        except DatabaseUnavailable:  # none of the task's tries: the job is done again
            raise
        except DomainError as error:
            await self._failed(run, begun, error, spending)
        except Exception as error:  # noqa: BLE001 - whatever it is, the execution tells of it, and is not held up
            _log.error("task failed", tenant_id=run.tenant_id, task_id=begun.task.id, exc_info=error)
            await self._failed(run, begun, None, spending)
        else:
            await self._succeeded(run, begun, outcome, spending)

    async def _leave(self, run: TenantRun, seconds: float | None = None) -> None:
        """The task is not done now. `seconds`: until it is to be; None: once the execution goes on, which it may do
        already.
        """
        execution_id, task_id = _named(run)
        delay = None if seconds is None else timedelta(seconds=seconds)
        async with self._engine.holding(run.tenant_id, execution_id, run) as (tx, progress):
            if progress is None or not await tasks.leave(tx, execution_id, task_id, str(run.id), delay):
                return
            if seconds is None:
                progress.begin(task_id)
            else:
                await progress.look_again(seconds)

    async def _begin(self, run: TenantRun) -> _Begun | None:
        """The task, which is this run's from now on; None where there is nothing to do for it now."""
        execution_id, _ = _named(run)
        async with self._database.tenant_tx(run.tenant_id) as tx:
            execution = await executions.lock(tx, execution_id)
            if execution is None or not execution.is_open:
                return None
            if execution.status == "running":
                return await self._taken(tx, run, execution)
        await self._leave(run)
        return None

    async def _taken(self, tx: Tx, run: TenantRun, execution: Execution) -> _Begun | None:
        token = uuid4()
        task = await tasks.begin(tx, execution.id, _named(run)[1], token, str(run.id))
        if task is None:
            return None
        about = {"task_id": str(task.id), "step_id": task.step_id, "iteration": task.iteration}
        await executions.tell(tx, execution.id, [("task_started", about)])
        step = execution.definition.step(task.step_id)
        before = sorted(worker.read_by(step, execution.definition.before(step.id), of_item=bool(task.iteration)))
        known = {
            "input": execution.input or {},
            "execution": {"id": str(execution.id)},
            "steps": await tasks.results(tx, execution.id, before) if before else {},
            **((task.input or {}) if task.iteration else {}),
        }
        return _Begun(execution, task, step, token, known)

    async def _attempt(self, tenant_id: UUID, begun: _Begun, spending: Spending) -> _Outcome:
        """Raises what is wrong, and _Gone."""
        begun.execution.usage.check(begun.execution.budget)
        caller = await self._caller(tenant_id, begun.execution)
        caller.require(Permission.WORKFLOWS_EXECUTE)
        try:
            with within(_call(begun, caller, spending)):
                async with asyncio.timeout(begun.step.timeout) as limit:
                    return await self._watched(tenant_id, begun, self._done(tenant_id, begun, spending))
        except TimeoutError:
            if limit.expired():
                raise TaskTimedOut from None
            raise

    async def _caller(self, tenant_id: UUID, execution: Execution) -> Principal:
        if execution.platform_user_id is not None:
            caller = await self._people.acting(PLATFORM_TENANT_ID, execution.platform_user_id, execution.api_key_id)
            caller.require(Permission.TENANTS_MANAGE)  # which it takes to act inside another tenant
            return caller.inside(tenant_id)
        if execution.user_id is None:
            return Principal(tenant_id, _NOBODY, None, frozenset())
        return await self._people.acting(tenant_id, execution.user_id, execution.api_key_id)

    async def _watched(self, tenant_id: UUID, begun: _Begun, work: Coroutine[Any, Any, _Outcome]) -> _Outcome:
        """What the work comes to, which ends where the task is not this run's any more. Raises _Gone."""
        async with scoped(work, "step") as task:
            while not (await asyncio.wait([task], timeout=_LOOK_SECONDS))[0]:
                # While nobody can look, it goes on: what it comes to is written down under the token alone.
                with suppress(DatabaseUnavailable):
                    async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
                        if not await tasks.held(tx, begun.task, begun.token):
                            raise _Gone
            return task.result()

    async def _done(self, tenant_id: UUID, begun: _Begun, spending: Spending) -> _Outcome:
        """What the task comes to. Raises what is wrong."""
        step = begun.step
        if not begun.task.iteration:
            if step.when:
                (condition,) = await self._computed(tenant_id, begun, [Source("when", step.when)])
                if not isinstance(condition, bool):
                    raise ExpressionFailed("when", "it is neither true nor false")
                if not condition:
                    return _Outcome("skipped")
            if step.for_each:
                (found,) = await self._computed(tenant_id, begun, [Source("for_each", step.for_each)])
                if not isinstance(found, list) or len(found) > MOST_ITEMS:
                    raise ExpressionFailed("for_each", f"it is no list of at most {MOST_ITEMS}")
                return _Outcome("waiting", items=found) if found else _Outcome(output=[])
        given = await self._computed(tenant_id, begun, worker.asked(step))
        match step.action:
            case Transform():
                return _Outcome(output=given[0])
            case Chat() as chat:
                return _Outcome(output=await self._actions.chat(chat, given))
            case AgentRun() as run:

                def within_budget() -> None:
                    (begun.execution.usage + spending.used).check(begun.execution.budget)

                output, agent_type = await self._actions.agent(run, given, within_budget)
                return _Outcome(output=output, agent_type=agent_type)
            case Search() as search:
                return _Outcome(output=await self._actions.search(search, given[0]))
            case Approval():
                about = {"message": given[0], "value": given[1] if len(given) > 1 else None}
                return _Outcome("waiting", given=about, seconds=step.timeout)
            case Wait(seconds):
                return _Outcome("waiting", seconds=seconds)

    async def _computed(self, tenant_id: UUID, begun: _Begun, sources: Sequence[Source]) -> list[Any]:
        if not sources:
            return []
        return await self._offload.run(tenant_id, worker.computed, sources, begun.known)

    async def _count(self, begun: _Begun, tenant_id: UUID, spending: Spending) -> None:
        """What models used is the execution's, whatever becomes of what they said."""
        if spending.used.calls:
            async with self._engine.holding(tenant_id, begun.execution.id) as (_, progress):
                if progress is not None:
                    await progress.spent(begun.task.id, begun.token, spending.used)

    async def _succeeded(self, run: TenantRun, begun: _Begun, outcome: _Outcome, spending: Spending) -> None:
        task = begun.task
        said: dict[str, Any] = {} if outcome.agent_type is None else {"agent_type": outcome.agent_type}
        async with self._engine.holding(run.tenant_id, task.execution_id, run) as (tx, progress):
            if progress is None:
                return
            await progress.spent(task.id, begun.token, spending.used)
            if outcome.status == "waiting":
                given = {**said, "input": outcome.given, "waiting_on": len(outcome.items)}
                delay = None if outcome.seconds is None else timedelta(seconds=outcome.seconds)
                changed = await tasks.change(tx, task, begun.token, "waiting", delay=delay, **given)
                if changed is None:
                    return
                progress.tell("task_waiting", changed)
                if outcome.seconds is not None:
                    await progress.look_again(outcome.seconds)
                made = items(task.step_id, task.step_type, outcome.items)
                progress.begin(*await tasks.add(tx, task.execution_id, made))
                return
            changed = await tasks.change(tx, task, begun.token, outcome.status, output=outcome.output, **said)
            if changed is not None:
                await progress.ended(changed)

    async def _failed(self, run: TenantRun, begun: _Begun, error: DomainError | None, spending: Spending) -> None:
        """`error`: None for one that nobody is told of."""
        task, retry = begun.task, begun.step.retry
        told = _UNFORESEEN if error is None else failure(error)
        async with self._engine.holding(run.tenant_id, task.execution_id, run) as (tx, progress):
            if progress is None:
                return
            await progress.spent(task.id, begun.token, spending.used)
            failures = task.retry_count + 1
            if failures < retry.max_attempts and _may_pass(error):
                seconds = min(retry.seconds * 2.0**task.retry_count, _MOST_DELAY)
                seconds = max(seconds, getattr(error, "retry_after", None) or 0.0)
                delay = timedelta(seconds=seconds)
                changed = await tasks.change(tx, task, begun.token, "ready", delay=delay, retry_count=failures, **told)
                if changed is not None:
                    progress.tell("task_retried", changed, **told)
                    await progress.look_again(seconds)
                return
            changed = await tasks.change(tx, task, begun.token, "failed", retry_count=failures, **told)
            if changed is not None:
                await progress.ended(changed)


def _named(run: TenantRun) -> tuple[UUID, UUID]:
    """The execution and the task that the job is for."""
    return UUID(run.payload["execution_id"]), UUID(run.payload["task_id"])


def _may_pass(error: DomainError | None) -> bool:
    """Whether another try may end otherwise."""
    if isinstance(error, Unavailable | ResourceExhausted):
        return error.retry_after is not None
    return isinstance(error, TaskTimedOut)


def _call(begun: _Begun, caller: Principal, spending: Spending) -> Call:
    """The call that started the execution, as far as what is done for it goes on."""
    execution = begun.execution
    return Call(
        method=STEP,
        request_id=execution.request_id or str(execution.id),
        trace_id=execution.trace_id or execution.id.hex,
        span_id=uuid4().hex[:16],
        principal=caller,
        execution_id=execution.id,
        task_id=begun.task.id,
        used=spending.add,
    )
