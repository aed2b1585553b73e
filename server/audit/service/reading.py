"""Reading the audit log, for who may."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from uuid import UUID

from server.audit.domain import DdlChange, Entry, Filter
from server.audit.service.log import AuditLog
from server.audit.store import ddl, entries
from server.db.database import Database
from server.db.lines import stream
from server.kernel.audit import Change, plain
from server.kernel.paging import Page, PageRequest
from server.kernel.parts import Beat, Ended, Lines, Place
from server.kernel.principal import current_call


class AuditReader:
    """What is in the log of the caller's tenant."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def get(self, audit_log_id: UUID) -> Entry:
        """Raises AuditLogNotFound."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return await entries.get(tx, audit_log_id)

    async def page(self, request: PageRequest, wanted: Filter) -> Page[Entry]:
        """Entries, newest first; fewer than were asked for where those are large."""
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            return await entries.page(tx, request, wanted)

    async def ddl_changes(self, request: PageRequest) -> Page[DdlChange]:
        """Changes to the schema, newest first."""
        async with self._database.global_tx() as tx:
            return await ddl.page(tx, request)

    async def actions(self) -> Sequence[str]:
        """Every action that there are entries of, sorted."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return await entries.actions(tx)

    async def export(self, wanted: Filter, after: Place | None) -> AsyncGenerator[Lines | Beat | Ended, None]:
        """Entries as NDJSON in parts, oldest first; what is behind a place, where one is given.

        Raises InvalidRequest.
        """
        tenant_id = current_call().caller.tenant_id
        asked = asdict(wanted)
        details = plain({name: value for name, value in {**asked.pop("columns"), **asked}.items() if value is not None})
        async with self._database.tenant_tx(tenant_id) as tx:
            await self._audit.record(tx, Change("audit_logs.export", "audit_log", details=details or None))
        async with aclosing(stream(self._database, tenant_id, entries.exported(wanted), after)) as parts:
            async for part in parts:
                yield part
