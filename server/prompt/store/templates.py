"""Templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from server.db.base import among
from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.removal import forgetting_deleters, long_deleted
from server.db.statements import Statement
from server.kernel.deletion import Deleted
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.prompt.domain import Template, TemplateNameTaken, TemplateNotFound
from server.prompt.tables import prompt_template_versions as versions
from server.prompt.tables import prompt_templates as templates

CHANGED = "atrium_prompts_changed"
"""The channel on which changes are told: the tenant, the templates, and those that include them, by whatever way."""

_MOST_TOLD_AT_ONCE = 150

_CURRENT = (
    select(versions.c.version)
    # By its name: SQLAlchemy would put the table of an INSERT into the sub-select a second time.
    .where(versions.c.id == literal_column("prompt_templates.current_version_id"))
    .scalar_subquery()
    .label("current_version")
)
_COLUMNS = (
    templates.c.id,
    templates.c.tenant_id,
    templates.c.owner_user_id,
    templates.c.name,
    templates.c.description,
    templates.c.category,
    templates.c.visibility,
    _CURRENT,
    templates.c.usage_count,
    templates.c.revision,
    templates.c.created_at,
    templates.c.updated_at,
    templates.c.deleted_at,
    templates.c.deleted_by,
)
_THIS = templates.c.id == bindparam("template_id")
_LIVE = templates.c.deleted_at.is_(None)
_SHARED = templates.c.visibility != "personal"
_PUBLIC = templates.c.visibility == "public"
_OWN = templates.c.owner_user_id == bindparam("member_id", type_=Uuid)

_GET = {
    deleted: Statement(select(*_COLUMNS).where(_THIS, *among(templates.c.deleted_at, deleted)))
    for deleted in get_args(Deleted)
}
_GET_PUBLIC = Statement(select(*_COLUMNS).where(_THIS, _LIVE, _PUBLIC))
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_BY_NAMES = Statement(
    select(*_COLUMNS).where(
        or_(
            templates.c.name == any_(bindparam("names", type_=ARRAY(Text))),
            templates.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))),
        ),
        _LIVE,
        or_(_SHARED, templates.c.owner_user_id == bindparam("owner_id", type_=Uuid)),
    )
)
_SAID = ("tenant_id", "id", "owner_user_id", "name", "description", "category", "visibility")
_CREATE = Statement(insert(templates).values({name: bindparam(name) for name in _SAID}).returning(*_COLUMNS))
_SET_CURRENT = Statement(update(templates).where(_THIS).values(current_version_id=bindparam("version_id")))
_TOUCH = Statement(update(templates).where(_THIS).values(updated_at=func.now()))
_DELETE = Statement(
    update(templates)
    .where(_THIS)
    .values(deleted_at=func.now(), deleted_by=bindparam("deleted_by"))
    .returning(*_COLUMNS)
)
_RESTORE = Statement(update(templates).where(_THIS).values(deleted_at=None, deleted_by=None).returning(*_COLUMNS))
_PURGE = Statement(delete(templates).where(_THIS))
_LONG_DELETED = long_deleted(templates)
_OF_OWNER = templates.c.owner_user_id == bindparam("user_id")
_PURGE_PERSONAL = Statement(
    delete(templates).where(_OF_OWNER, templates.c.visibility == "personal").returning(templates.c.id)
)
_FORGET_DELETERS = forgetting_deleters(templates)
_DISOWN = Statement(update(templates).where(_OF_OWNER).values(owner_user_id=None).returning(templates.c.id))
_DEPENDANTS = Statement(
    select(templates.c.id, templates.c.name)
    .distinct()
    .join_from(versions, templates, templates.c.id == versions.c.template_id)
    .where(versions.c.includes.is_not(None), versions.c.includes.op("&&")(bindparam("names", type_=ARRAY(Text))))
)
_counted = (
    func.unnest(bindparam("ids", type_=ARRAY(Uuid)), bindparam("counts", type_=ARRAY(BigInteger)))
    .table_valued(column("id", Uuid), column("count", BigInteger))
    .render_derived(name="counted")
)
_COUNT = Statement(
    update(templates)
    .where(templates.c.id == _counted.c.id)
    .values(usage_count=templates.c.usage_count + _counted.c.count)
)

_FILTERS = {
    "visibility": templates.c.visibility == bindparam("visibility"),
    "category": templates.c.category == bindparam("category"),
    "owner_user_id": templates.c.owner_user_id == bindparam("owner_user_id"),
}


@cache
def _list(filters: tuple[str, ...], deleted: Deleted = "exclude", *, personal: bool = False) -> Statement:
    conditions = and_(
        *among(templates.c.deleted_at, deleted),
        templates.c.id < bindparam("before"),
        *(() if personal else (or_(_SHARED, _OWN),)),
        *(_FILTERS[name] for name in filters),
    )
    return Statement(select(*_COLUMNS).where(conditions).order_by(templates.c.id.desc()).limit(bindparam("most")))


@cache
def _update(names: tuple[str, ...]) -> Statement:
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(update(templates).where(_THIS).values(values).returning(*_COLUMNS))


async def get(tx: Tx, template_id: UUID, deleted: Deleted = "exclude") -> Template | None:
    """None where there is none."""
    row = await tx.fetchrow(_GET[deleted], template_id=template_id)
    return None if row is None else Template(*row)


async def get_public(tx: Tx, template_id: UUID) -> Template | None:
    """The live public one; None where there is none."""
    row = await tx.fetchrow(_GET_PUBLIC, template_id=template_id)
    return None if row is None else Template(*row)


async def lock_any(tx: Tx, template_id: UUID) -> Template:
    """The template, live or deleted, held until the transaction ends. Raises TemplateNotFound."""
    row = await tx.fetchrow(_LOCK, template_id=template_id)
    if row is None:
        raise TemplateNotFound(template_id)
    return Template(*row)


async def lock(tx: Tx, template_id: UUID) -> Template:
    """The live template, held until the transaction ends. Raises TemplateNotFound."""
    template = await lock_any(tx, template_id)
    if template.deleted_at is not None:
        raise TemplateNotFound(template_id)
    return template


async def named(tx: Tx, names: Sequence[str], ids: Sequence[UUID], owner_id: UUID | None) -> list[Template]:
    """The live ones of these names or ids that the tenant shares, or that are this owner's."""
    return [Template(*row) for row in await tx.fetch(_BY_NAMES, names=names, ids=ids, owner_id=owner_id)]


async def page(
    tx: Tx,
    request: PageRequest,
    member_id: UUID | None,
    filters: Mapping[str, Any],
    deleted: Deleted = "exclude",
    *,
    personal: bool = False,
) -> Page[Template]:
    """What is shared and what is this member's, newest first. `personal`: the personal ones of others too."""
    statement = _list(tuple(sorted(filters)), deleted, personal=personal)
    own = {} if personal else {"member_id": member_id}
    rows = await tx.fetch(statement, before=request.before, most=request.size + 1, **own, **filters)
    return Page.cut([Template(*row) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, values: Mapping[str, Any]) -> Template:
    """Raises TemplateNameTaken."""
    given = {name: values.get(name) for name in _SAID}
    with _taken(values["name"]):
        return Template(*await tx.fetchone(_CREATE, **{**given, "tenant_id": tx.tenant_id, "id": uuid7()}))


async def change(tx: Tx, template: Template, values: Mapping[str, Any]) -> Template:
    """Raises TemplateNameTaken."""
    with _taken(values.get("name", template.name)):
        return Template(*await tx.fetchone(_update(tuple(sorted(values))), template_id=template.id, **values))


async def set_current(tx: Tx, template_id: UUID, version_id: UUID) -> None:
    await tx.execute(_SET_CURRENT, template_id=template_id, version_id=version_id)


async def touch(tx: Tx, template_id: UUID) -> None:
    """Something that belongs to it changed."""
    await tx.execute(_TOUCH, template_id=template_id)


async def mark_deleted(tx: Tx, template_id: UUID, by: UUID | None) -> Template:
    return Template(*await tx.fetchone(_DELETE, template_id=template_id, deleted_by=by and str(by)))


async def restore(tx: Tx, template: Template) -> Template:
    """Raises TemplateNameTaken."""
    with _taken(template.name):
        return Template(*await tx.fetchone(_RESTORE, template_id=template.id))


async def purge(tx: Tx, template_id: UUID) -> None:
    """Removes the template with its versions and labels."""
    await tx.execute(_PURGE, template_id=template_id)


async def deleted_before(tx: Tx, days: int) -> list[UUID]:
    """At most PURGED_AT_ONCE templates that were deleted longer ago than that."""
    return [row["id"] for row in await tx.fetch(_LONG_DELETED, days=days)]


async def disown(tx: Tx, user_id: UUID) -> tuple[list[UUID], list[UUID]]:
    """Removes what was this user's alone; what they shared stays, and is nobody's. Which those were, and these. Nor did
    anybody delete what they did.
    """
    await tx.execute(_FORGET_DELETERS, deleters=[str(user_id)])
    removed = [row["id"] for row in await tx.fetch(_PURGE_PERSONAL, user_id=user_id)]
    shared = [row["id"] for row in await tx.fetch(_DISOWN, user_id=user_id)]
    await tell_changed(tx, [*removed, *shared])
    return removed, shared


async def count(tx: Tx, counts: Mapping[UUID, int]) -> None:
    """Adds to how often they were rendered."""
    # In one order for all, so that two who count the same wait for each other and never in a circle.
    ordered = sorted(counts.items())
    await tx.execute(_COUNT, ids=[one for one, _ in ordered], counts=[number for _, number in ordered])


async def dependants(tx: Tx, names: Sequence[str]) -> list[UUID]:
    """Those that have a version which includes one of these (names or ids), by whatever way."""
    found: dict[UUID, None] = {}
    while names:
        rows = [row for row in await tx.fetch(_DEPENDANTS, names=names) if row["id"] not in found]
        found |= dict.fromkeys(row["id"] for row in rows)
        names = [name for row in rows for name in (row["name"], str(row["id"]))]
    return list(found)


async def tell_changed(tx: Tx, ids: Sequence[UUID], names: Sequence[str] = ()) -> None:
    """Has every process know that these templates, their versions or labels changed, and with them whatever includes
    them. `names`: what they are called, and what they were called before.
    """
    if not ids:
        return
    including = await dependants(tx, [*names, *map(str, ids)])
    for told in _batched(ids, _MOST_TOLD_AT_ONCE):
        await tx.notify(CHANGED, f"{tx.tenant_id}/{','.join(map(str, told))}/")
    for told in _batched(including, _MOST_TOLD_AT_ONCE):
        await tx.notify(CHANGED, f"{tx.tenant_id}//{','.join(map(str, told))}")


def read_changed(payload: str) -> tuple[UUID, list[UUID], list[UUID]]:
    """The tenant, the templates, and those that include them, as `tell_changed` tells them."""
    tenant, changed, dependants = payload.split("/")
    return UUID(tenant), _ids(changed), _ids(dependants)


def _ids(text: str) -> list[UUID]:
    return [UUID(one) for one in text.split(",") if one]


def _batched(ids: Sequence[UUID], size: int) -> Iterator[Sequence[UUID]]:
    """All of them, so many at a time."""
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _taken(name: str) -> Any:
    refused = {key: lambda: TemplateNameTaken(name=name) for key in _UNIQUE}
    return constraint_errors(refused)


_UNIQUE = ("uq_prompt_templates_name", "uq_prompt_templates_own_name")
