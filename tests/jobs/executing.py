"""Executions of workflows, and fakes of what their steps take, at which runs can be held."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.jobs.backlog import Backlog, TenantRun
from server.jobs.runs import Run
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal, current_call, within
from server.kernel.tasks import Background
from server.workflow.definition import Chat, ChatMessage, Definition, Search, Step, Transform, values
from server.workflow.executions import Budget, Execution
from server.workflow.service.actions import Actions
from server.workflow.service.engine import Engine
from server.workflow.service.executions import ExecutionService
from server.workflow.service.progress import STEP, TEND
from server.workflow.service.sight import Sight
from server.workflow.service.steps import MOST_STEPS, Steps
from tests.jobs.ingesting import FakeTenants
from tests.jobs.ingesting import Step as Gate

TOKENS = 10
"""That each chat uses."""

_WORKFLOW = """
INSERT INTO workflows (tenant_id, name, definition, version, visibility)
VALUES ($1, gen_random_uuid()::text, $2, 'v1.0', 'tenant') RETURNING id
"""
_TAKE = """
UPDATE jobs.pgqueuer SET status = 'picked', updated = now()
WHERE status = 'queued' AND execute_after <= now() AND entrypoint = $1
RETURNING id, convert_from(payload, 'UTF8') AS payload
"""
_LATER = "UPDATE jobs.pgqueuer SET execute_after = execute_after - $2::interval WHERE entrypoint = $1"
_BEGIN = """
INSERT INTO jobs.runs AS run (job_id, attempts, run_token) VALUES ($1, $2, $3)
ON CONFLICT (job_id) DO UPDATE SET attempts = excluded.attempts, run_token = excluded.run_token
"""
_JOB = "SELECT payload, status, failed_runs FROM tenant_jobs WHERE id = $1"


def chat(step_id: str, *needs: str, **fields: Any) -> Step:
    return Step(step_id, Chat([ChatMessage("user", step_id)]), needs, **fields)


def transform(step_id: str, value: str, *needs: str, **fields: Any) -> Step:
    return Step(step_id, Transform(value), needs, **fields)


class FakeActions(Actions):
    """A chat tells what it was asked, or raises what there is `wrong`. `asked`: how often, by step."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.wrong: Exception | None = None
        self.asked: Counter[str] = Counter()
        self.under_way: Counter[UUID | None] = Counter()
        self.most_under_way = 0

    async def chat(self, action: Chat, contents: Sequence[str]) -> dict[str, Any]:
        call = current_call()
        self.asked[contents[0]] += 1
        self.under_way[call.execution_id] += 1
        self.most_under_way = max(self.most_under_way, len(+self.under_way))
        try:
            await self._gate.pass_by()
        finally:
            self.under_way[call.execution_id] -= 1
        assert call.used is not None
        call.used(TOKENS, Decimal("0.5"))
        if self.wrong is not None:
            raise self.wrong
        return {"text": f"{contents[0]} {self.asked[contents[0]]}"}

    async def search(self, action: Search, query: str) -> dict[str, Any]:
        raise NotImplementedError


class FakeOffload:
    """Computes here."""

    async def run(self, tenant_id: UUID, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)


class FakePeople:
    """All of them may do everything."""

    async def acting(self, tenant_id: UUID, user_id: UUID, api_key_id: UUID | None) -> Principal:
        return Principal(tenant_id, user_id, None, frozenset(Permission))


@dataclass(frozen=True)
class Settings:
    max_concurrent_workflows: int = 100
    workflow_timeout_seconds: int = 3_600


class Tenants(FakeTenants):
    """All of them have set the same."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings

    async def model_settings(self, tenant_id: UUID) -> Settings:
        return self.settings


@dataclass(frozen=True)
class Job:
    """A job that a worker has taken. `number`: in the queue."""

    number: int
    id: UUID


class Executing:
    """What executes workflows of a tenant. `gate`: where its chats may be held."""

    def __init__(
        self, database: Database, admin: Any, tenant_id: UUID, *, shut: bool = False, settings: Settings | None = None
    ) -> None:
        self.gate = Gate(shut=shut)
        self.actions = FakeActions(self.gate)
        self.tenants = Tenants(settings or Settings())
        self.backlog = Backlog(1_000)
        self.engine = Engine(database, self.backlog, self.tenants)
        self.background = Background()
        self.steps = Steps(
            database, self.engine, FakeOffload(), self.actions, FakePeople(), self.tenants, self.background
        )
        self.executions = ExecutionService(database, Sight(database), self.engine, AuditLog(database))
        self._database = database
        self._admin = admin
        self.tenant_id = tenant_id

    def call(self, user_id: UUID | None = None) -> Call:
        caller = Principal(self.tenant_id, user_id or UUID(int=7), None, frozenset(Permission))
        return Call("test", "request-7", "ab" * 16, "cd" * 8, principal=caller)

    async def workflow(self, *steps: Step, output: str = "") -> UUID:
        kept = json.dumps(values(Definition(steps, output)))
        workflow_id: UUID = await self._admin.fetchval(_WORKFLOW, self.tenant_id, kept)
        return workflow_id

    async def start(self, *steps: Step, output: str = "", **fields: Any) -> UUID:
        """The id of an execution of these steps."""
        return (await self.execute(await self.workflow(*steps, output=output), **fields)).id

    async def execute(self, workflow_id: UUID, user_id: UUID | None = None, **given: Any) -> Execution:
        with within(self.call(user_id)):
            return await self.executions.execute(workflow_id, "", given, 0, Budget())

    async def does(self, verb: str, execution_id: UUID, *arguments: Any) -> Any:
        """`verb`: a method of the service, as the owner calls it."""
        with within(self.call()):
            return await getattr(self.executions, verb)(execution_id, *arguments)

    async def get(self, execution_id: UUID) -> Execution:
        found: Execution = await self.does("get", execution_id)
        return found

    async def take(self) -> list[Job]:
        """The jobs for tasks that are due."""
        rows = await self._admin.fetch(_TAKE, STEP)
        return [Job(row["id"], UUID(orjson.loads(row["payload"])["id"])) for row in rows]

    async def run(self, job: Job, attempts: int = 1) -> asyncio.Task[None]:
        """A run of the job that has begun: those before it are overtaken. Raises what it does."""
        token = uuid4()
        await self._admin.execute(_BEGIN, job.number, attempts, token)
        row = await self._admin.fetchrow(_JOB, job.id)
        known = {**row, "payload": orjson.loads(row["payload"])}
        lease = Run(job.number, b"", attempts, token)
        return asyncio.create_task(self._do(TenantRun(lease, self.backlog, self.tenant_id, job.id, known)))

    async def overtaken(self, other: Executing) -> tuple[asyncio.Task[None], asyncio.Event]:
        """A run of the one job there is, which is held, and has been overtaken by the other's, which is done; and
        what lets it go on.
        """
        (job,) = await self.take()
        first = await self.run(job)
        go_on = await self.gate.arrival()
        await (await other.run(job, attempts=2))
        return first, go_on

    async def _do(self, run: TenantRun) -> None:
        await self.steps(run)
        if not run.finished:
            async with self._database.tenant_tx(self.tenant_id) as tx:
                await self.backlog.end(tx, run)

    async def look(self, seconds: float = 7_200.0) -> int:
        """Looks at executions as if so many seconds had gone by; how many jobs there were for it."""
        await self._admin.execute(_LATER, TEND, timedelta(seconds=seconds))
        rows = await self._admin.fetch(_TAKE, TEND)
        for row in rows:
            await self.engine.tend(Run(row["id"], row["payload"].encode(), 1, uuid4()))
            await self._admin.execute("DELETE FROM jobs.pgqueuer WHERE id = $1", row["id"])
        return len(rows)

    async def forget_jobs(self) -> None:
        """Whatever was asked for is lost, as by a backup that is older."""
        await self._admin.execute("DELETE FROM jobs.pgqueuer; DELETE FROM jobs.runs; DELETE FROM tenant_jobs")

    async def drain(self) -> None:
        """Does the jobs for tasks, and those that come of them, until there are none."""
        while jobs := await self.take():
            for begin in range(0, len(jobs), MOST_STEPS):
                await asyncio.gather(*[await self.run(job) for job in jobs[begin : begin + MOST_STEPS]])

    async def tasks(self, execution_id: UUID) -> dict[tuple[str, int], Any]:
        rows = await self._admin.fetch("SELECT * FROM workflow_tasks WHERE execution_id = $1", execution_id)
        return {(row["step_id"], row["iteration"]): row for row in rows}

    async def told(self, execution_id: UUID) -> list[tuple[str, str]]:
        """What happened to which step. There is no gap in it."""
        rows = await self._admin.fetch(
            "SELECT seq, event_type, payload FROM execution_events WHERE execution_id = $1 ORDER BY seq", execution_id
        )
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        return [(row["event_type"], orjson.loads(row["payload"]).get("step_id", "")) for row in rows]

    async def check_done_once(self, execution_id: UUID, step_id: str) -> None:
        """The step was done, and the execution completed."""
        told = await self.told(execution_id)
        assert told.count(("task_completed", step_id)) == 1
        assert told[-1] == ("execution_completed", "")
