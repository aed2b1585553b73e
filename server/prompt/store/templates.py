"""Templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Integer,
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
from server.db.removal import BATCH
from server.db.statements import Statement
from server.kernel.deletion import Deleted
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.prompt.domain import Template, TemplateDeleted, TemplateNameTaken, TemplateNotFound
from server.prompt.tables import prompt_template_versions as versions
from server.prompt.tables import prompt_templates as templates

CHANGED = "atrium_prompts_changed"
"""The channel on which changes are told: the tenant and the template, and whether it is or was public."""

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
)
_THIS = templates.c.id == bindparam("template_id")
_LIVE = templates.c.deleted_at.is_(None)
_SHARED = templates.c.visibility != "personal"
_SEEN = or_(_SHARED, templates.c.owner_user_id == bindparam("member_id", type_=Uuid))

_GET = {
    deleted: Statement(select(*_COLUMNS).where(_THIS, *among(templates.c.deleted_at, deleted)))
    for deleted in get_args(Deleted)
}
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
_DELETE = Statement(update(templates).where(_THIS).values(deleted_at=func.now(), deleted_by=bindparam("deleted_by")))
_RESTORE = Statement(update(templates).where(_THIS).values(deleted_at=None, deleted_by=None).returning(*_COLUMNS))
_PURGE = Statement(delete(templates).where(_THIS))
_LONG_DELETED = Statement(
    select(templates.c.id)
    .where(templates.c.deleted_at < func.now() - func.make_interval(0, 0, 0, bindparam("days")))
    .limit(literal_column(str(BATCH)))
)
_OF_OWNER = templates.c.owner_user_id == bindparam("user_id")
_PURGE_PERSONAL = Statement(delete(templates).where(_OF_OWNER, templates.c.visibility == "personal"))
_DISOWN = Statement(update(templates).where(_OF_OWNER).values(owner_user_id=None))
_public = func.atrium_list_public_templates(
    bindparam("before", type_=Uuid), bindparam("category", type_=Text), bindparam("most", type_=Integer)
).table_valued(*(column(one.name, one.type) for one in templates.c))
_LIST_PUBLIC = Statement(select(_public.c.tenant_id, _public.c.id).order_by(_public.c.id.desc()))
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
def _list(filters: tuple[str, ...], deleted: Deleted = "exclude") -> Statement:
    conditions = and_(
        *among(templates.c.deleted_at, deleted),
        templates.c.id < bindparam("before"),
        _SEEN,
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


async def lock_parent(tx: Tx, template_id: UUID) -> Template:
    """The same for a template to which something is to be added. Raises TemplateNotFound, TemplateDeleted."""
    template = await lock_any(tx, template_id)
    if template.deleted_at is not None:
        raise TemplateDeleted(template.name)
    return template


async def named(tx: Tx, names: Sequence[str], ids: Sequence[UUID], owner_id: UUID | None) -> list[Template]:
    """The live ones of these names or ids that the tenant shares, or that are this owner's."""
    return [Template(*row) for row in await tx.fetch(_BY_NAMES, names=names, ids=ids, owner_id=owner_id)]


async def page(
    tx: Tx, request: PageRequest, member_id: UUID | None, filters: Mapping[str, Any], deleted: Deleted
) -> Page[Template]:
    """What this member sees, newest first."""
    statement = _list(tuple(sorted(filters)), deleted)
    rows = await tx.fetch(statement, before=request.before, most=request.size + 1, member_id=member_id, **filters)
    return Page.cut([Template(*row) for row in rows], [row["id"] for row in rows], request.size)


async def public_page(tx: Tx, request: PageRequest, category: str | None) -> Page[tuple[UUID, UUID]]:
    """Whose the public ones of every tenant are, and which, newest first."""
    rows = await tx.fetch(_LIST_PUBLIC, before=request.before, category=category, most=request.size + 1)
    return Page.cut([(row["tenant_id"], row["id"]) for row in rows], [row["id"] for row in rows], request.size)


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


async def mark_deleted(tx: Tx, template_id: UUID, by: UUID) -> None:
    await tx.execute(_DELETE, template_id=template_id, deleted_by=str(by))


async def restore(tx: Tx, template: Template) -> Template:
    """Raises TemplateNameTaken."""
    with _taken(template.name):
        return Template(*await tx.fetchone(_RESTORE, template_id=template.id))


async def purge(tx: Tx, template_id: UUID) -> None:
    """Removes the template with its versions and labels."""
    await tx.execute(_PURGE, template_id=template_id)


async def deleted_before(tx: Tx, days: int) -> list[UUID]:
    """At most BATCH templates that were deleted longer ago than that."""
    return [row["id"] for row in await tx.fetch(_LONG_DELETED, days=days)]


async def disown(tx: Tx, user_id: UUID) -> None:
    """Removes what was this user's alone; what they shared stays, and is nobody's."""
    await tx.execute(_PURGE_PERSONAL, user_id=user_id)
    await tx.execute(_DISOWN, user_id=user_id)


async def count(tx: Tx, counts: Mapping[UUID, int]) -> None:
    """Adds to how often they were rendered."""
    # In one order for all, so that two who count the same wait for each other and never in a circle.
    ordered = sorted(counts.items())
    await tx.execute(_COUNT, ids=[one for one, _ in ordered], counts=[number for _, number in ordered])


async def tell_changed(tx: Tx, template_id: UUID, *, public: bool) -> None:
    """Has every process know that the template, a version or a label changed."""
    await tx.notify(CHANGED, f"{tx.tenant_id}/{template_id}/{'public' if public else ''}")


def _taken(name: str) -> Any:
    refused = {key: lambda: TemplateNameTaken(name=name) for key in _UNIQUE}
    return constraint_errors(refused)


_UNIQUE = ("uq_prompt_templates_name", "uq_prompt_templates_own_name")
