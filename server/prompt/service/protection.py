"""Who may change what a protected label stands for: through what it includes too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from uuid import UUID

from server.db.database import Tx
from server.kernel.permissions import Permission
from server.kernel.principal import Principal, current_call
from server.prompt.budget import MAX_INCLUDES
from server.prompt.domain import Template, Version, sources_of
from server.prompt.service.includes import every_source, parts
from server.prompt.service.work import PromptWork
from server.prompt.store import templates, versions


class Protection:
    """Keeps those from changing what is included who may not move the protected label that it stands behind."""

    def __init__(self, work: PromptWork) -> None:
        self._work = work

    async def hold(self, tx: Tx) -> None:
        """Until the transaction ends nobody changes what others include, and nobody protects a label."""
        await versions.hold_includes(tx)

    async def check(
        self, tx: Tx, names: Collection[str], owner_id: UUID | None, moved: Collection[str] | None = None
    ) -> None:
        """Before a template changes. `names`: what it is found by, before or after, its id too. `owner_id`: of one that
        is personal. `moved`: the labels and versions that will stand for something else; None: all.

        Raises PermissionMissing where a version behind a protected label includes it, by whatever way; PromptsBusy.
        """
        caller = current_call().caller
        if Permission.PROMPT_LABELS_MANAGE in caller.permissions:
            return
        await self.hold(tx)
        async with aclosing(_protected(tx, names, owner_id)) as found:
            async for template, version in found:
                check_label(caller, protected=await self._touched(tx, template, version, names, moved))

    async def _touched(
        self, tx: Tx, template: Template, version: Version, names: Collection[str], moved: Collection[str] | None
    ) -> bool:
        known: set[str] = set()
        level = list(sources_of(version.content).values())
        while level:
            references = await self._work.references(level)
            new = {reference for found in references.values() for reference in found} - known
            known |= new
            # Of more than a rendering makes it is not asked which of them it makes.
            if len(known) > MAX_INCLUDES:
                return True
            level = []
            for reference in sorted(new):
                name, named, label = parts(reference)
                if name in names and (moved is None or (named or label) in moved):
                    return True
                level += await every_source(tx, template, reference)
        return False


def check_label(caller: Principal, *, protected: bool) -> None:
    """Raises PermissionMissing where a protected label is moved by somebody who may not."""
    if protected:
        caller.require(Permission.PROMPT_LABELS_MANAGE)


async def _protected(
    tx: Tx, names: Collection[str], owner_id: UUID | None
) -> AsyncGenerator[tuple[Template, Version], None]:
    """Every version behind a protected label, of templates that may include one of these."""
    labels = await versions.all_labels(tx, list(await templates.dependants(tx, list(names))))
    for template_id, found in labels.items():
        behind = {share.version for label in found if label.protected for share in label.shares}
        template = await templates.get(tx, template_id) if behind else None
        # What is personal is found by its owner's prompts alone.
        if template is None or (owner_id is not None and template.personal_to != owner_id):
            continue
        for version in sorted(behind):
            yield template, await versions.get(tx, template_id, version)
