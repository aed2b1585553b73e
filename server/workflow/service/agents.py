"""Agents: made, found, changed, deleted and brought back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change
from server.kernel.deletion import Deleted, NotDeleted, check_deleted
from server.kernel.errors import InvalidRequest, check_etag
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.workflow.agents import Agent
from server.workflow.errors import AgentNotFound
from server.workflow.ports import AuditLog, ForgetAnswers
from server.workflow.service.values import agent_values
from server.workflow.store import agents as store


class AgentService:
    """Keeps the agents of the caller's tenant."""

    def __init__(self, database: Database, audit: AuditLog, forget: ForgetAnswers) -> None:
        self._database = database
        self._audit = audit
        self._forget = forget

    async def create(self, values: Mapping[str, Any]) -> Agent:
        """Raises AgentNameTaken."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            agent = await store.create(tx, values)
            await self._record(tx, "agents.create", agent.id, new=agent)
        return agent

    async def get(self, agent_id: UUID, deleted: Deleted = "exclude") -> Agent:
        """Raises AgentNotFound, PermissionMissing."""
        caller = current_call().caller
        check_deleted(caller, deleted)
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            agent = await store.get(tx, agent_id, deleted)
        if agent is None:
            raise AgentNotFound(agent_id)
        return agent

    async def page(self, request: PageRequest, filters: Mapping[str, Any], deleted: Deleted) -> Page[Agent]:
        """Newest first. `filters`: agent_type. Raises PermissionMissing."""
        caller = current_call().caller
        check_deleted(caller, deleted)
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            return await store.page(tx, request, filters, deleted)

    async def update(self, agent_id: UUID, values: Mapping[str, Any], etag: str) -> Agent:
        """Changes the given fields. Raises AgentNotFound, EtagMismatch, AgentNameTaken, InvalidRequest."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            old = await store.lock(tx, agent_id)
            check_etag(etag, old.revision, "agent")
            label = values.get("prompt_label", old.prompt_label)
            if label is not None and values.get("prompt_template_id", old.prompt_template_id) is None:
                raise InvalidRequest([("prompt_label", "goes with a prompt_template_id")])
            new = await store.change(tx, old, values) if values else old
            await self._record(tx, "agents.update", agent_id, old=old, new=new)
        return new

    async def delete(self, agent_id: UUID, etag: str) -> None:
        """Hides the agent. Raises AgentNotFound, EtagMismatch."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await store.lock(tx, agent_id)
            check_etag(etag, old.revision, "agent")
            new = await store.mark_deleted(tx, agent_id, caller.member_id)
            await self._record(tx, "agents.delete", agent_id, old=old, new=new)

    async def restore(self, agent_id: UUID) -> Agent:
        """Brings the agent back. Raises AgentNotFound, NotDeleted, AgentNameTaken."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            old = await _deleted(tx, agent_id)
            new = await store.restore(tx, old)
            await self._record(tx, "agents.restore", agent_id, old=old, new=new)
        return new

    async def purge(self, agent_id: UUID) -> None:
        """Removes a deleted agent for good. Raises AgentNotFound, NotDeleted."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            await purge_agents(tx, [await _deleted(tx, agent_id)], self._audit, self._forget)

    async def _record(
        self, tx: Tx, action: str, agent_id: UUID, *, old: Agent | None = None, new: Agent | None = None
    ) -> None:
        change = Change(action, "agent", agent_id, old=agent_values(old), new=agent_values(new))
        await self._audit.record(tx, change)


async def purge_agents(tx: Tx, agents: Sequence[Agent], audit: AuditLog, forget: ForgetAnswers) -> None:
    """Removes agents, and tells what there was of them."""
    for agent in agents:
        await store.purge(tx, agent.id)
        await audit.record(tx, Change("agents.purge", "agent", agent.id, old=agent_values(agent)))
    await forget(tx, [agent.id for agent in agents])


async def _deleted(tx: Tx, agent_id: UUID) -> Agent:
    agent = await store.lock_any(tx, agent_id)
    if agent.deleted_at is None:
        raise NotDeleted(f"agent {agent.name}")
    return agent
