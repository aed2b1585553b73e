"""The tenant slice's SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, bindparam, column, func, insert, select, update

from server.db.database import Database, Tx
from server.db.errors import constraint_errors
from server.db.statements import HotStatement, Statement
from server.kernel.ids import uuid7_floor
from server.kernel.paging import Page, PageRequest
from server.tenant.domain import SlugTaken, Tenant, TenantConfig, TenantNotFound
from server.tenant.tables import tenant_configs, tenants

_TENANT = tuple(tenants.c[name] for name in Tenant.__dataclass_fields__)
_CONFIG = tuple(tenant_configs.c[name] for name in TenantConfig.__dataclass_fields__)
_LIVE = tenants.c.deleted_at.is_(None)

_GET = Statement(select(*_TENANT).where(tenants.c.id == bindparam("tenant_id"), _LIVE))
_LOCK = Statement(select(*_TENANT).where(tenants.c.id == bindparam("tenant_id"), _LIVE).with_for_update())
_GET_CONFIG = Statement(select(*_CONFIG).where(tenant_configs.c.tenant_id == bindparam("tenant_id")))
_LOCK_CONFIG = Statement(select(*_CONFIG).where(tenant_configs.c.tenant_id == bindparam("tenant_id")).with_for_update())
_READ_CONFIG = HotStatement(select(*_CONFIG))
_CREATE_CONFIG = Statement(insert(tenant_configs).values(tenant_id=bindparam("tenant_id")))

_LIST = Statement(
    select(
        func.atrium_list_tenants(
            bindparam("before", type_=Uuid),
            bindparam("since", type_=Uuid),
            bindparam("status", type_=Text),
            bindparam("most", type_=Integer),
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


async def get(tx: Tx, tenant_id: UUID) -> Tenant:
    """Raises TenantNotFound."""
    row = await tx.fetchrow(_GET, tenant_id=tenant_id)
    if row is None:
        raise TenantNotFound(tenant_id)
    return Tenant(*row)


async def lock(tx: Tx, tenant_id: UUID) -> Tenant:
    """The tenant, held until the transaction ends. Raises TenantNotFound."""
    row = await tx.fetchrow(_LOCK, tenant_id=tenant_id)
    if row is None:
        raise TenantNotFound(tenant_id)
    return Tenant(*row)


async def page(
    tx: Tx, request: PageRequest, status: str | None, since: datetime | None, until: datetime | None
) -> Page[Tenant]:
    """Live tenants, newest first; only in the platform's own context is there any."""
    before = request.before if until is None else min(request.before, uuid7_floor(until))
    first = UUID(int=0) if since is None else uuid7_floor(since)
    rows = await tx.fetch(_LIST, before=before, since=first, status=status, most=request.size + 1)
    return Page.cut([Tenant(*row) for row in rows], [row["id"] for row in rows], request.size)


async def find_active(tx: Tx, slug: str) -> UUID | None:
    """The id of the active tenant of that slug."""
    row = await tx.fetchrow(_FIND, slug=slug)
    return row["id"] if row is not None and row["status"] == "active" else None


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


async def change_config(tx: Tx, tenant_id: UUID, values: Mapping[str, Any]) -> TenantConfig:
    return TenantConfig(*await tx.fetchone(_update_config(tuple(sorted(values))), tenant_id=tenant_id, **values))
