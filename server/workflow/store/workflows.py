"""Workflows and their versions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, delete, func, insert, or_, select, update

from server.db.base import among
from server.db.bounded import bounded, page_of
from server.db.database import Tx
from server.db.errors import constraint_errors
from server.db.removal import forgetting_deleters, long_deleted
from server.db.statements import Statement
from server.kernel.deletion import Deleted
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.workflow.definition import Definition, read, values
from server.workflow.domain import Workflow, WorkflowVersion
from server.workflow.errors import WorkflowNameTaken, WorkflowNotFound
from server.workflow.tables import workflow_versions as versions
from server.workflow.tables import workflows

_COLUMNS = tuple(workflows.c[name] for name in Workflow.__dataclass_fields__)
_VERSION_COLUMNS = tuple(versions.c[name] for name in WorkflowVersion.__dataclass_fields__)
_THIS = workflows.c.id == bindparam("workflow_id")
_LIVE = workflows.c.deleted_at.is_(None)
_SHARED = workflows.c.visibility != "personal"
_OWN = workflows.c.owner_user_id == bindparam("member_id", type_=Uuid)

_GET = {
    deleted: Statement(select(*_COLUMNS).where(_THIS, *among(workflows.c.deleted_at, deleted)))
    for deleted in get_args(Deleted)
}
_GET_PUBLIC = Statement(select(*_COLUMNS).where(_THIS, _LIVE, workflows.c.visibility == "public"))
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_COUNT = Statement(select(func.count()).select_from(workflows).where(_LIVE))
_SAID = ("tenant_id", "id", "owner_user_id", "name", "description", "definition", "version", "visibility")
_CREATE = Statement(insert(workflows).values({name: bindparam(name) for name in _SAID}).returning(*_COLUMNS))
_DELETE = Statement(
    update(workflows)
    .where(_THIS)
    .values(deleted_at=func.now(), deleted_by=bindparam("deleted_by"))
    .returning(*_COLUMNS)
)
_RESTORE = Statement(update(workflows).where(_THIS).values(deleted_at=None, deleted_by=None).returning(*_COLUMNS))
_PURGE = Statement(delete(workflows).where(_THIS))
_LONG_DELETED = long_deleted(workflows)
_OF_OWNER = workflows.c.owner_user_id == bindparam("user_id")
_PURGE_PERSONAL = Statement(
    delete(workflows).where(_OF_OWNER, workflows.c.visibility == "personal").returning(workflows.c.id)
)
_FORGET_DELETERS = forgetting_deleters(workflows)
_DISOWN = Statement(update(workflows).where(_OF_OWNER).values(owner_user_id=None).returning(workflows.c.id))
_FORGET_AUTHOR = Statement(select(func.atrium_forget_author(bindparam("user_id", type_=Uuid))))

_VERSION_SAID = ("tenant_id", "id", "workflow_id", "version", "definition", "changelog", "created_by")
_ADD_VERSION = Statement(insert(versions).values({name: bindparam(name) for name in _VERSION_SAID}))
_VERSIONS = Statement(
    bounded(
        select(*_VERSION_COLUMNS)
        .where(versions.c.workflow_id == bindparam("workflow_id"), versions.c.id < bindparam("before"))
        .order_by(versions.c.id.desc())
        .limit(bindparam("most")),
        versions.c.definition,
    )
)
_VERSION = Statement(
    select(*_VERSION_COLUMNS).where(
        versions.c.workflow_id == bindparam("workflow_id"), versions.c.version == bindparam("version")
    )
)
_FILTERS = {name: workflows.c[name] == bindparam(name) for name in ("visibility", "owner_user_id")}
_UNIQUE = ("uq_workflows_name", "uq_workflows_own_name")


@cache
def _list(filters: tuple[str, ...], deleted: Deleted, *, personal: bool) -> Statement:
    conditions = and_(
        *among(workflows.c.deleted_at, deleted),
        workflows.c.id < bindparam("before"),
        *(() if personal else (or_(_SHARED, _OWN),)),
        *(_FILTERS[name] for name in filters),
    )
    listed = select(*_COLUMNS).where(conditions).order_by(workflows.c.id.desc()).limit(bindparam("most"))
    return Statement(bounded(listed, workflows.c.definition))


@cache
def _update(names: tuple[str, ...]) -> Statement:
    changed: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(update(workflows).where(_THIS).values(changed).returning(*_COLUMNS))


async def get(tx: Tx, workflow_id: UUID, deleted: Deleted = "exclude") -> Workflow | None:
    """None where there is none."""
    row = await tx.fetchrow(_GET[deleted], workflow_id=workflow_id)
    return None if row is None else _workflow(row)


async def get_public(tx: Tx, workflow_id: UUID) -> Workflow | None:
    """The live public one; None where there is none."""
    row = await tx.fetchrow(_GET_PUBLIC, workflow_id=workflow_id)
    return None if row is None else _workflow(row)


async def lock_any(tx: Tx, workflow_id: UUID) -> Workflow:
    """The workflow, live or deleted, held until the transaction ends. Raises WorkflowNotFound."""
    row = await tx.fetchrow(_LOCK, workflow_id=workflow_id)
    if row is None:
        raise WorkflowNotFound(workflow_id)
    return _workflow(row)


async def lock(tx: Tx, workflow_id: UUID) -> Workflow:
    """The live workflow, held until the transaction ends. Raises WorkflowNotFound."""
    workflow = await lock_any(tx, workflow_id)
    if workflow.deleted_at is not None:
        raise WorkflowNotFound(workflow_id)
    return workflow


async def count(tx: Tx) -> int:
    """How many live ones there are."""
    found: int = await tx.fetchval(_COUNT)
    return found


async def page(
    tx: Tx,
    request: PageRequest,
    member_id: UUID | None,
    filters: Mapping[str, Any],
    deleted: Deleted = "exclude",
    *,
    personal: bool = False,
) -> Page[Workflow]:
    """What is shared and what is this member's, newest first. `personal`: the personal ones of others too."""
    statement = _list(tuple(sorted(filters)), deleted, personal=personal)
    own = {} if personal else {"member_id": member_id}
    rows = await tx.fetch(statement, before=request.before, most=request.size + 1, **own, **filters)
    return page_of(rows, request.size, _workflow)


async def create(tx: Tx, said: Mapping[str, Any]) -> Workflow:
    """Raises WorkflowNameTaken."""
    given = {name: said.get(name) for name in _SAID}
    kept = {**given, "tenant_id": tx.tenant_id, "id": uuid7(), "definition": values(said["definition"])}
    with _taken(said["name"]):
        return _workflow(await tx.fetchone(_CREATE, **kept))


async def change(tx: Tx, workflow: Workflow, said: Mapping[str, Any]) -> Workflow:
    """Raises WorkflowNameTaken."""
    kept = dict(said)
    if "definition" in kept:
        kept["definition"] = values(kept["definition"])
    with _taken(said.get("name", workflow.name)):
        return _workflow(await tx.fetchone(_update(tuple(sorted(kept))), workflow_id=workflow.id, **kept))


async def mark_deleted(tx: Tx, workflow_id: UUID, by: UUID | None) -> Workflow:
    return _workflow(await tx.fetchone(_DELETE, workflow_id=workflow_id, deleted_by=by and str(by)))


async def restore(tx: Tx, workflow: Workflow) -> Workflow:
    """Raises WorkflowNameTaken."""
    with _taken(workflow.name):
        return _workflow(await tx.fetchone(_RESTORE, workflow_id=workflow.id))


async def purge(tx: Tx, workflow_id: UUID) -> None:
    """Removes the workflow with its versions."""
    await tx.execute(_PURGE, workflow_id=workflow_id)


async def deleted_before(tx: Tx, days: int) -> list[UUID]:
    """At most PURGED_AT_ONCE workflows that were deleted longer ago than that."""
    return [row["id"] for row in await tx.fetch(_LONG_DELETED, days=days)]


async def disown(tx: Tx, user_id: UUID) -> tuple[list[UUID], list[UUID]]:
    """Removes what was this user's alone; what they shared stays, and is nobody's. Which those were, and these. Nor did
    anybody delete what they did, or make the versions that they made.
    """
    await tx.execute(_FORGET_DELETERS, deleters=[str(user_id)])
    removed = [row["id"] for row in await tx.fetch(_PURGE_PERSONAL, user_id=user_id)]
    shared = [row["id"] for row in await tx.fetch(_DISOWN, user_id=user_id)]
    await tx.execute(_FORGET_AUTHOR, user_id=user_id)
    return removed, shared


async def add_version(
    tx: Tx, workflow_id: UUID, version: str, definition: Definition, changelog: str | None, by: UUID | None
) -> None:
    await tx.execute(
        _ADD_VERSION,
        tenant_id=tx.tenant_id,
        id=uuid7(),
        workflow_id=workflow_id,
        version=version,
        definition=values(definition),
        changelog=changelog,
        created_by=by,
    )


async def get_version(tx: Tx, workflow_id: UUID, version: str) -> WorkflowVersion | None:
    """None where there is none."""
    row = await tx.fetchrow(_VERSION, workflow_id=workflow_id, version=version)
    return None if row is None else _version(row)


async def versions_page(tx: Tx, workflow_id: UUID, request: PageRequest) -> Page[WorkflowVersion]:
    """Newest first."""
    rows = await tx.fetch(_VERSIONS, workflow_id=workflow_id, before=request.before, most=request.size + 1)
    return page_of(rows, request.size, _version)


def _workflow(row: Any) -> Workflow:
    return Workflow(**{**row, "definition": read(row["definition"])})


def _version(row: Any) -> WorkflowVersion:
    return WorkflowVersion(**{**row, "definition": read(row["definition"])})


def _taken(name: str) -> Any:
    return constraint_errors({key: lambda: WorkflowNameTaken(name=name) for key in _UNIQUE})
