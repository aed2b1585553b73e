"""The tenant slice's SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, bindparam, column, func, insert, select, update

from server.db.base import among
from server.db.database import Database, Tx
from server.db.errors import constraint_errors
from server.db.statements import HotStatement, Statement
from server.kernel.deletion import Deleted, NotDeleted
from server.kernel.errors import TenantGone
from server.kernel.ids import uuid7_floor
from server.kernel.paging import Page, PageRequest
from server.tenant.domain import DEFAULT_RETENTION_DAYS, Entitlement, SlugTaken, Tenant, TenantConfig, TenantNotFound
from server.tenant.tables import tenant_configs, tenants

CHANGED = "atrium_tenants_changed"
"""Tells which tenant's standing, tier or settings changed."""

_TENANT = tuple(tenants.c[name] for name in Tenant.__dataclass_fields__)
_CONFIG = tuple(tenant_configs.c[name] for name in TenantConfig.__dataclass_fields__)
_LIVE = tenants.c.deleted_at.is_(None)

_THIS = tenants.c.id == bindparam("tenant_id")
_GET = {
    deleted: Statement(select(*_TENANT).where(_THIS, *among(tenants.c.deleted_at, deleted)))
    for deleted in get_args(Deleted)
}
_LOCK = Statement(select(*_TENANT).where(_THIS).with_for_update())
# Not against those who only refer to the tenant: every row of it does.
_ENTITLED = select(*(tenants.c[name] for name in Entitlement.__dataclass_fields__))
_ENTITLEMENT = HotStatement(_ENTITLED)
_HOLD_ENTITLEMENT = Statement(_ENTITLED.with_for_update(key_share=True))
_DELETE = Statement(
    update(tenants)
    .where(_THIS)
    .values(status="deleted", former_status=tenants.c.status, deleted_at=func.now(), deleted_by=bindparam("deleted_by"))
    .returning(*_TENANT)
)
_BEGIN_PURGE = Statement(
    update(tenants)
    .where(_THIS)
    # One that was interrupted goes on, and began when it did.
    .values(purge_started_at=func.coalesce(tenants.c.purge_started_at, func.now()))
    .returning(*_TENANT)
)
_FORGET_DELETER = Statement(update(tenants).where(_THIS).values(deleted_by=None))
_RESTORE = Statement(
    update(tenants)
    .where(_THIS)
    .values(status=tenants.c.former_status, former_status=None, deleted_at=None, deleted_by=None)
    .returning(*_TENANT)
)
_GET_CONFIG = Statement(select(*_CONFIG).where(tenant_configs.c.tenant_id == bindparam("tenant_id")))
_LOCK_CONFIG = Statement(select(*_CONFIG).where(tenant_configs.c.tenant_id == bindparam("tenant_id")).with_for_update())
_READ_CONFIG = HotStatement(select(*_CONFIG))
_READ_RETENTION = HotStatement(select(tenant_configs.c.soft_delete_retention_days))
_READ_STATUS = HotStatement(select(tenants.c.status))
_CREATE_CONFIG = Statement(insert(tenant_configs).values(tenant_id=bindparam("tenant_id")))

_LIST = Statement(
    select(
        func.atrium_list_tenants(
            bindparam("before", type_=Uuid),
            bindparam("since", type_=Uuid),
            bindparam("status", type_=Text),
            bindparam("most", type_=Integer),
            bindparam("deleted", type_=Text),
        ).table_valued(*(column(found.name, found.type) for found in _TENANT))
    )
)
_FIND = Statement(
    select(
        func.atrium_find_tenant(bindparam("slug", type_=Text)).table_valued(column("id", Uuid), column("status", Text))
    )
)
_READ_SLUG = HotStatement(select(tenants.c.slug).where(_LIVE))
_IS_ACTIVE = Statement(select(func.atrium_tenant_is_active()))


@cache
def _insert(fields: tuple[str, ...]) -> Statement:
    return Statement(insert(tenants).values({name: bindparam(name) for name in fields}).returning(*_TENANT))


@cache
def _update(fields: tuple[str, ...]) -> Statement:
    changed = update(tenants).where(tenants.c.id == bindparam("tenant_id"))
    return Statement(changed.values({name: bindparam(name) for name in fields}).returning(*_TENANT))


@cache
def _update_config(fields: tuple[str, ...]) -> Statement:
    changed = update(tenant_configs).where(tenant_configs.c.tenant_id == bindparam("tenant_id"))
    return Statement(changed.values({name: bindparam(name) for name in fields}).returning(*_CONFIG))


async def get(tx: Tx, tenant_id: UUID, deleted: Deleted = "exclude") -> Tenant:
    """Raises TenantNotFound."""
    row = await tx.fetchrow(_GET[deleted], tenant_id=tenant_id)
    if row is None:
        raise TenantNotFound(tenant_id)
    return Tenant(*row)


async def lock(tx: Tx, tenant_id: UUID) -> Tenant:
    """The live tenant, held until the transaction ends. Raises TenantNotFound."""
    tenant = await lock_any(tx, tenant_id)
    if tenant.deleted_at is not None:
        raise TenantNotFound(tenant_id)
    return tenant


async def lock_any(tx: Tx, tenant_id: UUID) -> Tenant:
    """The tenant, live or deleted, held until the transaction ends. Raises TenantNotFound."""
    row = await tx.fetchrow(_LOCK, tenant_id=tenant_id)
    if row is None:
        raise TenantNotFound(tenant_id)
    return Tenant(*row)


async def lock_deleted(tx: Tx, tenant_id: UUID) -> Tenant:
    """The deleted tenant, held until the transaction ends. Raises TenantNotFound, NotDeleted."""
    tenant = await lock_any(tx, tenant_id)
    if tenant.deleted_at is None:
        raise NotDeleted(f"tenant {tenant.slug}")
    return tenant


async def read_entitlement(database: Database, tenant_id: UUID) -> Entitlement:
    """What the tier of a tenant that is there follows from, in one round trip. Raises TenantNotFound."""
    row = await database.hot(tenant_id, _ENTITLEMENT)
    if row is None:
        raise TenantNotFound(tenant_id)
    return Entitlement(*row)


async def hold_entitlement(tx: Tx) -> Entitlement:
    """What the limits of the transaction's tenant follow from, held until it ends. Raises TenantGone."""
    row = await tx.fetchrow(_HOLD_ENTITLEMENT)
    if row is None:
        raise TenantGone
    return Entitlement(*row)


async def mark_deleted(tx: Tx, tenant_id: UUID, by: UUID) -> Tenant:
    return Tenant(*await tx.fetchone(_DELETE, tenant_id=tenant_id, deleted_by=str(by)))


async def forget_deleter(tx: Tx) -> None:
    """The transaction's tenant was deleted by nobody."""
    await tx.execute(_FORGET_DELETER, tenant_id=tx.tenant_id)


async def begin_purge(tx: Tx, tenant_id: UUID) -> Tenant:
    """The tenant, which cannot be restored from then on."""
    return Tenant(*await tx.fetchone(_BEGIN_PURGE, tenant_id=tenant_id))


async def restore(tx: Tx, tenant_id: UUID) -> Tenant:
    """The tenant as it was, active or suspended."""
    return Tenant(*await tx.fetchone(_RESTORE, tenant_id=tenant_id))


async def page(
    tx: Tx,
    request: PageRequest,
    deleted: Deleted,
    status: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Page[Tenant]:
    """Tenants, newest first; only in the platform's own context is there any."""
    before = request.before if until is None else min(request.before, uuid7_floor(until))
    first = UUID(int=0) if since is None else uuid7_floor(since)
    values = {"before": before, "since": first, "status": status, "deleted": deleted}
    rows = await tx.fetch(_LIST, most=request.size + 1, **values)
    return Page.cut([Tenant(*row) for row in rows], [row["id"] for row in rows], request.size)


async def find(tx: Tx, slug: str) -> tuple[UUID | None, bool]:
    """The id of the tenant of that slug, a deleted one too, and whether it is active."""
    row = await tx.fetchrow(_FIND, slug=slug)
    return (None, False) if row is None else (row["id"], row["status"] == "active")


async def is_active(tx: Tx) -> bool:
    """Whether the transaction's tenant is active."""
    return bool((await tx.fetchone(_IS_ACTIVE))[0])


async def read_slug(database: Database, tenant_id: UUID) -> str:
    """The tenant's slug in one round trip. Raises TenantNotFound."""
    row = await database.hot(tenant_id, _READ_SLUG)
    if row is None:
        raise TenantNotFound(tenant_id)
    return str(row["slug"])


async def create(tx: Tx, values: Mapping[str, Any]) -> Tenant:
    """The tenant and its settings, all at their defaults. Raises SlugTaken."""
    with constraint_errors({"uq_tenants_slug": lambda: SlugTaken(slug=values["slug"])}):
        tenant = Tenant(*await tx.fetchone(_insert(tuple(sorted(values))), **values))
    await tx.execute(_CREATE_CONFIG, tenant_id=tenant.id)
    return tenant


async def change(tx: Tx, tenant_id: UUID, values: Mapping[str, Any]) -> Tenant:
    return Tenant(*await tx.fetchone(_update(tuple(sorted(values))), tenant_id=tenant_id, **values))


async def get_config(tx: Tx, tenant_id: UUID, *, lock: bool = False) -> TenantConfig:
    """`lock`: held until the transaction ends. Raises TenantNotFound."""
    row = await tx.fetchrow(_LOCK_CONFIG if lock else _GET_CONFIG, tenant_id=tenant_id)
    if row is None:
        raise TenantNotFound(tenant_id)
    return TenantConfig(*row)


async def read_config(database: Database, tenant_id: UUID) -> TenantConfig:
    """The tenant's settings in one round trip. Raises TenantNotFound."""
    row = await database.hot(tenant_id, _READ_CONFIG)
    if row is None:
        raise TenantNotFound(tenant_id)
    return TenantConfig(*row)


async def read_retention(database: Database, tenant_id: UUID) -> int:
    """The days that it keeps what was deleted, in one round trip; as many as usual where its settings are gone."""
    row = await database.hot(tenant_id, _READ_RETENTION)
    return DEFAULT_RETENTION_DAYS if row is None else int(row[0])


async def read_status(database: Database, tenant_id: UUID) -> str | None:
    """The tenant's status, a deleted one's too, in one round trip; None where there is none."""
    row = await database.hot(tenant_id, _READ_STATUS)
    return None if row is None else str(row["status"])


async def change_config(tx: Tx, tenant_id: UUID, values: Mapping[str, Any]) -> TenantConfig:
    return TenantConfig(*await tx.fetchone(_update_config(tuple(sorted(values))), tenant_id=tenant_id, **values))


async def tell_changed(tx: Tx, tenant_id: UUID) -> None:
    """Has every process forget what it remembers of the tenant, of its callers and of what they may call, on commit."""
    await tx.notify(CHANGED, str(tenant_id))
