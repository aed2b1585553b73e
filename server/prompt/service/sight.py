"""Which templates are there for a caller: what they see of their tenant's, and the platform's public ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self, TypeVar
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.deletion import Deleted
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.prompt.domain import Template, TemplateNotFound
from server.prompt.store import templates as store


class Shown(Protocol):
    """What is shown to the people of other tenants too, without what is said of people in it."""

    def abroad(self) -> Self: ...


S = TypeVar("S", bound=Shown)


class Sight:
    """Finds templates for callers. One that they do not see is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def template(self, template_id: UUID, deleted: Deleted = "exclude") -> Template:
        """Raises TemplateNotFound."""
        caller = current_call().caller
        found = await self.anyones(caller.tenant_id, template_id, deleted)
        if found is None or not found.seen_by(caller):
            raise TemplateNotFound(template_id)
        return found

    async def anyones(self, tenant_id: UUID, template_id: UUID, deleted: Deleted) -> Template | None:
        """The template of the tenant's, whoever sees it there, or a live public one of the platform's."""
        async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
            found = await store.get(tx, template_id, deleted)
        if found is not None or tenant_id == PLATFORM_TENANT_ID:
            return found
        async with self._library() as tx:
            found = await store.get_public(tx, template_id)
        return None if found is None else found.abroad()

    async def public_page(self, request: PageRequest, category: str | None) -> Page[Template]:
        """The platform's public ones, newest first."""
        filters = {"visibility": "public"} | ({} if category is None else {"category": category})
        async with self._library() as tx:
            page = await store.page(tx, request, None, filters, personal=True)
        if current_call().caller.tenant_id == PLATFORM_TENANT_ID:
            return page
        return Page([template.abroad() for template in page.items], page.next_cursor)

    def reading(self, template: Template) -> AbstractAsyncContextManager[Tx]:
        """A transaction that reads what belongs to a template which was found here."""
        if template.tenant_id == PLATFORM_TENANT_ID:
            return self._library()
        return self._database.tenant_tx(template.tenant_id, read_only=True)

    def _library(self) -> AbstractAsyncContextManager[Tx]:
        """The one door past a tenant's own rows: to the platform's, and to read them."""
        return self._database.tenant_tx(PLATFORM_TENANT_ID, read_only=True)


def shown(template: Template, parts: Sequence[S]) -> list[S]:
    """Parts of the template, as they are shown to the caller."""
    if template.tenant_id == current_call().caller.tenant_id:
        return list(parts)
    return [part.abroad() for part in parts]
