"""Agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any, get_args
from uuid import UUID

from asyncpg import Record
from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from server.db.base import among
from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.removal import forgetting_deleters, long_deleted
from server.db.statements import Statement
from server.kernel.deletion import Deleted
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.llm.port import Tool
from server.workflow.agent_tables import agent_configs as agents
from server.workflow.agents import Agent
from server.workflow.errors import AgentNameTaken, AgentNotFound

_COLUMNS = tuple(agents.c[name] for name in Agent.__dataclass_fields__)
_THIS = agents.c.id == bindparam("agent_id")

_GET = {
    deleted: Statement(select(*_COLUMNS).where(_THIS, *among(agents.c.deleted_at, deleted)))
    for deleted in get_args(Deleted)
}
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_SAID = ("tenant_id", "id", *agents.info["revised"])
_CREATE = Statement(insert(agents).values({name: bindparam(name) for name in _SAID}).returning(*_COLUMNS))
_DELETE = Statement(
    update(agents).where(_THIS).values(deleted_at=func.now(), deleted_by=bindparam("deleted_by")).returning(*_COLUMNS)
)
_RESTORE = Statement(update(agents).where(_THIS).values(deleted_at=None, deleted_by=None).returning(*_COLUMNS))
_PURGE = Statement(delete(agents).where(_THIS))
_LONG_DELETED = long_deleted(agents)
_FORGET_DELETERS = forgetting_deleters(agents)
_FILTERS = {"agent_type": agents.c.agent_type == bindparam("agent_type")}


@cache
def _list(filters: tuple[str, ...], deleted: Deleted) -> Statement:
    conditions = and_(
        *among(agents.c.deleted_at, deleted),
        agents.c.id < bindparam("before"),
        *(_FILTERS[name] for name in filters),
    )
    return Statement(select(*_COLUMNS).where(conditions).order_by(agents.c.id.desc()).limit(bindparam("most")))


@cache
def _update(names: tuple[str, ...]) -> Statement:
    changed: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(update(agents).where(_THIS).values(changed).returning(*_COLUMNS))


async def get(tx: Tx, agent_id: UUID, deleted: Deleted = "exclude") -> Agent | None:
    """None where there is none."""
    row = await tx.fetchrow(_GET[deleted], agent_id=agent_id)
    return None if row is None else _agent(row)


async def lock_any(tx: Tx, agent_id: UUID) -> Agent:
    """The agent, live or deleted, held until the transaction ends. Raises AgentNotFound."""
    row = await tx.fetchrow(_LOCK, agent_id=agent_id)
    if row is None:
        raise AgentNotFound(agent_id)
    return _agent(row)


async def lock(tx: Tx, agent_id: UUID) -> Agent:
    """The live agent, held until the transaction ends. Raises AgentNotFound."""
    agent = await lock_any(tx, agent_id)
    if agent.deleted_at is not None:
        raise AgentNotFound(agent_id)
    return agent


async def page(tx: Tx, request: PageRequest, filters: Mapping[str, Any], deleted: Deleted = "exclude") -> Page[Agent]:
    """Newest first."""
    statement = _list(tuple(sorted(filters)), deleted)
    rows = await tx.fetch(statement, before=request.before, most=request.size + 1, **filters)
    return Page.cut([_agent(row) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, said: Mapping[str, Any]) -> Agent:
    """Raises AgentNameTaken."""
    with _taken(said["name"]):
        return _agent(await tx.fetchone(_CREATE, **_kept({**said, "tenant_id": tx.tenant_id, "id": uuid7()})))


async def change(tx: Tx, agent: Agent, said: Mapping[str, Any]) -> Agent:
    """Raises AgentNameTaken."""
    with _taken(said.get("name", agent.name)):
        return _agent(await tx.fetchone(_update(tuple(sorted(said))), agent_id=agent.id, **_kept(said)))


async def mark_deleted(tx: Tx, agent_id: UUID, by: UUID | None) -> Agent:
    return _agent(await tx.fetchone(_DELETE, agent_id=agent_id, deleted_by=by and str(by)))


async def restore(tx: Tx, agent: Agent) -> Agent:
    """Raises AgentNameTaken."""
    with _taken(agent.name):
        return _agent(await tx.fetchone(_RESTORE, agent_id=agent.id))


async def purge(tx: Tx, agent_id: UUID) -> None:
    await tx.execute(_PURGE, agent_id=agent_id)


async def deleted_before(tx: Tx, days: int) -> list[UUID]:
    """At most PURGED_AT_ONCE agents that were deleted longer ago than that."""
    return [row["id"] for row in await tx.fetch(_LONG_DELETED, days=days)]


async def forget_deleter(tx: Tx, user_id: UUID) -> None:
    """What this user deleted nobody did."""
    await tx.execute(_FORGET_DELETERS, deleters=[str(user_id)])


def _kept(said: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(said)
    if "tools" in kept:
        kept["tools"] = [asdict(tool) for tool in kept["tools"]]
    return kept


def _agent(row: Record) -> Agent:
    return Agent(**{**row, "tools": [Tool(**tool) for tool in row["tools"]]})


def _taken(name: str) -> Any:
    return constraint_errors({"uq_agent_configs_name": lambda: AgentNameTaken(name=name)})
