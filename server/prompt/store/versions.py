"""Versions, which never change, and the labels that point at them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Integer,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.prompt.domain import (
    Label,
    NewVersion,
    Settings,
    Share,
    Turn,
    Version,
    VersionNotFound,
    VersionTaken,
    content_values,
)
from server.prompt.tables import prompt_labels as labels
from server.prompt.tables import prompt_template_versions as versions
from server.prompt.variables import Variable

_COLUMNS = (
    versions.c.id,
    versions.c.template_id,
    versions.c.version,
    versions.c.kind,
    versions.c.content,
    versions.c.variables,
    versions.c.model_config,
    versions.c.changelog,
    versions.c.content_hash,
    versions.c.created_by,
    versions.c.created_at,
)
_OF_TEMPLATE = versions.c.template_id == bindparam("template_id")
_NEWEST = versions.c.id.desc()
_GET = Statement(select(*_COLUMNS).where(_OF_TEMPLATE, versions.c.version == bindparam("version")))
_LIST = Statement(
    # Without what may be large: a page of it would not fit into an answer.
    select(*(one for one in _COLUMNS if one.name not in ("content", "variables")))
    .where(_OF_TEMPLATE, versions.c.id < bindparam("before"))
    .order_by(_NEWEST)
    .limit(bindparam("most"))
)
_MOST = 99_999  # of either number, as names are given in requests
_MINOR = cast(func.split_part(versions.c.version, ".", 2), Integer)
_MAJOR = cast(func.substr(func.split_part(versions.c.version, ".", 1), 2), Integer)
_HIGHEST = Statement(
    select(_MAJOR.label("major"), _MINOR.label("minor"))
    .where(_OF_TEMPLATE)
    .order_by(_MAJOR.desc(), _MINOR.desc())
    .limit(1)
)
_NAMES = Statement(
    select(versions.c.id, versions.c.version).where(
        _OF_TEMPLATE, versions.c.version == any_(bindparam("names", type_=ARRAY(Text)))
    )
)
_ALL_NAMES = Statement(select(versions.c.id, versions.c.version).where(_OF_TEMPLATE))
_HOLD_INCLUDES = Statement(
    select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=Text), literal(0))))
)
_SAID = ("tenant_id", "id", "includes", *(one.name for one in _COLUMNS if one.name not in ("id", "created_at")))
_CREATE = Statement(insert(versions).values({name: bindparam(name) for name in _SAID}).returning(*_COLUMNS))

_LABELS = Statement(
    select(
        labels.c.template_id,
        labels.c.label,
        versions.c.version,
        labels.c.weight,
        labels.c.protected,
        labels.c.moved_by,
        labels.c.updated_at,
    )
    .join_from(labels, versions, versions.c.id == labels.c.version_id)
    .where(labels.c.template_id == any_(bindparam("template_ids", type_=ARRAY(Uuid))))
    # The oldest version first, so that each key keeps its place as long as the shares are the same.
    .order_by(labels.c.label, labels.c.version_id)
)
_THIS_LABEL = (labels.c.template_id == bindparam("template_id"), labels.c.label == bindparam("label"))
_REMOVE_LABEL = Statement(delete(labels).where(*_THIS_LABEL))
_shares = (
    func.unnest(bindparam("version_ids", type_=ARRAY(Uuid)), bindparam("weights", type_=ARRAY(Integer)))
    .table_valued(column("version_id", Uuid), column("weight", Integer))
    .render_derived(name="shares")
)
_SET_LABEL = Statement(
    insert(labels).from_select(
        ["tenant_id", "template_id", "label", "version_id", "weight", "protected", "moved_by"],
        select(
            bindparam("tenant_id", type_=Uuid),
            bindparam("template_id", type_=Uuid),
            bindparam("label", type_=Text),
            _shares.c.version_id,
            _shares.c.weight,
            bindparam("protected"),
            bindparam("moved_by", type_=Uuid),
        ),
    )
)


_FORGET_MOVER = Statement(update(labels).where(labels.c.moved_by == bindparam("user_id")).values(moved_by=None))
# Versions never change, but for this: a function of the schema does it.
_FORGET_AUTHOR = Statement(select(func.atrium_forget_author(bindparam("user_id", type_=Uuid))))


async def get(tx: Tx, template_id: UUID, version: str) -> Version:
    """Raises VersionNotFound."""
    row = await tx.fetchrow(_GET, template_id=template_id, version=version)
    if row is None:
        raise VersionNotFound(version)
    return _version(row)


async def page(tx: Tx, template_id: UUID, request: PageRequest) -> Page[Version]:
    """Versions without their content and variables, newest first."""
    rows = await tx.fetch(_LIST, template_id=template_id, before=request.before, most=request.size + 1)
    found = [_version({**row, "content": [] if row["kind"] == "chat" else "", "variables": []}) for row in rows]
    return Page.cut(found, [row["id"] for row in rows], request.size)


async def next_name(tx: Tx, template_id: UUID) -> str:
    """What the version after the highest is called. Raises VersionTaken where none is higher."""
    row = await tx.fetchrow(_HIGHEST, template_id=template_id)
    if row is None:
        return "v1.0"
    major, minor = row
    if minor < _MOST:
        return f"v{major}.{minor + 1}"
    if major < _MOST:
        return f"v{major + 1}.0"
    raise VersionTaken(version=f"v{major}.{minor}")


async def ids(tx: Tx, template_id: UUID, names: Sequence[str]) -> dict[str, UUID]:
    """The ids of versions by their names. Raises VersionNotFound."""
    found = {row["version"]: row["id"] for row in await tx.fetch(_NAMES, template_id=template_id, names=list(names))}
    for name in names:
        if name not in found:
            raise VersionNotFound(name)
    return found


async def names(tx: Tx, template_id: UUID) -> dict[UUID, str]:
    """What all of its versions are called, by their ids."""
    return {row["id"]: row["version"] for row in await tx.fetch(_ALL_NAMES, template_id=template_id)}


async def hold_includes(tx: Tx) -> None:
    """Whoever else would add a version of the tenant's that includes something waits until the transaction ends."""
    await tx.execute(_HOLD_INCLUDES, name=f"includes of {tx.tenant_id}")


async def create(tx: Tx, template_id: UUID, new: NewVersion, includes: Collection[str], by: UUID | None) -> Version:
    """`includes`: names or ids of templates. Raises VersionTaken."""
    values = {
        "tenant_id": tx.tenant_id,
        "id": uuid7(),
        "template_id": template_id,
        "version": new.version,
        "kind": "text" if isinstance(new.content, str) else "chat",
        "content": content_values(new.content),
        "variables": [asdict(one) for one in new.variables],
        "model_config": asdict(new.settings),
        "changelog": new.changelog or None,
        "content_hash": new.content_hash,
        "includes": sorted(includes) or None,
        "created_by": by,
    }
    taken = {"uq_prompt_template_versions_version": lambda: VersionTaken(version=new.version)}
    with constraint_errors(taken):
        return _version(await tx.fetchone(_CREATE, **values))


async def forget_person(tx: Tx, user_id: UUID) -> None:
    """What this user, who is not live any more, has made and moved stays, and nobody made or moved it."""
    await tx.execute(_FORGET_MOVER, user_id=user_id)
    await tx.execute(_FORGET_AUTHOR, user_id=user_id)


async def all_labels(tx: Tx, template_ids: Sequence[UUID]) -> dict[UUID, list[Label]]:
    """The labels of these templates, by name."""
    rows: dict[tuple[UUID, str], list[Any]] = defaultdict(list)
    for row in await tx.fetch(_LABELS, template_ids=list(template_ids)):
        rows[row["template_id"], row["label"]].append(row)
    found: dict[UUID, list[Label]] = {template_id: [] for template_id in template_ids}
    for (template_id, label), parts in rows.items():
        shares = [Share(part["version"], part["weight"]) for part in parts]
        first = parts[0]
        found[template_id].append(Label(label, shares, first["protected"], first["moved_by"], first["updated_at"]))
    return found


async def set_label(
    tx: Tx, template_id: UUID, label: str, weights: dict[UUID, int], *, protected: bool, by: UUID | None
) -> None:
    """The label is on these versions and no others. `weights`: by version."""
    await remove_label(tx, template_id, label)
    await tx.execute(
        _SET_LABEL,
        tenant_id=tx.tenant_id,
        template_id=template_id,
        label=label,
        version_ids=list(weights),
        weights=list(weights.values()),
        protected=protected,
        moved_by=by,
    )


async def remove_label(tx: Tx, template_id: UUID, label: str) -> None:
    await tx.execute(_REMOVE_LABEL, template_id=template_id, label=label)


def _version(row: Any) -> Version:
    content, settings = row["content"], dict(row["model_config"] or {})
    return Version(
        id=row["id"],
        template_id=row["template_id"],
        version=row["version"],
        content=content if row["kind"] == "text" else [Turn(**turn) for turn in content],
        variables=[Variable(**one) for one in row["variables"] or ()],
        settings=Settings(**settings),
        changelog=row["changelog"],
        content_hash=row["content_hash"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )
