"""Prompts rendered: from memory, which is dropped within moments of a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from server.db.memory import Memory
from server.kernel.clock import now
from server.kernel.errors import PermissionMissing
from server.kernel.permissions import Permission
from server.kernel.principal import current_call
from server.prompt.domain import (
    LATEST,
    Label,
    LabelNotFound,
    Rendered,
    Template,
    TemplateDeleted,
    TemplateNotFound,
    TemplateWithoutVersion,
    Turn,
    Version,
    sources_of,
)
from server.prompt.service.counts import Counts
from server.prompt.service.includes import includes_of
from server.prompt.service.sight import Sight
from server.prompt.service.texts import Texts
from server.prompt.service.work import PromptWork
from server.prompt.store import versions

_LIFE = timedelta(days=1)
_MOST_KNOWN = 5_000
_MOST_RESOLVED = 64 * 1024 * 1024
_AROUND_RESOLVED = 4096
"""Bytes that one counts for beside its texts."""

_BYTES_OF_CHARACTER = 4
_marks = count()


@dataclass(frozen=True, slots=True)
class _Known:
    """A template with its labels."""

    template: Template
    labels: Mapping[str, Label]
    good_until: datetime

    @property
    def user(self) -> tuple[UUID, None]:
        return self.template.tenant_id, None


@dataclass(frozen=True, slots=True, eq=False)
class _Resolved:
    """A version with all that it includes, as they were read together."""

    tenant_id: UUID
    version: Version
    includes: Mapping[str, str]
    good_until: datetime
    mark: int = field(default_factory=lambda: next(_marks))
    """Of this reading of it: what was rendered is remembered by it, and does not keep what is forgotten."""

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        characters = sum(map(len, (*sources_of(self.version.content).values(), *self.includes.values())))
        return _AROUND_RESOLVED + _BYTES_OF_CHARACTER * characters

    @property
    def user(self) -> tuple[UUID, None]:
        return self.tenant_id, None


class PromptRendering:
    """Renders prompts for callers who see them, and for the calls that name them."""

    def __init__(self, sight: Sight, work: PromptWork, counts: Counts) -> None:
        self._sight = sight
        self._work = work
        self._counts = counts
        self._known = Memory[_Known](_MOST_KNOWN)
        self._resolved = Memory[_Resolved](_MOST_RESOLVED, lambda resolved: resolved.size)
        self._texts = Texts()

    async def render(
        self, template_id: UUID, version: str, label: str, values: Mapping[str, Any], user_key: str, said: bytes
    ) -> Rendered:
        """The version of that name, or behind that label, with the values. `user_key`: whom it is for (empty: the
        caller), where a label is split. `said`: the values as they came, the same bytes for the same ones.

        Raises PermissionMissing, TemplateNotFound, TemplateDeleted, TemplateWithoutVersion, VersionNotFound,
        LabelNotFound, and as `PromptWork.render` does.
        """
        caller = current_call().caller
        if Permission.TEMPLATES_READ not in caller.permissions:
            raise PermissionMissing(permission=Permission.TEMPLATES_READ)
        name = (caller.tenant_id, template_id)
        known = self._known.recall(name) or await self._known.read(name, lambda: self._read(*name))
        if known is None or not known.template.seen_by(caller):
            raise TemplateNotFound(template_id)
        template = known.template
        if template.deleted_at is not None:
            raise TemplateDeleted(template.name)
        key = user_key or str(caller.user_id)
        wanted = version or _behind(known, label or LATEST, key)
        place = (template.id, wanted)
        resolved = self._resolved.recall(place) or await self._resolved.read(
            place, lambda: self._resolve(template, wanted, key)
        )
        assert resolved is not None
        texts = self._texts.recall(resolved.mark, said)
        if texts is None:
            texts = await self._work.render(resolved.version, values, resolved.includes, len(said))
            if self._resolved.recall(place) is resolved:
                self._texts.keep(resolved.mark, said, texts)
        if template.tenant_id == caller.tenant_id:  # of another's, nothing is written
            self._counts.add(template.tenant_id, template.id)
        content = resolved.version.content
        if isinstance(content, str):
            return Rendered(template, resolved.version, texts[0])
        turns = [Turn(turn.role, text) for turn, text in zip(content, texts, strict=True)]
        return Rendered(template, resolved.version, None, turns)

    def changed(self, tenant_id: UUID) -> None:
        """Something about the tenant's templates changed."""
        self._known.changed(tenant_id)
        self._resolved.changed(tenant_id)

    def listening(self, connected: bool) -> None:
        """Changes are told from now on, or not any more."""
        self._known.listening(connected)
        self._resolved.listening(connected)

    def heard(self, until: float) -> None:
        """Whatever was told before then has been heard."""
        self._known.heard(until)
        self._resolved.heard(until)

    async def _read(self, tenant_id: UUID, template_id: UUID) -> _Known | None:
        template = await self._sight.anyones(tenant_id, template_id, "include")
        if template is None:
            return None
        async with self._sight.reading(template) as tx:
            labels = (await versions.all_labels(tx, [template.id]))[template.id]
        return _Known(template, {label.label: label for label in labels}, now() + _LIFE)

    async def _resolve(self, template: Template, version: str, key: str) -> _Resolved:
        async with self._sight.reading(template) as tx:
            found = await versions.get(tx, template.id, version)
        sources = sources_of(found.content)
        includes, split = await includes_of(partial(self._sight.reading, template), self._work, template, sources, key)
        # Where an included label is split, another key may get another text: it is not remembered.
        good_until = now() if split else now() + _LIFE
        return _Resolved(template.tenant_id, found, includes, good_until)


def _behind(known: _Known, label: str, key: str) -> str:
    """The name of the version behind the label. Raises TemplateWithoutVersion, LabelNotFound."""
    template = known.template
    if template.current_version is None:
        raise TemplateWithoutVersion(template.name)
    if label == LATEST:
        return template.current_version
    if label not in known.labels:
        raise LabelNotFound(label)
    return known.labels[label].version_for(template.id, key)
