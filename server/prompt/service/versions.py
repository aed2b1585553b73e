"""Versions and labels: what a prompt says, and which of its states is used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from uuid import UUID

import orjson

from server.db.database import Tx
from server.kernel.audit import Change
from server.kernel.errors import EtagMismatch
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import Permission
from server.kernel.principal import current_call
from server.prompt.budget import MAX_INCLUDE_DEPTH, MAX_INCLUDES
from server.prompt.domain import (
    LATEST,
    MOST_BYTES,
    MOST_LABELS,
    Label,
    LabelNotFound,
    NewVersion,
    Share,
    Template,
    TemplateDeleted,
    TooManyLabels,
    Version,
    VersionNotFound,
    sources_of,
)
from server.prompt.errors import PromptIncludeCycle, PromptSyntaxInvalid
from server.prompt.ports import AuditLog, PromptUsage, Usage
from server.prompt.service.changes import PromptChanges
from server.prompt.service.includes import check_label_apart, includes_of, parts
from server.prompt.service.protection import Protection, check_label
from server.prompt.service.sight import Sight, shown
from server.prompt.service.templates import check_public, seen
from server.prompt.service.values import label_values
from server.prompt.service.work import PromptWork
from server.prompt.store import templates
from server.prompt.store import versions as store


class VersionService:
    """Keeps the versions and labels of templates that the caller sees."""

    def __init__(
        self,
        changes: PromptChanges,
        sight: Sight,
        work: PromptWork,
        protection: Protection,
        usage: PromptUsage,
        audit: AuditLog,
    ) -> None:
        self._changes = changes
        self._sight = sight
        self._work = work
        self._protection = protection
        self._usage = usage
        self._audit = audit

    async def create(self, template_id: UUID, new: NewVersion) -> Version:
        """The template's newest from now on.

        Raises TemplateNotFound, TemplateDeleted, VersionTaken, PromptSyntaxInvalid, PromptVariablesInvalid,
        PromptIncludeUnknown, PromptIncludeCycle, PermissionMissing, PromptsBusy.
        """
        caller = current_call().caller
        template = await self._sight.template(template_id, "include")
        if template.deleted_at is not None:
            raise TemplateDeleted(template.name)
        # It may take a part of a second, for which no transaction and no other call waits.
        await self._check(new)
        includes = await self._check_includes(partial(self._sight.reading, template), template, new)
        async with self._changes.tx() as tx:
            template = await _parent(tx, template_id)
            if includes:
                # Anew, one after another: what it includes may have come to include it meanwhile.
                await store.hold_includes(tx)
                includes = await self._check_includes(lambda: nullcontext(tx), template, new)
            check_public(caller, public=template.visibility == "public")
            named = replace(new, version=new.version or await store.next_name(tx, template_id))
            await self._check_included(tx, template, {LATEST, named.version})
            version = await store.create(tx, template_id, named, includes, caller.member_id)
            await templates.set_current(tx, template_id, version.id)
            await templates.tell_changed(tx, [template_id], [template.name])
            values = {name: getattr(version, name) for name in ("version", "content_hash", "changelog")}
            old = None if template.current_version is None else {"version": template.current_version}
            change = Change("templates.create_version", "prompt_template", template_id, old=old, new=values)
            await self._audit.record(tx, change)
        return version

    async def get(self, template_id: UUID, version: str) -> Version:
        """The version of that name; empty: the newest. Raises TemplateNotFound, VersionNotFound."""
        template = await self._sight.template(template_id)
        wanted = version or template.current_version
        if wanted is None:
            raise VersionNotFound(LATEST)
        async with self._sight.reading(template) as tx:
            (found,) = shown(template, [await store.get(tx, template_id, wanted)])
        return found

    async def page(self, template_id: UUID, request: PageRequest) -> Page[Version]:
        """Versions without their content and variables, newest first. Raises TemplateNotFound."""
        template = await self._sight.template(template_id)
        async with self._sight.reading(template) as tx:
            page = await store.page(tx, template_id, request)
        return Page(shown(template, page.items), page.next_cursor)

    async def difference(self, template_id: UUID, old: str, new: str) -> tuple[str, str]:
        """Between the prompts, and between their variables and settings, as unified diffs.

        Raises TemplateNotFound, VersionNotFound, PromptsBusy.
        """
        template = await self._sight.template(template_id)
        async with self._sight.reading(template) as tx:
            was, now = await store.get(tx, template_id, old), await store.get(tx, template_id, new)
        pairs = [(_readable(was), _readable(now)), (_settings(was), _settings(now))]
        content, settings = await self._work.differences(pairs, old, new)
        return content, settings

    async def set_label(
        self, template_id: UUID, label: str, shares: Sequence[Share], protected: bool | None, etag: str
    ) -> Label:
        """Puts the label on these versions. `protected`: None leaves it as it was.

        Raises TemplateNotFound, TemplateDeleted, VersionNotFound, TooManyLabels, PermissionMissing, EtagMismatch,
        PromptIncludeCycle, PromptsBusy.
        """
        caller = current_call().caller
        async with self._changes.tx() as tx:
            template = await _parent(tx, template_id)
            old, count = await self._label(tx, template_id, label)
            was = old is not None and old.protected
            wanted = was if protected is None else protected
            check_public(caller, public=template.visibility == "public")
            check_label(caller, protected=was or wanted)
            _check_etag(etag, old)
            await self._check_included(tx, template, {label})
            if wanted:
                await self._protection.hold(tx)
            if old is None and count >= MOST_LABELS:
                raise TooManyLabels(template.name)
            ids = await store.ids(tx, template_id, [share.version for share in shares])
            weights = {ids[share.version]: share.weight for share in shares}
            await store.set_label(tx, template_id, label, weights, protected=wanted, by=caller.member_id)
            await self._check_apart(tx, template, label, list(ids))
            new, _ = await self._label(tx, template_id, label)
            assert new is not None
            await self._moved(tx, template, "templates.set_label", old, new)
        return new

    async def remove_label(self, template_id: UUID, label: str, etag: str) -> None:
        """Raises TemplateNotFound, LabelNotFound, PermissionMissing, EtagMismatch."""
        caller = current_call().caller
        async with self._changes.tx() as tx:
            template = seen(await templates.lock(tx, template_id))
            old, _ = await self._label(tx, template_id, label)
            if old is None:
                raise LabelNotFound(label)
            check_public(caller, public=template.visibility == "public")
            check_label(caller, protected=old.protected)
            _check_etag(etag, old)
            await self._check_included(tx, template, {label})
            await store.remove_label(tx, template_id, label)
            await self._moved(tx, template, "templates.remove_label", old, None)

    async def labels(self, template_id: UUID) -> Sequence[Label]:
        """Raises TemplateNotFound."""
        template = await self._sight.template(template_id)
        async with self._sight.reading(template) as tx:
            return shown(template, (await store.all_labels(tx, [template_id]))[template_id])

    async def stats(self, template_id: UUID, since: date, until: date) -> list[tuple[UUID, str, Usage]]:
        """What the caller's tenant used with each version, the newest first: its id, its name, the sums.

        Raises TemplateNotFound, PermissionMissing.
        """
        caller = current_call().caller
        caller.require(Permission.TEMPLATES_READ)
        template = await self._sight.template(template_id)
        async with self._sight.reading(template) as tx:
            names = await store.names(tx, template_id)
        used = await self._usage.by_prompt_version(list(names), since, until)
        return [(version_id, names[version_id], used[version_id]) for version_id in sorted(used, reverse=True)]

    async def _check(self, new: NewVersion) -> None:
        """Raises PromptSyntaxInvalid, PromptVariablesInvalid, PromptsBusy."""
        if sum(len(source.encode()) for source in new.sources.values()) > MOST_BYTES:
            raise PromptSyntaxInvalid(f"are longer than {MOST_BYTES // 1024} KiB together", "messages")
        await self._work.check(new.sources, new.variables)

    async def _check_includes(
        self, reading: Callable[[], AbstractAsyncContextManager[Tx]], template: Template, new: NewVersion
    ) -> Collection[str]:
        """The names or ids of what it includes itself.

        Raises PromptIncludeUnknown, PromptIncludeCycle, and PromptSyntaxInvalid where it includes too deeply or too
        many.
        """
        direct = await self._work.references(list(new.sources.values()))
        for field, source in new.sources.items():
            for reference in direct[source]:
                if _is_newest_of(template, reference):  # before it is looked up: a first version has none before it
                    raise PromptIncludeCycle([reference], field)
        includes, _ = await includes_of(reading, self._work, template, new.sources, "")
        references = await self._work.references([*new.sources.values(), *includes.values()])
        if len({reference for found in references.values() for reference in found}) > MAX_INCLUDES:
            raise PromptSyntaxInvalid(f"includes more than {MAX_INCLUDES} others", next(iter(new.sources)))
        depths: dict[str, int] = {}

        def depth(chain: list[str], field: str) -> int:
            """Of the last of the chain: 1 where it includes nothing. Raises where the chain comes back to itself, or to
            the template's newest version, which this will be.
            """
            *before, reference = chain
            if _is_newest_of(template, reference) or reference in before:
                raise PromptIncludeCycle(chain, field)
            if reference not in depths:
                others = references.get(includes.get(reference, ""), ())
                depths[reference] = 1 + max((depth([*chain, other], field) for other in others), default=0)
            return depths[reference]

        for field, source in new.sources.items():
            for reference in references[source]:
                if depth([reference], field) > MAX_INCLUDE_DEPTH:
                    raise PromptSyntaxInvalid(f"includes more than {MAX_INCLUDE_DEPTH} deep: {reference}", field)
        return {parts(reference)[0] for source in new.sources.values() for reference in references[source]}

    async def _check_included(self, tx: Tx, template: Template, moved: Collection[str]) -> None:
        """Raises PermissionMissing where another's protected label would stand for something else."""
        await self._protection.check(tx, {template.name, str(template.id)}, template.personal_to, moved)

    async def _check_apart(self, tx: Tx, template: Template, label: str, names: Sequence[str]) -> None:
        """Raises PromptIncludeCycle where one of the versions includes what the label stands for now."""
        labelled = [await store.get(tx, template.id, name) for name in names]
        sources = {source for one in labelled for source in sources_of(one.content).values()}
        if any((await self._work.references(sources)).values()):
            await store.hold_includes(tx)  # what it includes may be coming to include it
            await check_label_apart(tx, self._work, template, label, labelled)

    async def _label(self, tx: Tx, template_id: UUID, label: str) -> tuple[Label | None, int]:
        """The label, and how many labels the template has."""
        found = (await store.all_labels(tx, [template_id]))[template_id]
        return next((one for one in found if one.label == label), None), len(found)

    async def _moved(self, tx: Tx, template: Template, action: str, old: Label | None, new: Label | None) -> None:
        await templates.touch(tx, template.id)
        await templates.tell_changed(tx, [template.id], [template.name])
        change = Change(action, "prompt_template", template.id, old=label_values(old), new=label_values(new))
        await self._audit.record(tx, change)


async def _parent(tx: Tx, template_id: UUID) -> Template:
    """The template, held for something that is added to it. Raises TemplateNotFound, TemplateDeleted."""
    template = seen(await templates.lock_any(tx, template_id))
    if template.deleted_at is not None:
        raise TemplateDeleted(template.name)
    return template


def _check_etag(etag: str, label: Label | None) -> None:
    """Raises EtagMismatch where an etag is given and is not that of the label as it is now."""
    if etag and (label is None or etag != label.etag):
        raise EtagMismatch(resource="label")


def _readable(version: Version) -> str:
    if isinstance(version.content, str):
        return version.content
    return "\n".join(f"[{turn.role}]\n{turn.content}" for turn in version.content)


def _settings(version: Version) -> str:
    said = {"variables": [asdict(one) for one in version.variables], "settings": asdict(version.settings)}
    return orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()


def _is_newest_of(template: Template, reference: str) -> bool:
    """Whether it means the template's newest version."""
    name, version, label = parts(reference)
    return name in (template.name, str(template.id)) and not version and label == LATEST
