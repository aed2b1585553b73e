"""The end of a tenant: everything that is its own, removed over the owner's connection, children first."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Table

from server.db.base import metadata
from server.db.owner import connect_as_owner

_BATCH = 10_000


async def purge_rows(owner_url: str, tenant_id: UUID) -> dict[str, int]:
    """Removes the tenant and every row of it, in batches; how many there were, by table.

    What is interrupted is gone on with by the next call: the tenant itself goes last. Raises DatabaseRefused.
    """
    removed: dict[str, int] = {}
    async with connect_as_owner(owner_url, "atrium purge") as connection:
        for table in reversed(metadata.sorted_tables):
            if "tenant_id" in table.c and (count := await _empty(connection, table, tenant_id)):
                removed[str(table.name)] = count
        await connection.execute("DELETE FROM tenants WHERE id = $1", tenant_id)
    return removed


async def _empty(connection: Any, table: Table, tenant_id: UUID) -> int:
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    statement = (
        f"DELETE FROM {table.name} WHERE ({key}) IN "
        f"(SELECT {key} FROM {table.name} WHERE tenant_id = $1 LIMIT {_BATCH})"
    )
    total = 0
    while (count := int((await connection.execute(statement, tenant_id)).rpartition(" ")[2])) > 0:
        total += count
    return total
