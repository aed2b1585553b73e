"""Executions and their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import (
    ARRAY,
    Interval,
    String,
    Text,
    Uuid,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.database import Tx
from server.db.retention import remove_before
from server.db.statements import Statement
from server.kernel.paging import Page, PageRequest
from server.workflow.definition import read, values
from server.workflow.executions import OPEN, Budget, Event, Execution, ExecutionStatus, Listed, Used
from server.workflow.tables import execution_events as events
from server.workflow.tables import workflow_executions as executions
from server.workflow.tables import workflows

_COLUMNS = tuple(executions.c[name] for name in Execution.__dataclass_fields__)
_LISTED = tuple(executions.c[name] for name in Listed.__dataclass_fields__)
_MOST_RELATED = 1_000
_THIS = executions.c.id == bindparam("execution_id")
_GET = Statement(select(*_COLUMNS).where(_THIS))
_GOES_ON = Statement(select(executions.c.status.in_(OPEN)).where(_THIS))
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_SAID = (
    *("tenant_id", "id", "workflow_id", "workflow_version", "definition", "user_id", "api_key_id", "personal", "input"),
    *("platform_user_id", "parent_execution_id", "priority", "budget", "request_id", "trace_id"),
)
_CREATE = Statement(insert(executions).values({name: bindparam(name) for name in _SAID}).returning(*_COLUMNS))
_HAS_ENDED = "completed_at IS NOT NULL"
_TURN = Statement(select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=Text), literal(0)))))
_COUNT = Statement(select(func.count()).select_from(executions).where(executions.c.status == bindparam("status")))
_NEXT = Statement(
    select(*_COLUMNS)
    .where(executions.c.status == "pending")
    .order_by(executions.c.priority.desc(), executions.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_TO_LOOK_AT = Statement(
    select(executions.c.id)
    .where(executions.c.status.in_(OPEN), or_(executions.c.status == "running", executions.c.deadline_at <= func.now()))
    .order_by(executions.c.id)
)
_OF_PERSON = executions.c.user_id == bindparam("user_id")
_OPEN_OF_PERSON = Statement(
    select(executions.c.id).where(_OF_PERSON, executions.c.status.in_(OPEN)).order_by(executions.c.id)
)
_PURGE_PERSONAL = Statement(delete(executions).where(_OF_PERSON, executions.c.personal))
_FORGET_PERSON = Statement(update(executions).where(_OF_PERSON).values(user_id=None, api_key_id=None))
_COUNTED = {
    name: Statement(
        update(workflows).where(workflows.c.id == bindparam("workflow_id")).values({name: workflows.c[name] + 1})
    )
    for name in ("execution_count", "success_count", "failure_count")
}

_STARTED = Statement(
    update(executions)
    .where(_THIS)
    .values(
        status="running",
        started_at=func.coalesce(executions.c.started_at, func.now()),
        deadline_at=func.coalesce(executions.c.deadline_at, func.now() + bindparam("life", type_=Interval)),
    )
    .returning(*_COLUMNS)
)
_ENDED = Statement(
    update(executions)
    .where(_THIS)
    .values(
        status=bindparam("status"),
        output=bindparam("output"),
        error_reason=bindparam("error_reason"),
        error_message=bindparam("error_message"),
        completed_at=func.now(),
    )
    .returning(*_COLUMNS)
)
_IS_LATE = Statement(select(executions.c.deadline_at <= func.now()).where(_THIS))

_MOMENT = Statement(select(*(func.extract("epoch", one) for one in (func.clock_timestamp(), func.now()))))

_ancestors = select(executions.c.id, executions.c.parent_execution_id).where(_THIS).cte("ancestors", recursive=True)
_ancestors = _ancestors.union(
    select(executions.c.id, executions.c.parent_execution_id).where(executions.c.id == _ancestors.c.parent_execution_id)
)
_ANCESTORS = Statement(
    select(*_LISTED)
    .where(executions.c.id.in_(select(_ancestors.c.id)), executions.c.id != bindparam("execution_id"))
    .order_by(executions.c.id)
    .limit(_MOST_RELATED)
)
_descendants = select(executions.c.id).where(_THIS).cte("descendants", recursive=True)
_descendants = _descendants.union(select(executions.c.id).where(executions.c.parent_execution_id == _descendants.c.id))
_DESCENDANTS = Statement(
    select(*_LISTED)
    .where(executions.c.id.in_(select(_descendants.c.id)), executions.c.id != bindparam("execution_id"))
    .order_by(executions.c.id)
    .limit(_MOST_RELATED)
)

_OF = events.c.execution_id == bindparam("execution_id")
_EVENTS = Statement(
    select(*(events.c[name] for name in Event.__dataclass_fields__))
    .where(_OF, events.c.seq > bindparam("after_seq"))
    .order_by(events.c.seq)
    .limit(bindparam("most"))
)
_told = (
    func.unnest(bindparam("kinds", type_=ARRAY(String)), bindparam("payloads", type_=ARRAY(JSONB)))
    .table_valued(column("event_type", String), column("payload", JSONB), with_ordinality="place")
    .render_derived(name="told")
)
_last = select(func.coalesce(func.max(events.c.seq), 0)).where(_OF).scalar_subquery()
_TELL = Statement(
    insert(events).from_select(
        ["tenant_id", "execution_id", "seq", "event_type", "payload"],
        select(
            bindparam("tenant_id", type_=Uuid),
            bindparam("execution_id", type_=Uuid),
            _last + _told.c.place,
            _told.c.event_type,
            _told.c.payload,
        ),
    )
)
_FILTERS = {
    "workflow_id": executions.c.workflow_id == bindparam("workflow_id"),
    "status": executions.c.status == bindparam("status"),
    "trace_id": executions.c.trace_id == bindparam("trace_id"),
}


@cache
def _list(filters: tuple[str, ...], *, personal: bool) -> Statement:
    seen = or_(executions.c.personal.is_(False), executions.c.user_id == bindparam("member_id", type_=Uuid))
    conditions = [*(() if personal else (seen,)), *(_FILTERS[name] for name in filters)]
    statement = select(*_LISTED).where(executions.c.id < bindparam("before"), *conditions)
    return Statement(statement.order_by(executions.c.id.desc()).limit(bindparam("most")))


@cache
def _change(names: tuple[str, ...]) -> Statement:
    changed: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(update(executions).where(_THIS).values(changed).returning(*_COLUMNS))


async def create(tx: Tx, said: Mapping[str, Any]) -> Execution:
    kept = {name: said.get(name) for name in _SAID}
    kept |= {"tenant_id": tx.tenant_id, "definition": values(said["definition"]), "budget": _budget(said["budget"])}
    await tx.execute(_COUNTED["execution_count"], workflow_id=said["workflow_id"])
    return _execution(await tx.fetchone(_CREATE, **kept))


async def get(tx: Tx, execution_id: UUID) -> Execution | None:
    """None where there is none."""
    row = await tx.fetchrow(_GET, execution_id=execution_id)
    return None if row is None else _execution(row)


async def goes_on(tx: Tx, execution_id: UUID) -> bool:
    """Whether there is one that has not ended."""
    return bool(await tx.fetchval(_GOES_ON, execution_id=execution_id))


async def lock(tx: Tx, execution_id: UUID) -> Execution | None:
    """The execution, held until the transaction ends: whatever happens to it and its tasks happens to those who hold
    it. None where there is none.
    """
    row = await tx.fetchrow(_LOCK, execution_id=execution_id)
    return None if row is None else _execution(row)


async def page(
    tx: Tx, request: PageRequest, member_id: UUID | None, filters: Mapping[str, Any], *, personal: bool
) -> Page[Listed]:
    """What is shared and what this member started, newest first. `personal`: all."""
    statement = _list(tuple(sorted(filters)), personal=personal)
    own = {} if personal else {"member_id": member_id}
    rows = await tx.fetch(statement, before=request.before, most=request.size + 1, **own, **filters)
    return Page.cut([_listed(row) for row in rows], [row["id"] for row in rows], request.size)


async def change(tx: Tx, execution_id: UUID, **said: Any) -> Execution:
    if "usage" in said:
        said["usage"] = used_values(said["usage"])
    return _execution(await tx.fetchone(_change(tuple(sorted(said))), execution_id=execution_id, **said))


async def started(tx: Tx, execution_id: UUID, life: timedelta) -> Execution:
    """It has a place, and may go on for so long, unless it was given one before."""
    return _execution(await tx.fetchone(_STARTED, execution_id=execution_id, life=life))


async def ended(
    tx: Tx,
    execution_id: UUID,
    status: ExecutionStatus,
    *,
    output: Any = None,
    error_reason: str | None = None,
    error_message: str | None = None,
) -> Execution:
    said = {"output": output, "error_reason": error_reason, "error_message": error_message}
    return _execution(await tx.fetchone(_ENDED, execution_id=execution_id, status=status, **said))


async def is_late(tx: Tx, execution_id: UUID) -> bool:
    """Whether it has gone on for as long as it may."""
    return bool(await tx.fetchval(_IS_LATE, execution_id=execution_id))


async def moment(tx: Tx) -> tuple[float, float]:
    """The time by the database's clock, and that at which the transaction began, in seconds."""
    clock, begun = await tx.fetchone(_MOMENT)
    return float(clock), float(begun)


async def count_end(tx: Tx, execution: Execution) -> None:
    """Has its workflow count that it ended so."""
    name = {"completed": "success_count", "failed": "failure_count"}.get(execution.status)
    if name is not None:
        await tx.execute(_COUNTED[name], workflow_id=execution.workflow_id)


async def hold_turn(tx: Tx) -> None:
    """Whoever gives the tenant's executions places next waits until the transaction ends."""
    await tx.fetchval(_TURN, name=f"atrium executions of {tx.tenant_id}")


async def count(tx: Tx, status: str) -> int:
    """How many executions there are in that state."""
    found: int = await tx.fetchval(_COUNT, status=status)
    return found


async def next_pending(tx: Tx, most: int) -> list[Execution]:
    """Those that are given a place next, held until the transaction ends, but for any that somebody holds."""
    return [_execution(row) for row in await tx.fetch(_NEXT, most=most)]


async def to_look_at(tx: Tx) -> list[UUID]:
    """Those that run, and those that have not ended in time."""
    return [row["id"] for row in await tx.fetch(_TO_LOOK_AT)]


async def open_of_person(tx: Tx, user_id: UUID) -> list[UUID]:
    """What this person started that has not ended."""
    return [row["id"] for row in await tx.fetch(_OPEN_OF_PERSON, user_id=user_id)]


async def forget_person(tx: Tx, user_id: UUID) -> None:
    """Removes what they started of personal workflows; what else they started was started by nobody."""
    await tx.execute(_PURGE_PERSONAL, user_id=user_id)
    await tx.execute(_FORGET_PERSON, user_id=user_id)


async def lineage(tx: Tx, execution_id: UUID) -> tuple[list[Listed], list[Listed]]:
    """What it repeats, by whatever way, and what repeats it, each from the oldest on."""
    above, below = [await tx.fetch(one, execution_id=execution_id) for one in (_ANCESTORS, _DESCENDANTS)]
    return [_listed(row) for row in above], [_listed(row) for row in below]


async def tell(tx: Tx, execution_id: UUID, told: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Writes down what happened, in order. The execution is held."""
    kinds, payloads = [kind for kind, _ in told], [dict(payload) for _, payload in told]
    await tx.execute(_TELL, tenant_id=tx.tenant_id, execution_id=execution_id, kinds=kinds, payloads=payloads)


async def told(tx: Tx, execution_id: UUID, after_seq: int, most: int) -> list[Event]:
    """What happened after that, in order."""
    return [Event(*row) for row in await tx.fetch(_EVENTS, execution_id=execution_id, after_seq=after_seq, most=most)]


async def expire(connection: Any, tenant_id: UUID, before: UUID) -> int:
    """Removes the tenant's executions from before that id that have ended, with their tasks and events; how many there
    were. `connection`: the owner's.
    """
    return await remove_before(connection, executions.name, tenant_id, before, _HAS_ENDED)


def used_values(used: Used) -> dict[str, Any]:
    """As it is kept."""
    return {"calls": used.calls, "tokens": used.tokens, "cost": str(used.cost)}


def used(kept: Mapping[str, Any] | None) -> Used:
    """What was kept as `used_values` gives it."""
    return Used() if kept is None else Used(kept["calls"], kept["tokens"], Decimal(kept["cost"]))


def _budget(budget: Budget) -> dict[str, Any]:
    cost = None if budget.cost is None else str(budget.cost)
    return {"tokens": budget.tokens, "cost": cost, "seconds": budget.seconds}


def _execution(row: Record) -> Execution:
    return Execution(**{**row, **_read(row), "definition": read(row["definition"])})


def _listed(row: Record) -> Listed:
    return Listed(**{**row, **_read(row)})


def _read(row: Record) -> dict[str, Any]:
    kept = row["budget"] or {}
    cost = kept.get("cost")
    budget = Budget(kept.get("tokens"), None if cost is None else Decimal(cost), kept.get("seconds"))
    return {"budget": budget, "usage": used(row["usage"])}
