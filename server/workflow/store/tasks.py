"""Tasks of executions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Integer,
    Interval,
    Numeric,
    String,
    Text,
    Uuid,
    all_,
    and_,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.bounded import bounded, page_of
from server.db.database import Tx
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.workflow.executions import ENDED_TASKS, Task, TaskStatus, Used
from server.workflow.graph import NewTask, Taken
from server.workflow.store.executions import used
from server.workflow.tables import workflow_tasks as tasks

_COLUMNS = tuple(tasks.c[name] for name in Task.__dataclass_fields__)
_OF = tasks.c.execution_id == bindparam("execution_id")
_THIS = (_OF, tasks.c.id == bindparam("task_id"))
_MINE = (*_THIS, tasks.c.run_token == bindparam("token"))
_OPEN = tasks.c.status.not_in(ENDED_TASKS)
_STEP = tasks.c.iteration == 0
_THESE = tasks.c.step_id == any_(bindparam("step_ids", type_=ARRAY(String)))

_MADE = {
    "id": Uuid,
    "step_id": String,
    "step_type": String,
    "iteration": Integer,
    "status": String,
    "waiting_on": Integer,
    "input": JSONB,
    "output": JSONB,
}
_made = (
    func.unnest(*(bindparam(f"{name}s", type_=ARRAY(kind)) for name, kind in _MADE.items()))
    .table_valued(*(column(name, kind) for name, kind in _MADE.items()))
    .render_derived(name="made")
)
_ended = case((_made.c.status.in_(ENDED_TASKS), func.now()))
_ADD = Statement(
    insert(tasks).from_select(
        ["tenant_id", "execution_id", *_MADE, "completed_at"],
        select(
            bindparam("tenant_id", type_=Uuid),
            bindparam("execution_id", type_=Uuid),
            *(_made.c[name] for name in _MADE),
            _ended,
        ),
    )
)
_GET = Statement(select(*_COLUMNS).where(*_THIS))
_FREE = and_(tasks.c.status == "ready", tasks.c.not_before.is_(None))
_WORKERS = and_(tasks.c.status == "running", tasks.c.worker_id == bindparam("worker_id"))
_BEGIN = Statement(
    update(tasks)
    .where(
        *_THIS,
        or_(_FREE, _WORKERS),
    )
    .values(
        status="running",
        attempt=tasks.c.attempt + 1,
        run_token=bindparam("token"),
        worker_id=bindparam("worker_id"),
        started_at=func.coalesce(tasks.c.started_at, func.now()),
        not_before=None,
    )
    .returning(*_COLUMNS)
)
_HELD = Statement(select(tasks.c.id).where(*_MINE))
_LEAVE = Statement(
    update(tasks)
    .where(*_THIS, or_(_FREE, _WORKERS))
    .values(status="ready", run_token=None, not_before=func.now() + bindparam("delay", type_=Interval))
    .returning(tasks.c.id)
)
_spent: Mapping[str, Any] = {
    name: cast(func.coalesce(tasks.c.usage[name].astext, "0"), kind) + bindparam(name, type_=kind)
    for name, kind in {"calls": BigInteger, "tokens": BigInteger, "cost": Numeric}.items()
}
_SPEND = Statement(
    update(tasks)
    .where(*_THIS, bindparam("token", type_=Uuid) != all_(tasks.c.counted_runs))
    .values(
        usage=func.jsonb_build_object(
            *("calls", _spent["calls"], "tokens", _spent["tokens"], "cost", cast(_spent["cost"], Text))
        ),
        counted_runs=func.array_append(tasks.c.counted_runs, bindparam("token", type_=Uuid)),
    )
    .returning(tasks.c.id)
)
_COUNT_DOWN = Statement(
    update(tasks).where(_OF, _STEP, _THESE, _OPEN).values(waiting_on=tasks.c.waiting_on - 1).returning(*_COLUMNS)
)
_STATES = Statement(select(tasks.c.step_id, tasks.c.status).where(_OF, _STEP, _THESE))
_RESULTS = Statement(
    select(tasks.c.step_id, tasks.c.status, tasks.c.output, tasks.c.error_message).where(_OF, _STEP, _THESE)
)
_ITEM = (_OF, tasks.c.step_id == bindparam("step_id"), tasks.c.iteration > 0)
_ITEMS = Statement(select(tasks.c.output).where(*_ITEM).order_by(tasks.c.iteration))
_ITEMS_LENGTH = Statement(
    select(func.coalesce(func.sum(func.octet_length(cast(tasks.c.output, Text))), 0)).where(*_ITEM)
)
_ANY_OPEN = Statement(select(select(tasks.c.id).where(_OF, _OPEN).exists()))
_CANCEL = Statement(update(tasks).where(_OF, _OPEN).values(status="cancelled", completed_at=func.now(), run_token=None))
_DUE_AGAIN = Statement(
    update(tasks)
    .where(_OF, tasks.c.status == "ready", tasks.c.not_before <= func.now())
    .values(not_before=None)
    .returning(tasks.c.id)
)
_READY = Statement(select(tasks.c.id).where(_OF, _FREE))
_AT_WORK = Statement(
    select(tasks.c.id).where(_OF, tasks.c.status.in_(("ready", "running")), tasks.c.not_before.is_(None))
)
_RELEASE = Statement(
    update(tasks)
    .where(_OF, tasks.c.id == any_(bindparam("task_ids", type_=ARRAY(Uuid))), tasks.c.status == "running")
    .values(status="ready", run_token=None)
)
_DUE = Statement(
    select(*_COLUMNS).where(_OF, tasks.c.status == "waiting", tasks.c.not_before <= func.now()).order_by(tasks.c.id)
)


@cache
def _list(*, by_status: bool) -> Statement:
    only = (tasks.c.status == bindparam("status"),) if by_status else ()
    statement = select(*_COLUMNS).where(_OF, tasks.c.id < bindparam("before"), *only)
    listed = statement.order_by(tasks.c.id.desc()).limit(bindparam("most"))
    return Statement(bounded(listed, tasks.c.input, tasks.c.output))


@cache
def _end(names: tuple[str, ...], *, mine: bool, ended: bool, waits: bool) -> Statement:
    changed: dict[str, Any] = {name: bindparam(name) for name in names}
    changed["not_before"] = func.now() + bindparam("delay", type_=Interval) if waits else None
    if ended:
        changed["completed_at"] = func.now()
    where = _MINE if mine else _THIS
    return Statement(update(tasks).where(*where).values({**changed, "run_token": None}).returning(*_COLUMNS))


async def add(tx: Tx, execution_id: UUID, made: Sequence[NewTask]) -> list[UUID]:
    """Their ids, in the same order."""
    ids = [uuid7() for _ in made]
    await tx.execute(
        _ADD,
        tenant_id=tx.tenant_id,
        execution_id=execution_id,
        ids=ids,
        **{f"{name}s": [getattr(one, name) for one in made] for name in _MADE if name != "id"},
    )
    return ids


async def get(tx: Tx, execution_id: UUID, task_id: UUID) -> Task | None:
    """None where there is none."""
    row = await tx.fetchrow(_GET, execution_id=execution_id, task_id=task_id)
    return None if row is None else _task(row)


async def page(tx: Tx, execution_id: UUID, request: PageRequest, status: str | None) -> Page[Task]:
    """Newest first."""
    only = {} if status is None else {"status": status}
    statement = _list(by_status=status is not None)
    rows = await tx.fetch(statement, execution_id=execution_id, before=request.before, most=request.size + 1, **only)
    return page_of(rows, request.size, _task)


async def begin(tx: Tx, execution_id: UUID, task_id: UUID, token: UUID, worker_id: str) -> Task | None:
    """The task, which is the token's from now on; None where it is not to be done, or not any more. `worker_id`: the
    job, which takes over from an earlier run of its own alone.
    """
    row = await tx.fetchrow(_BEGIN, execution_id=execution_id, task_id=task_id, token=token, worker_id=worker_id)
    return None if row is None else _task(row)


async def leave(tx: Tx, execution_id: UUID, task_id: UUID, worker_id: str, delay: timedelta | None = None) -> bool:
    """The task waits to be begun, by nobody; False where it is not the job's to leave. `delay`: until it is due."""
    this = {"execution_id": execution_id, "task_id": task_id, "worker_id": worker_id}
    return await tx.fetchrow(_LEAVE, delay=delay, **this) is not None


async def held(tx: Tx, task: Task, token: UUID) -> bool:
    """Whether it is still the token's."""
    return await tx.fetchrow(_HELD, execution_id=task.execution_id, task_id=task.id, token=token) is not None


async def change(
    tx: Tx, task: Task, token: UUID | None, status: TaskStatus, *, delay: timedelta | None = None, **said: Any
) -> Task | None:
    """The task as it is then, which nobody does any more. `token`: whose it has to be; None: anybody's. `delay`: until
    it is due. None where it is another's.
    """
    mine = {} if token is None else {"token": token}
    waits = {} if delay is None else {"delay": delay}
    names = tuple(sorted({"status", *said}))
    statement = _end(names, mine=bool(mine), ended=status in ENDED_TASKS, waits=bool(waits))
    named = {"execution_id": task.execution_id, "task_id": task.id, "status": status}
    row = await tx.fetchrow(statement, **named, **mine, **waits, **said)
    return None if row is None else _task(row)


async def spend(tx: Tx, execution_id: UUID, task_id: UUID, token: UUID, used: Used) -> bool:
    """Models used this for the run of that token. False: it is counted already."""
    spent = {"calls": used.calls, "tokens": used.tokens, "cost": used.cost}
    return await tx.fetchval(_SPEND, execution_id=execution_id, task_id=task_id, token=token, **spent) is not None


async def count_down(tx: Tx, execution_id: UUID, step_ids: Sequence[str]) -> list[Task]:
    """Each of these steps waits for one less; those that wait for none any more."""
    rows = await tx.fetch(_COUNT_DOWN, execution_id=execution_id, step_ids=list(step_ids))
    return [_task(row) for row in rows if row["waiting_on"] == 0]


async def states(tx: Tx, execution_id: UUID, step_ids: Sequence[str]) -> Mapping[str, str]:
    """What has become of these steps."""
    rows = await tx.fetch(_STATES, execution_id=execution_id, step_ids=list(step_ids))
    return {row["step_id"]: row["status"] for row in rows}


async def results(tx: Tx, execution_id: UUID, step_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What these steps came to, as expressions see them."""
    rows = await tx.fetch(_RESULTS, execution_id=execution_id, step_ids=list(step_ids))
    return {
        row["step_id"]: {"state": row["status"], "output": row["output"], "error": row["error_message"]} for row in rows
    }


async def taken(tx: Tx, execution_id: UUID, step_ids: Sequence[str]) -> dict[str, Taken]:
    """Those of these steps that are done."""
    found = await results(tx, execution_id, step_ids)
    return {
        name: (one["state"], one["output"]) for name, one in found.items() if one["state"] in ("completed", "skipped")
    }


async def item_outputs(tx: Tx, execution_id: UUID, step_id: str) -> list[Any]:
    """What the items of a step came to, in order."""
    return [row["output"] for row in await tx.fetch(_ITEMS, execution_id=execution_id, step_id=step_id)]


async def item_outputs_length(tx: Tx, execution_id: UUID, step_id: str) -> int:
    """How many bytes of JSON that is, about: it may be much."""
    found: int = await tx.fetchval(_ITEMS_LENGTH, execution_id=execution_id, step_id=step_id)
    return found


async def any_open(tx: Tx, execution_id: UUID) -> bool:
    """Whether one of the execution's has not ended."""
    return bool(await tx.fetchval(_ANY_OPEN, execution_id=execution_id))


async def cancel_open(tx: Tx, execution_id: UUID) -> None:
    await tx.execute(_CANCEL, execution_id=execution_id)


async def take_due(tx: Tx, execution_id: UUID) -> list[UUID]:
    """Those that are to be tried again now."""
    return [row["id"] for row in await tx.fetch(_DUE_AGAIN, execution_id=execution_id)]


async def take_ready(tx: Tx, execution_id: UUID) -> list[UUID]:
    """Those that may be begun now."""
    await take_due(tx, execution_id)
    return [row["id"] for row in await tx.fetch(_READY, execution_id=execution_id)]


async def at_work(tx: Tx, execution_id: UUID) -> list[UUID]:
    """Those that a job is there for, or should be."""
    return [row["id"] for row in await tx.fetch(_AT_WORK, execution_id=execution_id)]


async def release(tx: Tx, execution_id: UUID, task_ids: Sequence[UUID]) -> None:
    """Nobody does these any more: others may."""
    await tx.execute(_RELEASE, execution_id=execution_id, task_ids=list(task_ids))


async def due(tx: Tx, execution_id: UUID) -> list[Task]:
    """Those that have waited for as long as they may."""
    return [_task(row) for row in await tx.fetch(_DUE, execution_id=execution_id)]


def _task(row: Any) -> Task:
    return Task(**{**row, "usage": used(row["usage"])})
