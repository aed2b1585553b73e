"""Prompts rendered: from memory, which is dropped within moments of a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import orjson

from server.db.memory import Memory
from server.kernel.clock import now
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

_AROUND_VARIABLE = 256
_BYTES_OF_CHARACTER = 4
_BYTES_OF_JSON = 16
"""In memory, of each byte that values take as JSON."""

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
    """A version with all that it includes. `defaults`: bytes of its variables' defaults, as JSON."""

    tenant_id: UUID
    version: Version
    includes: Mapping[str, str]
    defaults: int
    good_until: datetime
    mark: int = field(default_factory=lambda: next(_marks))
    """Of this reading of it: what was rendered is remembered by it, and does not keep what is forgotten."""

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        said = (*(one.description for one in self.version.variables), self.version.changelog or "")
        characters = sum(map(len, (*sources_of(self.version.content).values(), *self.includes.values(), *said)))
        around = _AROUND_RESOLVED + _AROUND_VARIABLE * len(self.version.variables)
        return around + _BYTES_OF_CHARACTER * characters + _BYTES_OF_JSON * self.defaults

    @property
    def user(self) -> tuple[UUID, None]:
        return self.tenant_id, None


@dataclass(frozen=True, slots=True)
class Found:
    """A version that a caller may render. `key`: whom it is for, where an included label is split."""

    rendering: PromptRendering
    template: Template
    version: Version
    key: str

    async def render(self, values: Mapping[str, Any], said: bytes) -> Rendered:
        """It, with the values. `said`: these as they came, the same bytes for the same ones.

        Raises PromptIncludeUnknown, and as `PromptWork.render` does.
        """
        return await self.rendering.render(self, values, said)


class PromptRendering:
    """Renders prompts for callers who see them, and for the calls that name them."""

    def __init__(self, sight: Sight, work: PromptWork, counts: Counts) -> None:
        self._sight = sight
        self._work = work
        self._counts = counts
        self._known = Memory[_Known](_MOST_KNOWN)
        self._resolved = Memory[_Resolved](_MOST_RESOLVED, lambda resolved: resolved.size)
        self._texts = Texts()

    async def find(self, template_id: UUID, version: str, label: str, user_key: str) -> Found:
        """The version of that name, or behind that label. `user_key`: whom it is for (empty: the caller), where a label
        is split.

        Raises PermissionMissing, TemplateNotFound, TemplateDeleted, TemplateWithoutVersion, VersionNotFound,
        LabelNotFound.
        """
        caller = current_call().caller
        caller.require(Permission.TEMPLATES_READ)
        name = (caller.tenant_id, template_id)
        known = self._known.recall(name) or await self._known.read(name, lambda: self._read(*name))
        if known is None or not known.template.seen_by(caller):
            raise TemplateNotFound(template_id)
        template = known.template
        if template.deleted_at is not None:
            raise TemplateDeleted(template.name)
        key = user_key or str(caller.user_id)
        wanted = version or _behind(known, label or LATEST, key)
        resolved = self._resolved.recall(_place(template, wanted))
        if resolved is not None:
            return Found(self, template, resolved.version, key)
        async with self._sight.reading(template) as tx:
            return Found(self, template, await versions.get(tx, template.id, wanted), key)

    async def render(self, found: Found, values: Mapping[str, Any], said: bytes) -> Rendered:
        """As `Found.render` does."""
        template, version = found.template, found.version
        place = _place(template, version.version)
        resolved = self._resolved.recall(place) or await self._resolved.read(place, lambda: self._resolve(found))
        assert resolved is not None
        texts = self._texts.recall(resolved.mark, said)
        if texts is None:
            texts = await self._work.render(version, values, resolved.includes, len(said) + resolved.defaults)
            if self._resolved.recall(place) is resolved:
                self._texts.keep(resolved.mark, said, texts)
        if template.tenant_id == current_call().caller.tenant_id:  # of another's, nothing is written
            self._counts.add(template.tenant_id, template.id)
        content = version.content
        if isinstance(content, str):
            return Rendered(template, version, texts[0])
        turns = [Turn(turn.role, text) for turn, text in zip(content, texts, strict=True)]
        return Rendered(template, version, None, turns)

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

    async def _resolve(self, found: Found) -> _Resolved:
        template, version = found.template, found.version
        reading, sources = partial(self._sight.reading, template), sources_of(version.content)
        includes, split = await includes_of(reading, self._work, template, sources, found.key)
        # Where an included label is split, another key may get another text: it is not remembered.
        good_until = now() if split else now() + _LIFE
        defaults = len(orjson.dumps([one.default for one in version.variables if one.default is not None]))
        return _Resolved(template.tenant_id, version, includes, defaults, good_until)


def _place(template: Template, version: str) -> tuple[UUID, str, str]:
    """Where a version with all that it includes is remembered: what it finds there depends on who sees the template."""
    return template.id, template.visibility, version


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
