"""Which templates are there for a caller: what they see of their tenant's, and the public ones of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from server.db.database import Database
from server.db.memory import Memory
from server.kernel.clock import now
from server.kernel.deletion import Deleted
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.prompt.domain import Template, TemplateNotFound
from server.prompt.store import templates as store

_MOST_PUBLIC = 20_000
"""Public templates, the newest, that are found by their ids."""

_LIFE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Published:
    """Whose each public template is."""

    owners: Mapping[UUID, UUID]
    good_until: datetime

    user = (PLATFORM_TENANT_ID, None)


class Sight:
    """Finds templates for callers. One that they do not see is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._published = Memory[_Published]()

    async def template(self, template_id: UUID, deleted: Deleted = "exclude") -> Template:
        """Raises TemplateNotFound."""
        caller = current_call().caller
        found = await self.anyones(caller.tenant_id, template_id, deleted)
        if found is None or not found.seen_by(caller):
            raise TemplateNotFound(template_id)
        return found

    async def anyones(self, tenant_id: UUID, template_id: UUID, deleted: Deleted) -> Template | None:
        """The template of the tenant's, whoever sees it there, or a live public one of another."""
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await store.get(tx, template_id, deleted)
        if found is not None:
            return found
        published = self._published.recall("all") or await self._published.read("all", self._read)
        assert published is not None
        owner = published.owners.get(template_id)
        if owner is None or owner == tenant_id:
            return None
        async with self._database.tenant_tx(owner) as tx:
            found = await store.get(tx, template_id)
        return found if found is not None and found.visibility == "public" else None

    async def public_page(self, request: PageRequest, category: str | None) -> Page[Template]:
        """The public ones of every tenant, newest first."""
        async with self._database.global_tx() as tx:
            page = await store.public_page(tx, request, category)
        found: dict[UUID, Template] = {}
        for tenant_id in {owner for owner, _ in page.items}:
            async with self._database.tenant_tx(tenant_id) as tx:
                theirs = [template_id for owner, template_id in page.items if owner == tenant_id]
                found |= {template.id: template for template in await store.named(tx, [], theirs, None)}
        seen = [found[one] for _, one in page.items if one in found and found[one].visibility == "public"]
        return Page(seen, page.next_cursor)

    def forget(self) -> None:
        """What is public, or whose tenant is active, changed."""
        self._published.forget()

    def listening(self, connected: bool) -> None:
        """Changes are told from now on, or not any more."""
        self._published.listening(connected)

    def heard(self, until: float) -> None:
        """Whatever was told before then has been heard."""
        self._published.heard(until)

    async def _read(self) -> _Published:
        async with self._database.global_tx() as tx:
            page = await store.public_page(tx, PageRequest(_MOST_PUBLIC, None), None)
        return _Published({template_id: owner for owner, template_id in page.items}, now() + _LIFE)
