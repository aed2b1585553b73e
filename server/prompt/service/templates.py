"""Templates: made, found, changed, deleted and brought back."""

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
from server.prompt.domain import Template, TemplateNotFound, TemplateNotPersonal, TemplateNotPublic, manages
from server.prompt.ports import AuditLog, ForgetAnswers
from server.prompt.service.changes import PromptChanges
from server.prompt.service.protection import Protection, check_label
from server.prompt.service.sight import Sight
from server.prompt.service.values import label_values, template_values
from server.prompt.store import templates as store
from server.prompt.store import versions


class TemplateService:
    """Keeps the templates of the caller's tenant."""

    def __init__(
        self,
        database: Database,
        changes: PromptChanges,
        sight: Sight,
        protection: Protection,
        audit: AuditLog,
        forget: ForgetAnswers,
    ) -> None:
        self._database = database
        self._changes = changes
        self._sight = sight
        self._protection = protection
        self._audit = audit
        self._forget = forget

    async def create(self, values: Mapping[str, Any]) -> Template:
        """The caller's, without a version.

        Raises TemplateNameTaken, TemplateNotPersonal, TemplateNotPublic, PermissionMissing.
        """
        caller = current_call().caller
        if values["visibility"] == "public":
            check_public(caller, public=True)
            _check_library(caller, values["name"])
        if values["visibility"] == "personal" and caller.member_id is None:
            raise TemplateNotPersonal(values["name"])
        owner_id = caller.member_id if values["visibility"] == "personal" else None
        async with self._changes.tx() as tx:
            await self._protection.check(tx, [values["name"]], owner_id)
            template = await store.create(tx, {**values, "owner_user_id": caller.member_id})
            await store.tell_changed(tx, [template.id], [template.name])
            await self._record(tx, "templates.create", template.id, new=template)
        return template

    async def get(self, template_id: UUID, deleted: Deleted) -> Template:
        """Raises TemplateNotFound, PermissionMissing."""
        check_deleted(current_call().caller, deleted)
        return await self._sight.template(template_id, deleted)

    async def page(self, request: PageRequest, filters: Mapping[str, Any], deleted: Deleted) -> Page[Template]:
        """What the caller sees of their tenant's, newest first. `filters`: visibility, category, owner_user_id.

        Raises PermissionMissing.
        """
        caller = current_call().caller
        check_deleted(caller, deleted)
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            return await store.page(tx, request, caller.member_id, filters, deleted, personal=manages(caller))

    async def public_page(self, request: PageRequest, category: str | None) -> Page[Template]:
        """The platform's public ones, newest first."""
        return await self._sight.public_page(request, category)

    async def update(self, template_id: UUID, values: Mapping[str, Any], etag: str) -> Template:
        """Changes the given fields.

        Raises TemplateNotFound, EtagMismatch, TemplateNameTaken, TemplateNotPersonal, TemplateNotPublic,
        PermissionMissing.
        """
        caller = current_call().caller
        async with self._changes.tx() as tx:
            old = seen(await store.lock(tx, template_id))
            check_etag(etag, old.revision, "template")
            becomes = values.get("visibility", old.visibility)
            check_public(caller, public="public" in (old.visibility, becomes))
            if becomes != old.visibility or values.get("name", old.name) != old.name:
                # Others find it by these, and it what it includes: what its labels stand for changes with them.
                await self._check_labels(tx, old, values.get("name", old.name), becomes)
            if becomes == "public":
                _check_library(caller, old.name)
            made_personal = becomes == "personal" != old.visibility
            if made_personal and (caller.member_id is None or old.owner_user_id != caller.member_id):
                raise TemplateNotPersonal(old.name)
            new = await store.change(tx, old, values) if values else old
            await store.tell_changed(tx, [template_id], [old.name, new.name])
            await self._record(tx, "templates.update", template_id, old=old, new=new)
        return new

    async def delete(self, template_id: UUID, etag: str) -> None:
        """Hides the template with its versions and labels. Raises TemplateNotFound, EtagMismatch, PermissionMissing."""
        caller = current_call().caller
        async with self._changes.tx() as tx:
            old = seen(await store.lock(tx, template_id))
            check_etag(etag, old.revision, "template")
            check_public(caller, public=old.visibility == "public")
            await self._check_labels(tx, old, old.name, old.visibility)
            new = await store.mark_deleted(tx, template_id, caller.member_id)
            await store.tell_changed(tx, [template_id], [old.name])
            await self._record(tx, "templates.delete", template_id, old=old, new=new)

    async def restore(self, template_id: UUID) -> Template:
        """Brings the template back. Raises TemplateNotFound, NotDeleted, TemplateNameTaken, PermissionMissing."""
        caller = current_call().caller
        async with self._changes.tx() as tx:
            old = await _deleted(tx, template_id)
            check_public(caller, public=old.visibility == "public")
            await self._check_labels(tx, old, old.name, old.visibility)
            new = await store.restore(tx, old)
            await store.tell_changed(tx, [template_id], [old.name])
            await self._record(tx, "templates.restore", template_id, old=old, new=new)
        return new

    async def purge(self, template_id: UUID) -> None:
        """Removes a deleted template for good. Raises TemplateNotFound, NotDeleted."""
        async with self._changes.tx() as tx:
            old = await _deleted(tx, template_id)
            await purge_templates(tx, [old], self._audit, self._forget)
            await store.tell_changed(tx, [template_id], [old.name])

    async def _check_labels(self, tx: Tx, template: Template, name: str, visibility: str) -> None:
        """Raises PermissionMissing where the template has a protected label that the caller may not move, or stands
        behind another's, as it is or as it becomes.
        """
        labels = (await versions.all_labels(tx, [template.id]))[template.id]
        check_label(current_call().caller, protected=any(label.protected for label in labels))
        owner_id = template.personal_to if visibility == template.visibility else None
        await self._protection.check(tx, {template.name, name, str(template.id)}, owner_id)

    async def _record(
        self, tx: Tx, action: str, template_id: UUID, *, old: Template | None = None, new: Template | None = None
    ) -> None:
        change = Change(action, "prompt_template", template_id, old=template_values(old), new=template_values(new))
        await self._audit.record(tx, change)


def seen(template: Template) -> Template:
    """The same. Raises TemplateNotFound where the caller does not see it."""
    if not template.seen_by(current_call().caller):
        raise TemplateNotFound(template.id)
    return template


def check_public(caller: Principal, *, public: bool) -> None:
    """Raises PermissionMissing where a public template is changed by somebody who may not."""
    if public:
        caller.require(Permission.PUBLIC_TEMPLATES_MANAGE)


def _check_library(caller: Principal, name: str) -> None:
    """Raises TemplateNotPublic outside of the platform's own tenant."""
    if caller.tenant_id != PLATFORM_TENANT_ID:
        raise TemplateNotPublic(name)


async def purge_templates(tx: Tx, templates: Sequence[Template], audit: AuditLog, forget: ForgetAnswers) -> None:
    """Removes templates with their versions and labels, and tells what there was of them."""
    labels = await versions.all_labels(tx, [template.id for template in templates])
    for template in templates:
        names = sorted((await versions.names(tx, template.id)).items())
        old = {
            **(template_values(template) or {}),
            "versions": [name for _, name in names],
            "labels": [label_values(label) for label in labels[template.id]],
        }
        await store.purge(tx, template.id)
        await audit.record(tx, Change("templates.purge", "prompt_template", template.id, old=old))
    await forget(tx, [template.id for template in templates])


async def _deleted(tx: Tx, template_id: UUID) -> Template:
    template = seen(await store.lock_any(tx, template_id))
    if template.deleted_at is None:
        raise NotDeleted(f"template {template.name}")
    return template
