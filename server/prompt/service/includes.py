"""What prompts include: found by name or id, among what everyone who sees the prompt sees too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from server.db.database import Tx
from server.prompt.budget import MAX_INCLUDES
from server.prompt.domain import (
    LATEST,
    Template,
    Version,
    VersionNotFound,
    sources_of,
)
from server.prompt.errors import PromptIncludeCycle, PromptIncludeUnknown
from server.prompt.service.work import PromptWork
from server.prompt.store import templates, versions

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


async def includes_of(
    reading: Callable[[], AbstractAsyncContextManager[Tx]],
    work: PromptWork,
    template: Template,
    sources: Mapping[str, str],
    key: str,
) -> tuple[dict[str, str], bool]:
    """The sources of all that these include, by their references, and whether they depend on the key.

    `reading`: a transaction that sees the template. `sources`: by the fields that they stand in. `key`: whom it is for,
    where an included label is split. Raises PromptIncludeUnknown, PromptSyntaxInvalid, PromptsBusy.
    """
    found: dict[str, str] = {}
    split = False
    level = [(source, field) for field, source in sources.items()]
    while level:
        # Reading a source that nobody has read before takes its time, which no transaction and no other call waits for.
        references = await work.references([source for source, _ in level])
        named = {reference: field for source, field in level for reference in references[source]}
        level = []
        async with reading() as tx:
            for reference, field in named.items():
                if reference in found or len(found) == MAX_INCLUDES:  # a rendering would not make more
                    continue
                found[reference], by_key = await _source(tx, template, reference, field, key)
                split = split or by_key
                level.append((found[reference], field))
    return found, split


async def every_source(tx: Tx, template: Template, reference: str) -> list[str]:
    """The sources that the template may get by the reference: of each version that a split label is on."""
    name, version, label = parts(reference)
    other = await _template(tx, template, name)
    if other is None:
        return []
    names = [version]
    if not version and label != LATEST:
        labels = (await versions.all_labels(tx, [other.id]))[other.id]
        names = [share.version for one in labels if one.label == label for share in one.shares]
    found = [(await _version(tx, other, one, LATEST, ""))[0] for one in names]
    return [one.content for one in found if one is not None and isinstance(one.content, str)]


async def check_label_apart(
    tx: Tx, work: PromptWork, template: Template, label: str, labelled: Sequence[Version]
) -> None:
    """Of the template's label, once it is on these versions. Raises PromptIncludeCycle where one of them comes to
    include it.
    """
    chains: dict[str, list[str]] = {}
    level = [(source, list[str]()) for version in labelled for source in sources_of(version.content).values()]
    while level:
        references = await work.references([source for source, _ in level])
        new = {
            reference: [*chain, reference]
            for source, chain in level
            for reference in references[source]
            if reference not in chains
        }
        chains |= new
        if len(chains) > MAX_INCLUDES:  # a rendering would not make more
            return
        level = []
        for reference, chain in new.items():
            name, version, at = parts(reference)
            other = await _template(tx, template, name)
            if other is not None and other.id == template.id and not version and at == label:
                raise PromptIncludeCycle(chain, "targets")
            level += [(source, chain) for source in await every_source(tx, template, reference)]


async def _source(tx: Tx, template: Template, reference: str, field: str, key: str) -> tuple[str, bool]:
    """The source, and whether it depends on the key."""
    name, version, label = parts(reference)
    other = await _template(tx, template, name)
    if other is None:
        raise PromptIncludeUnknown(reference, field)
    found, by_key = await _version(tx, other, version, label, key)
    if found is None or not isinstance(found.content, str):
        raise PromptIncludeUnknown(reference, field)
    return found.content, by_key


async def _template(tx: Tx, template: Template, name: str) -> Template | None:
    """What the prompt means by the name: the template of that id; of that name, one of its owner's, if it is personal,
    before one that is shared.
    """
    ids = [UUID(name)] if _ID.fullmatch(name) else []
    found = await templates.named(tx, [name], ids, template.personal_to)
    seen = [one for one in found if template.visibility != "public" or one.visibility == "public"]
    return min(seen, key=lambda one: (one.id not in ids, one.visibility != "personal"), default=None)


async def _version(tx: Tx, template: Template, version: str, label: str, key: str) -> tuple[Version | None, bool]:
    by_key = False
    if not version and label != LATEST:
        labels = {one.label: one for one in (await versions.all_labels(tx, [template.id]))[template.id]}
        if label not in labels:
            return None, False
        by_key = len(labels[label].shares) > 1
        version = labels[label].version_for(template.id, key)
    try:
        # The newest is what the template says, as for whoever renders it by itself: clocks of servers differ.
        return await versions.get(tx, template.id, version or template.current_version or ""), by_key
    except VersionNotFound:
        return None, False


def parts(reference: str) -> tuple[str, str, str]:
    """The template's name or id, the version's name (empty: by label), and the label of an include."""
    name, at, version = reference.partition("@")
    label = ""
    if not at:
        name, _, label = reference.partition(":")
        label = label or LATEST
    # An id is the same however it is written, and what includes it is found by it as it is kept.
    return name.lower() if _ID.fullmatch(name) else name, version, label
