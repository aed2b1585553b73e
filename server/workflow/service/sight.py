"""Which workflows are there for a caller: what they see of their tenant's, and the platform's public ones."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.deletion import Deleted
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.workflow.domain import Workflow, WorkflowVersion
from server.workflow.errors import WorkflowNotFound
from server.workflow.store import workflows as store


class Sight:
    """Finds workflows for callers. One that they do not see is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def workflow(self, workflow_id: UUID, deleted: Deleted = "exclude") -> Workflow:
        """Raises WorkflowNotFound."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            found = await store.get(tx, workflow_id, deleted)
        if found is None and caller.tenant_id != PLATFORM_TENANT_ID:
            async with self._library() as tx:
                found = await store.get_public(tx, workflow_id)
            found = None if found is None else found.abroad()
        if found is None or not found.seen_by(caller):
            raise WorkflowNotFound(workflow_id)
        return found

    async def public_page(self, request: PageRequest) -> Page[Workflow]:
        """The platform's public ones, newest first."""
        async with self._library() as tx:
            page = await store.page(tx, request, None, {"visibility": "public"}, personal=True)
        if current_call().caller.tenant_id == PLATFORM_TENANT_ID:
            return page
        return Page([workflow.abroad() for workflow in page.items], page.next_cursor)

    async def versions(self, workflow_id: UUID, request: PageRequest) -> Page[WorkflowVersion]:
        """Newest first. Raises WorkflowNotFound."""
        workflow = await self.workflow(workflow_id)
        async with self._reading(workflow) as tx:
            page = await store.versions_page(tx, workflow_id, request)
        if workflow.tenant_id == current_call().caller.tenant_id:
            return page
        return Page([version.abroad() for version in page.items], page.next_cursor)

    async def version(self, workflow: Workflow, version: str) -> WorkflowVersion | None:
        """The version of that name, of a workflow that was found here; None: there is none."""
        async with self._reading(workflow) as tx:
            return await store.get_version(tx, workflow.id, version)

    def _reading(self, workflow: Workflow) -> AbstractAsyncContextManager[Tx]:
        if workflow.tenant_id == PLATFORM_TENANT_ID:
            return self._library()
        return self._database.tenant_tx(workflow.tenant_id, read_only=True)

    def _library(self) -> AbstractAsyncContextManager[Tx]:
        """The one door past a tenant's own rows: to the platform's, and to read them."""
        return self._database.tenant_tx(PLATFORM_TENANT_ID, read_only=True)


def seen(workflow: Workflow) -> Workflow:
    """The same. Raises WorkflowNotFound where the caller does not see it."""
    if not workflow.seen_by(current_call().caller):
        raise WorkflowNotFound(workflow.id)
    return workflow
