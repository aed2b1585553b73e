"""The one connection of a database, and somebody who is founded through it."""

from __future__ import annotations

import asyncio
from uuid import UUID

from sqlalchemy import bindparam, insert

from server.db.connect import connect
from server.db.database import Database
from server.db.pool import Connection
from server.db.statements import Statement
from server.kernel.ids import uuid7
from server.settings import Settings
from server.tenant.tables import tenants

FOUND = Statement(insert(tenants).values(id=bindparam("id"), name=bindparam("slug"), slug=bindparam("slug")))


class Line:
    """The one connection of a pool, watched: whatever a use leaves behind, the next one gets."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.trips: list[str] = []
        self.lost = asyncio.Event()

    async def open(self) -> Connection:
        connection = await connect(self._settings)
        connection.add_query_logger(lambda query: self.trips.append(query.query))
        connection.add_termination_listener(lambda _: self.lost.set())
        return connection


async def found(database: Database, slug: str) -> UUID:
    """The id of a new tenant."""
    tenant_id = uuid7()
    async with database.tenant_tx(tenant_id) as tx:
        await tx.execute(FOUND, id=tenant_id, slug=slug)
    return tenant_id
