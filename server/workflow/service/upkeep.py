"""The end of workflows and agents: those deleted long ago, and what of them is people's who are removed for good."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from server.db.database import Database, Tx
from server.db.removal import purge_all
from server.workflow.ports import AuditLog, ForgetAnswers
from server.workflow.service.agents import purge_agents
from server.workflow.service.progress import cancelled, look_again
from server.workflow.service.workflows import purge_workflows
from server.workflow.store import agents, executions, workflows


class WorkflowUpkeep:
    """Removes, tenant by tenant and in batches, what was deleted long ago."""

    def __init__(self, database: Database, audit: AuditLog, forget: ForgetAnswers) -> None:
        self._database = database
        self._audit = audit
        self._forget = forget

    async def sweep(self, tenant_id: UUID, retention_days: int) -> None:
        """What was deleted longer ago than that."""
        await purge_all(
            self._database,
            tenant_id,
            partial(workflows.deleted_before, days=retention_days),
            workflows.lock_any,
            partial(purge_workflows, audit=self._audit, forget=self._forget),
        )
        await purge_all(
            self._database,
            tenant_id,
            partial(agents.deleted_before, days=retention_days),
            agents.lock_any,
            partial(purge_agents, audit=self._audit, forget=self._forget),
        )


class WorkflowBelongings:
    """What of the slice belongs to people."""

    def __init__(self, forget: ForgetAnswers) -> None:
        self._forget = forget

    async def remove(self, tx: Tx, user_id: UUID) -> dict[str, list[str]]:
        """The person is removed for good: what was theirs alone goes with them, what goes on for them ends, and what
        they shared stays, made by nobody. Says which workflows those were.
        """
        # Executions first, as everywhere: one that ends counts in its workflow.
        for execution_id in await executions.open_of_person(tx, user_id):
            execution = await executions.lock(tx, execution_id)
            if execution is not None and execution.is_open:
                await cancelled(tx, execution)
                await look_again(tx, execution_id, 0.0)  # which gives its place to the next one
        await executions.forget_person(tx, user_id)
        await agents.forget_deleter(tx, user_id)
        removed, shared = await workflows.disown(tx, user_id)
        await self._forget(tx, removed)
        found = {"workflows_removed": removed, "workflows_without_owner": shared}
        return {name: [str(one) for one in ids] for name, ids in found.items() if ids}
