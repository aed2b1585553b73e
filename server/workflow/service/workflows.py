"""Workflows: made, found, changed, deleted and brought back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change
from server.kernel.deletion import Deleted, NotDeleted, check_deleted
from server.kernel.errors import check_etag
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import Permission
from server.kernel.principal import Principal, current_call
from server.workflow import worker
from server.workflow.definition import Definition, Problem
from server.workflow.domain import FIRST_VERSION, Workflow, WorkflowVersion, manages, version_after
from server.workflow.errors import WorkflowInvalid, WorkflowNotPersonal, WorkflowNotPublic
from server.workflow.ports import AuditLog, ForgetAnswers, Offload, Quotas
from server.workflow.service.sight import Sight, seen
from server.workflow.service.values import workflow_values
from server.workflow.store import workflows as store


class WorkflowService:
    """Keeps the workflows of the caller's tenant."""

    def __init__(
        self,
        database: Database,
        sight: Sight,
        offload: Offload,
        quotas: Quotas,
        audit: AuditLog,
        forget: ForgetAnswers,
    ) -> None:
        self._database = database
        self._sight = sight
        self._offload = offload
        self._quotas = quotas
        self._audit = audit
        self._forget = forget

    async def create(self, values: Mapping[str, Any]) -> Workflow:
        """The caller's, with its first version.

        Raises WorkflowInvalid, WorkflowNameTaken, WorkflowNotPersonal, WorkflowNotPublic, QuotaExceeded,
        PermissionMissing, ExpressionsBusy.
        """
        caller = current_call().caller
        if values["visibility"] == "public":
            check_public(caller, public=True)
            _check_library(caller, values["name"])
        if values["visibility"] == "personal" and caller.member_id is None:
            raise WorkflowNotPersonal(values["name"])
        await self._check(values["definition"])
        made = {**values, "owner_user_id": caller.member_id, "version": FIRST_VERSION}
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            await self._make_room(tx)
            workflow = await store.create(tx, made)
            await store.add_version(tx, workflow.id, FIRST_VERSION, workflow.definition, None, caller.member_id)
            await self._record(tx, "workflows.create", workflow.id, new=workflow)
        return workflow

    async def get(self, workflow_id: UUID, deleted: Deleted) -> Workflow:
        """Raises WorkflowNotFound, PermissionMissing."""
        check_deleted(current_call().caller, deleted)
        return await self._sight.workflow(workflow_id, deleted)

    async def page(self, request: PageRequest, filters: Mapping[str, Any], deleted: Deleted) -> Page[Workflow]:
        """What the caller sees of their tenant's, newest first. `filters`: visibility, owner_user_id.

        Raises PermissionMissing.
        """
        caller = current_call().caller
        check_deleted(caller, deleted)
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            return await store.page(tx, request, caller.member_id, filters, deleted, personal=manages(caller))

    async def public_page(self, request: PageRequest) -> Page[Workflow]:
        """The platform's public ones, newest first."""
        return await self._sight.public_page(request)

    async def versions(self, workflow_id: UUID, request: PageRequest) -> Page[WorkflowVersion]:
        """Newest first. Raises WorkflowNotFound."""
        return await self._sight.versions(workflow_id, request)

    async def problems(self, definition: Definition) -> Sequence[Problem]:
        """All that is wrong with it. Raises ExpressionsBusy, ExpressionTooHeavy."""
        return await self._offload.run(current_call().caller.tenant_id, worker.problems, definition)

    async def update(self, workflow_id: UUID, values: Mapping[str, Any], changelog: str, etag: str) -> Workflow:
        """Changes the given fields. Another definition is another version.

        Raises WorkflowNotFound, EtagMismatch, WorkflowInvalid, WorkflowNameTaken, WorkflowNotPersonal,
        WorkflowNotPublic, PermissionMissing, ExpressionsBusy.
        """
        caller = current_call().caller
        if "definition" in values:
            await self._check(values["definition"])  # before the transaction, which waits for nobody
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = seen(await store.lock(tx, workflow_id))
            check_etag(etag, old.revision, "workflow")
            becomes = values.get("visibility", old.visibility)
            check_public(caller, public="public" in (old.visibility, becomes))
            if becomes == "public":
                _check_library(caller, old.name)
            made_personal = becomes == "personal" != old.visibility
            if made_personal and (caller.member_id is None or old.owner_user_id != caller.member_id):
                raise WorkflowNotPersonal(old.name)
            changed = dict(values)
            if values.get("definition", old.definition) != old.definition:
                changed["version"] = version_after(old.version)
                definition = values["definition"]
                await store.add_version(
                    tx, workflow_id, changed["version"], definition, changelog or None, caller.member_id
                )
            new = await store.change(tx, old, changed) if changed else old
            await self._record(tx, "workflows.update", workflow_id, old=old, new=new)
        return new

    async def delete(self, workflow_id: UUID, etag: str) -> None:
        """Hides the workflow with its versions. Raises WorkflowNotFound, EtagMismatch, PermissionMissing."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = seen(await store.lock(tx, workflow_id))
            check_etag(etag, old.revision, "workflow")
            check_public(caller, public=old.visibility == "public")
            new = await store.mark_deleted(tx, workflow_id, caller.member_id)
            await self._record(tx, "workflows.delete", workflow_id, old=old, new=new)

    async def restore(self, workflow_id: UUID) -> Workflow:
        """Brings the workflow back. Raises WorkflowNotFound, NotDeleted, WorkflowNameTaken, QuotaExceeded,
        PermissionMissing.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await _deleted(tx, workflow_id)
            check_public(caller, public=old.visibility == "public")
            await self._make_room(tx)
            new = await store.restore(tx, old)
            await self._record(tx, "workflows.restore", workflow_id, old=old, new=new)
        return new

    async def purge(self, workflow_id: UUID) -> None:
        """Removes a deleted workflow for good. Raises WorkflowNotFound, NotDeleted."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            await purge_workflows(tx, [await _deleted(tx, workflow_id)], self._audit, self._forget)

    async def _check(self, definition: Definition) -> None:
        """Raises WorkflowInvalid, ExpressionsBusy, ExpressionTooHeavy."""
        if problems := await self.problems(definition):
            raise WorkflowInvalid(problems)

    async def _make_room(self, tx: Tx) -> None:
        """Raises QuotaExceeded where the tenant has as many as it may."""
        limit = await self._quotas.hold(tx, "workflows")
        if limit is not None:
            limit.admit(await store.count(tx))

    async def _record(
        self, tx: Tx, action: str, workflow_id: UUID, *, old: Workflow | None = None, new: Workflow | None = None
    ) -> None:
        change = Change(action, "workflow", workflow_id, old=workflow_values(old), new=workflow_values(new))
        await self._audit.record(tx, change)


async def purge_workflows(tx: Tx, workflows: Sequence[Workflow], audit: AuditLog, forget: ForgetAnswers) -> None:
    """Removes workflows with their versions, and tells what there was of them."""
    for workflow in workflows:
        await store.purge(tx, workflow.id)
        await audit.record(tx, Change("workflows.purge", "workflow", workflow.id, old=workflow_values(workflow)))
    await forget(tx, [workflow.id for workflow in workflows])


def check_public(caller: Principal, *, public: bool) -> None:
    """Raises PermissionMissing where a public workflow is changed by somebody who may not."""
    if public:
        caller.require(Permission.PUBLIC_WORKFLOWS_MANAGE)


def _check_library(caller: Principal, name: str) -> None:
    """Raises WorkflowNotPublic outside of the platform's own tenant."""
    if caller.tenant_id != PLATFORM_TENANT_ID:
        raise WorkflowNotPublic(name)


async def _deleted(tx: Tx, workflow_id: UUID) -> Workflow:
    workflow = seen(await store.lock_any(tx, workflow_id))
    if workflow.deleted_at is None:
        raise NotDeleted(f"workflow {workflow.name}")
    return workflow
