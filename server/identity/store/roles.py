"""Roles, what they say of each permission, and who holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, and_, any_, bindparam, column, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.base import among
from server.db.database import Database, Tx
from server.db.errors import constraint_errors
from server.db.statements import HotStatement, Statement
from server.identity.domain import (
    Given,
    Holder,
    Role,
    RoleCodeTaken,
    RoleDeleted,
    RoleEntry,
    RoleGrant,
    RoleNotFound,
    Standing,
)
from server.identity.store.grants import GRANTS, KNOWN, NEXT_EXPIRY, decided_by, known
from server.identity.store.sessions import UNVERIFIED
from server.identity.tables import permissions, role_permissions, roles, user_roles, users
from server.kernel.deletion import Deleted
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import Grant, Permission

_COLUMNS = (
    roles.c.id,
    roles.c.name,
    roles.c.code,
    roles.c.description,
    roles.c.is_system,
    roles.c.is_default,
    roles.c.priority,
    roles.c.revision,
    roles.c.created_at,
    roles.c.updated_at,
    roles.c.deleted_at,
    roles.c.deleted_by,
)
_LIVE = roles.c.deleted_at.is_(None)
_THIS = roles.c.id == bindparam("role_id")
_TAKEN = {"uq_roles_code": RoleCodeTaken}
_entries = (
    func.unnest(bindparam("permissions", type_=ARRAY(Text)), bindparam("effects", type_=ARRAY(Text)))
    .table_valued(column("permission", Text), column("effect", Text))
    .render_derived(name="wanted")
)
_CODE = permissions.c.resource + ":" + permissions.c.action
_ALLOWS = role_permissions.c.effect == "allow"

_GET = {
    deleted: Statement(select(*_COLUMNS).where(_THIS, *among(roles.c.deleted_at, deleted)))
    for deleted in get_args(Deleted)
}
_LOCK = Statement(select(*_COLUMNS).where(_THIS).with_for_update(key_share=True))
_DEFAULTS = Statement(select(*_COLUMNS).where(roles.c.is_default, _LIVE))
_BY_CODE = Statement(select(*_COLUMNS).where(roles.c.code == bindparam("code"), _LIVE))
_ENTRIES = Statement(
    select(role_permissions.c.role_id, _CODE.label("permission"), role_permissions.c.effect)
    .join_from(role_permissions, permissions, permissions.c.id == role_permissions.c.permission_id)
    .where(role_permissions.c.role_id == any_(bindparam("role_ids", type_=ARRAY(Uuid))))
    .order_by(_CODE)
)
_CLEAR = Statement(delete(role_permissions).where(role_permissions.c.role_id == bindparam("role_id")))
# Entries are rows beside the role's: its own revision must tell of a change to them.
_REVISE = Statement(update(roles).where(_THIS).values(revision=roles.c.revision + 1).returning(*_COLUMNS))
_ASSIGN = Statement(
    upsert(user_roles)
    .values(
        tenant_id=bindparam("tenant_id"),
        user_id=bindparam("user_id"),
        role_id=bindparam("role_id"),
        granted_by=bindparam("granted_by"),
        expires_at=bindparam("expires_at"),
    )
    .on_conflict_do_update(
        index_elements=["tenant_id", "user_id", "role_id"],
        set_={"granted_by": bindparam("granted_by"), "expires_at": bindparam("expires_at")},
    )
)
_GRANT = (user_roles.c.granted_by, user_roles.c.expires_at)
_THIS_GRANT = and_(user_roles.c.user_id == bindparam("user_id"), user_roles.c.role_id == bindparam("role_id"))
_LOCK_GRANT = Statement(select(*_GRANT).where(_THIS_GRANT).with_for_update())
_UNASSIGN = Statement(delete(user_roles).where(_THIS_GRANT).returning(*_GRANT))
_HELD = Statement(
    select(roles.c.code)
    .join_from(user_roles, roles, roles.c.id == user_roles.c.role_id)
    .where(user_roles.c.user_id == bindparam("user_id"))
    .order_by(roles.c.code)
)
_NOT_EXPIRED = or_(user_roles.c.expires_at.is_(None), user_roles.c.expires_at > func.now())
# What roles may give those who hold them: deleted ones, which can be restored, and what a denial stands against now.
_GIVEN = (
    select(_CODE, roles.c.code)
    .join_from(user_roles, roles, roles.c.id == user_roles.c.role_id)
    .join(role_permissions, role_permissions.c.role_id == roles.c.id)
    .join(permissions, permissions.c.id == role_permissions.c.permission_id)
    .where(_ALLOWS, _NOT_EXPIRED)
    .distinct()
)
_GIVEN_TO_USER = Statement(_GIVEN.where(user_roles.c.user_id == bindparam("user_id")))
_holders = select(user_roles.c.user_id).where(user_roles.c.role_id == bindparam("role_id"), _NOT_EXPIRED)
_not_this_one = user_roles.c.user_id.is_distinct_from(bindparam("but", type_=Uuid))
_GIVEN_TO_HOLDERS = Statement(_GIVEN.where(user_roles.c.user_id.in_(_holders), _not_this_one))
_STANDING = HotStatement(
    select(
        users.c.status,
        UNVERIFIED.label("unverified"),
        GRANTS.label("grants"),
        NEXT_EXPIRY.label("good_until"),
    ).where(users.c.id == bindparam("user_id"), users.c.deleted_at.is_(None))
)
_FOREVER = datetime.max.replace(tzinfo=UTC)
_PERMISSIONS = Statement(select(_CODE, permissions.c.description).order_by(_CODE))
_SET_ENTRIES = Statement(
    insert(role_permissions).from_select(
        ["tenant_id", "role_id", "permission_id", "effect"],
        select(
            bindparam("tenant_id", type_=Uuid),
            bindparam("role_id", type_=Uuid),
            permissions.c.id,
            _entries.c.effect,
        ).join_from(_entries, permissions, _entries.c.permission == _CODE),
    )
)


_DELETE = Statement(
    update(roles).where(_THIS).values(deleted_at=func.now(), deleted_by=bindparam("deleted_by")).returning(*_COLUMNS)
)
_RESTORE = Statement(update(roles).where(_THIS).values(deleted_at=None, deleted_by=None).returning(*_COLUMNS))
_PURGE = Statement(delete(roles).where(_THIS))

_HOLD_CODE = Statement(
    select(roles.c.id).where(roles.c.code == bindparam("code"), _LIVE).with_for_update(key_share=True)
)
_held, _holding = roles.alias("held"), user_roles.alias("holding")
# Who holds the role for good, with every entry of every role of theirs; of people alone, for a service account does not
# sign in.
_HOLDERS = Statement(
    select(
        users.c.id,
        users.c.username,
        users.c.password_hash.is_not(None).label("has_password"),
        UNVERIFIED.label("unverified"),
        _CODE,
        _ALLOWS,
        roles.c.code,
        roles.c.priority,
        user_roles.c.expires_at,
    )
    .join_from(_held, _holding, _holding.c.role_id == _held.c.id)
    .join(users, users.c.id == _holding.c.user_id)
    .join(user_roles, user_roles.c.user_id == users.c.id)
    .join(roles, roles.c.id == user_roles.c.role_id)
    .join(role_permissions, role_permissions.c.role_id == roles.c.id)
    .join(permissions, permissions.c.id == role_permissions.c.permission_id)
    .where(
        _held.c.code == bindparam("code"),
        _held.c.deleted_at.is_(None),
        _holding.c.expires_at.is_(None),
        users.c.kind == "person",
        users.c.status == "active",
        users.c.deleted_at.is_(None),
        _NOT_EXPIRED,
        _LIVE,
    )
)


@cache
def _list(deleted: Deleted = "exclude", *, of_user: bool = False) -> Statement:
    page = select(*_COLUMNS).where(*among(roles.c.deleted_at, deleted), roles.c.id < bindparam("before"))
    if of_user:
        held = user_roles.c.user_id == bindparam("user_id")
        page = page.join(user_roles, roles.c.id == user_roles.c.role_id).where(held, _NOT_EXPIRED)
    return Statement(page.order_by(roles.c.id.desc()).limit(bindparam("most")))


@cache
def _insert(fields: tuple[str, ...]) -> Statement:
    return Statement(insert(roles).values({name: bindparam(name) for name in fields}).returning(*_COLUMNS))


@cache
def _update(fields: tuple[str, ...]) -> Statement:
    return Statement(update(roles).where(_THIS).values({name: bindparam(name) for name in fields}).returning(*_COLUMNS))


async def get(tx: Tx, role_id: UUID, deleted: Deleted = "exclude") -> Role:
    """Raises RoleNotFound."""
    return _role(await tx.fetchrow(_GET[deleted], role_id=role_id), role_id)


async def lock(tx: Tx, role_id: UUID) -> Role:
    """The live role, held until the transaction ends. Raises RoleNotFound."""
    role = await lock_any(tx, role_id)
    if role.deleted_at is not None:
        raise RoleNotFound(role_id)
    return role


async def lock_referred(tx: Tx, role_id: UUID) -> Role:
    """The same for a role that a request uses and is not about. Raises RoleNotFound, RoleDeleted."""
    role = await lock_any(tx, role_id)
    if role.deleted_at is not None:
        raise RoleDeleted(role.code)
    return role


async def lock_any(tx: Tx, role_id: UUID) -> Role:
    """The role, live or deleted, held until the transaction ends. Raises RoleNotFound."""
    return _role(await tx.fetchrow(_LOCK, role_id=role_id), role_id)


def _role(row: Any, role_id: UUID) -> Role:
    if row is None:
        raise RoleNotFound(role_id)
    return Role(*row)


async def by_code(tx: Tx, code: str) -> Role:
    """Raises RoleNotFound."""
    row = await tx.fetchrow(_BY_CODE, code=code)
    if row is None:
        raise RoleNotFound(code)
    return Role(*row)


async def defaults(tx: Tx) -> list[Role]:
    """The roles that new users are given."""
    return [Role(*row) for row in await tx.fetch(_DEFAULTS)]


async def page(tx: Tx, request: PageRequest, deleted: Deleted, user_id: UUID | None) -> Page[Role]:
    """Roles, newest first; those that one user holds now, where one is named."""
    values: dict[str, Any] = {"before": request.before, "most": request.size + 1}
    if user_id is not None:
        values["user_id"] = user_id
    rows = await tx.fetch(_list(deleted, of_user=user_id is not None), **values)
    return Page.cut([Role(*row) for row in rows], [row["id"] for row in rows], request.size)


async def create(tx: Tx, values: Mapping[str, Any]) -> Role:
    """Raises RoleCodeTaken."""
    with constraint_errors(_TAKEN):
        return Role(*await tx.fetchone(_insert(tuple(sorted(values))), **values))


async def change(tx: Tx, role_id: UUID, values: Mapping[str, Any]) -> Role:
    """Raises RoleCodeTaken."""
    with constraint_errors(_TAKEN):
        return Role(*await tx.fetchone(_update(tuple(sorted(values))), role_id=role_id, **values))


async def mark_deleted(tx: Tx, role_id: UUID, by: UUID | None) -> Role:
    return Role(*await tx.fetchone(_DELETE, role_id=role_id, deleted_by=by and str(by)))


async def restore(tx: Tx, role_id: UUID) -> Role:
    """Raises RoleCodeTaken."""
    with constraint_errors(_TAKEN):
        return Role(*await tx.fetchone(_RESTORE, role_id=role_id))


async def purge(tx: Tx, role_id: UUID) -> None:
    """Removes the role, its entries, and it from whoever held it."""
    await tx.execute(_PURGE, role_id=role_id)


async def entries(tx: Tx, role_ids: Iterable[UUID]) -> dict[UUID, list[RoleEntry]]:
    """What each of the roles says, by role, sorted by permission."""
    found: dict[UUID, list[RoleEntry]] = {role_id: [] for role_id in role_ids}
    for row in await tx.fetch(_ENTRIES, role_ids=list(found)):
        if row["permission"] in KNOWN:
            found[row["role_id"]].append(RoleEntry(Permission(row["permission"]), row["effect"] == "allow"))
    return found


async def set_entries(tx: Tx, tenant_id: UUID, role_id: UUID, wanted: Iterable[RoleEntry]) -> None:
    """The role says this and nothing else."""
    wanted = list(wanted)
    await tx.execute(_CLEAR, role_id=role_id)
    await tx.execute(
        _SET_ENTRIES,
        tenant_id=tenant_id,
        role_id=role_id,
        permissions=[entry.permission.value for entry in wanted],
        effects=["allow" if entry.allow else "deny" for entry in wanted],
    )


async def revise(tx: Tx, role_id: UUID) -> Role:
    """Raises the role's revision for a change to its entries."""
    return Role(*await tx.fetchone(_REVISE, role_id=role_id))


async def assign(
    tx: Tx, tenant_id: UUID, user_id: UUID, role_id: UUID, granted_by: UUID | None, expires_at: datetime | None
) -> None:
    """Gives the role to the user, or changes until when they have it."""
    await tx.execute(
        _ASSIGN, tenant_id=tenant_id, user_id=user_id, role_id=role_id, granted_by=granted_by, expires_at=expires_at
    )


async def lock_grant(tx: Tx, user_id: UUID, role_id: UUID) -> RoleGrant | None:
    """How the user has the role, held until the transaction ends; None where they do not have it."""
    row = await tx.fetchrow(_LOCK_GRANT, user_id=user_id, role_id=role_id)
    return None if row is None else RoleGrant(*row)


async def unassign(tx: Tx, user_id: UUID, role_id: UUID) -> RoleGrant | None:
    """Takes the role from the user: how they had it; None where they did not."""
    row = await tx.fetchrow(_UNASSIGN, user_id=user_id, role_id=role_id)
    return None if row is None else RoleGrant(*row)


async def held(tx: Tx, user_id: UUID) -> list[str]:
    """The codes of the roles that the user was given, of deleted ones and of those whose time is over too."""
    return [row["code"] for row in await tx.fetch(_HELD, user_id=user_id)]


async def given(tx: Tx, user_id: UUID) -> Given:
    """What the user's roles allow, or would if nothing denied it and none of them were deleted."""
    return _given(await tx.fetch(_GIVEN_TO_USER, user_id=user_id))


async def given_to_holders(tx: Tx, role_id: UUID, but: UUID | None) -> Given:
    """The same of everybody who holds the role, but this one."""
    return _given(await tx.fetch(_GIVEN_TO_HOLDERS, role_id=role_id, but=but))


def _given(rows: Sequence[Any]) -> Given:
    permitted = {implied for code, _ in rows if code in KNOWN for implied in Permission(code).implied}
    return Given(permitted, {role_code for _, role_code in rows})


async def standing(database: Database, tenant_id: UUID, user_id: UUID) -> Standing | None:
    """What the user may do now, in one round trip; None where there is no such user."""
    row = await database.hot(tenant_id, _STANDING, user_id=user_id)
    if row is None:
        return None
    status, unverified = row["status"], row["unverified"]
    decided = decided_by(row["grants"]) if status == "active" and not unverified else {}
    return Standing((tenant_id, user_id), status, unverified, decided, row["good_until"] or _FOREVER)


async def hold_holders(tx: Tx, code: str) -> dict[Holder, list[Grant]]:
    """The active people who hold the role for good, with each entry of their roles.

    The role is held until the transaction ends.
    """
    await tx.fetch(_HOLD_CODE, code=code)
    found: dict[Holder, list[Grant]] = {}
    for user_id, username, has_password, unverified, *entry in await tx.fetch(_HOLDERS, code=code):
        holder = Holder(user_id, username, has_password, unverified)
        found.setdefault(holder, []).extend(known([entry]))
    return found


async def all_permissions(tx: Tx) -> list[tuple[Permission, str]]:
    """Every permission with its description, sorted."""
    return [(Permission(code), description) for code, description in await tx.fetch(_PERMISSIONS) if code in KNOWN]
