"""Templates, their versions and labels, and how they fail."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson

from server.kernel.errors import AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.permissions import Permission
from server.kernel.principal import Principal
from server.prompt.variables import Variable

Visibility = Literal["personal", "tenant", "public"]
Role = Literal["system", "user", "assistant"]

LATEST = "latest"
"""The label that is always the newest version's."""

MOST_LABELS = 64
MOST_BYTES = 131_072
"""What a prompt is made of, all of its turns together."""


class TemplateNotFound(NotFound):
    """No {resource} with this id."""

    resource = "template"


class TemplateNameTaken(AlreadyExists):
    """Another template is called {name}."""


class TemplateDeleted(FailedPrecondition):
    """The template {subject} was deleted."""


class TemplateNotPersonal(FailedPrecondition):
    """Only a member of the tenant can have a personal template, and only its owner can make {subject} one."""


class TemplateNotPublic(FailedPrecondition):
    """Only the platform can have a public template, which {subject} would be."""


class TemplateWithoutVersion(FailedPrecondition):
    """The template {subject} has no version yet."""


class VersionNotFound(NotFound):
    """The template has no {resource} {id}."""

    resource = "version"


class VersionTaken(AlreadyExists):
    """The template has a version {version}."""


class LabelNotFound(NotFound):
    """The template has no {resource} {id}."""

    resource = "label"


class TooManyPromptWatches(ResourceExhausted):
    """As many {subject} are open as the tenant may have in a process: close one first."""


class TooManyLabels(ResourceExhausted):
    """The template {subject} has as many labels as it can have."""


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt by its name. `current_version`: its newest version's name; None: it has none yet."""

    id: UUID
    tenant_id: UUID
    owner_user_id: UUID | None
    name: str
    description: str | None
    category: str | None
    visibility: Visibility
    current_version: str | None
    usage_count: int
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    deleted_by: str | None

    @property
    def personal_to(self) -> UUID | None:
        """Whose alone it is; None: it is shared."""
        return self.owner_user_id if self.visibility == "personal" else None

    def seen_by(self, caller: Principal) -> bool:
        """Whether it is there for the caller."""
        if self.tenant_id != caller.tenant_id:
            return self.visibility == "public" and self.tenant_id == PLATFORM_TENANT_ID
        return self.visibility != "personal" or self.owner_user_id == caller.member_id or manages(caller)

    def abroad(self) -> Template:
        """As it is shown in another tenant: nothing of whose it is, and how much it is used."""
        return replace(self, owner_user_id=None, usage_count=0)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation."""

    role: Role
    content: str


Content = str | Sequence[Turn]
"""A text, or a conversation."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is called with a prompt; what is None or empty is left open."""

    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to be made. `version`: its name; empty: the next."""

    version: str
    content: Content
    variables: Sequence[Variable]
    settings: Settings
    changelog: str

    @property
    def sources(self) -> Mapping[str, str]:
        """The templates that it is made of, by the fields that they stand in."""
        return sources_of(self.content)

    @property
    def content_hash(self) -> str:
        """SHA-256 of what it is, in hexadecimal, whatever it is called."""
        return hashlib.sha256(orjson.dumps(self._said(), option=orjson.OPT_SORT_KEYS)).hexdigest()

    def _said(self) -> list[Any]:
        return [content_values(self.content), [asdict(one) for one in self.variables], asdict(self.settings)]


@dataclass(frozen=True, slots=True)
class Version:
    """A state of a template's text."""

    id: UUID
    template_id: UUID
    version: str
    content: Content
    variables: Sequence[Variable]
    settings: Settings
    changelog: str | None
    content_hash: str
    created_by: UUID | None
    created_at: datetime

    def abroad(self) -> Version:
        """As it is shown in another tenant: without who made it."""
        return replace(self, created_by=None)


@dataclass(frozen=True, slots=True)
class Share:
    """A version behind a label, and its weight beside the others."""

    version: str
    weight: int


@dataclass(frozen=True, slots=True)
class Label:
    """A name for the versions that are to be used."""

    label: str
    shares: Sequence[Share]
    protected: bool
    moved_by: UUID | None
    updated_at: datetime

    @property
    def etag(self) -> str:
        """What it is and when it was moved, opaque to clients: it has no row that stays, and so no revision."""
        state = [(share.version, share.weight) for share in self.shares], self.protected, self.updated_at.isoformat()
        return f'"{hashlib.sha256(repr(state).encode()).hexdigest()[:32]}"'

    def abroad(self) -> Label:
        """As it is shown in another tenant: without who moved it."""
        return replace(self, moved_by=None)

    def version_for(self, template_id: UUID, key: str) -> str:
        """The version that this key gets: always the same, and each version as many keys as its weight says."""
        if len(self.shares) == 1:
            return self.shares[0].version
        name = f"{template_id}/{self.label}/{key}"
        place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
        at = place * sum(share.weight for share in self.shares)
        for share in self.shares:
            at -= share.weight
            if at < 0:
                return share.version
        return self.shares[-1].version


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a version came to. `text`: of one that is a text; None: it is `turns`."""

    template: Template
    version: Version
    text: str | None
    turns: Sequence[Turn] = field(default=())


def manages(caller: Principal) -> bool:
    """Whether they see personal templates of others: who may manage templates."""
    return Permission.TEMPLATES_MANAGE in caller.permissions


def sources_of(content: Content) -> dict[str, str]:
    """The templates that it is made of, by the fields that they stand in."""
    if isinstance(content, str):
        return {"text": content}
    return {f"messages[{place}].content": turn.content for place, turn in enumerate(content)}


def content_values(content: Content) -> Any:
    """As it is kept."""
    return content if isinstance(content, str) else [asdict(turn) for turn in content]
