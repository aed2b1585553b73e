"""The audit log: each entry is written in the transaction of what it tells of, and read by who may."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any
from uuid import UUID

from server.audit import store
from server.audit.domain import Entry, Filter
from server.db.database import Database, Tx
from server.db.lines import stream
from server.kernel.audit import Change, plain
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.kernel.paging import Page, PageRequest
from server.kernel.parts import Beat, Ended, Lines, Place
from server.kernel.principal import Call, call_or_none, current_call


class AuditLog:
    """Completes each change with who made it, in which call and from where."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, tx: Tx, change: Change) -> None:
        """Writes the entry into the tenant's log, as a part of the transaction."""
        call = call_or_none()
        principal = call.principal if call else None
        entry = {
            "tenant_id": tx.tenant_id,
            "id": uuid7(),
            "user_id": principal.user_id if principal else change.user_id,
            "actor_kind": _actor_kind(call),
            "acting_for": _acting_for(tx.tenant_id, principal.home if principal else None),
            "action": change.action,
            "resource_type": change.resource_type,
            "resource_id": None if change.resource_id is None else str(change.resource_id),
            "old_value": change.old,
            "new_value": change.new,
            "details": _details(change, call),
            "ip_address": call and call.address,
            "user_agent": call and call.user_agent,
            "request_id": call and call.request_id,
            "session_id": str(principal.session_id) if principal and principal.session_id else None,
            "trace_id": call and call.trace_id,
            "status": change.status,
            "error_message": change.error_message,
        }
        await store.insert_entry(tx, entry)

    async def denied(self, call: Call, error: DomainError) -> None:
        """Writes that the call was refused, in a transaction of its own."""
        async with self._database.tenant_tx(call.caller.tenant_id) as tx:
            change = Change(call.method, "method", status="failure", details=error.fields, error_message=error.reason)
            await self.record(tx, change)

    async def kept_out(self, call: Call, tenant_id: UUID, error: DomainError) -> None:
        """Writes into the caller's own tenant that they were not let into that one, in a transaction of its own."""
        async with self._database.tenant_tx(call.caller.tenant_id) as tx:
            change = Change(
                call.method, "tenant", tenant_id, status="failure", details=error.fields, error_message=error.reason
            )
            await self.record(tx, change)

    async def entered(self, call: Call) -> None:
        """Writes that a platform administrator acts inside the tenant, in a transaction of its own."""
        async with self._database.tenant_tx(call.caller.tenant_id) as tx:
            await self.record(tx, Change(call.method, "method"))


class AuditReader:
    """What is in the log of the caller's tenant."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def get(self, audit_log_id: UUID) -> Entry:
        """Raises AuditLogNotFound."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return await store.get(tx, audit_log_id)

    async def page(self, request: PageRequest, wanted: Filter) -> Page[Entry]:
        """Entries, newest first; fewer than were asked for where those are large."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return await store.page(tx, request, wanted)

    async def actions(self) -> Sequence[str]:
        """Every action that there are entries of, sorted."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return await store.actions(tx)

    async def export(self, wanted: Filter, after: Place | None) -> AsyncGenerator[Lines | Beat | Ended, None]:
        """Entries as NDJSON in parts, oldest first; what is behind a place, where one is given.

        Raises InvalidRequest.
        """
        tenant_id = current_call().caller.tenant_id
        asked = asdict(wanted)
        details = plain({name: value for name, value in {**asked.pop("columns"), **asked}.items() if value is not None})
        async with self._database.tenant_tx(tenant_id) as tx:
            await self._audit.record(tx, Change("audit_logs.export", "audit_log", details=details or None))
        async with aclosing(stream(self._database, tenant_id, store.exported(wanted), after)) as parts:
            async for part in parts:
                yield part


def _actor_kind(call: Call | None) -> str:
    if call is None:
        return "system"
    return "api_key" if call.principal is not None and call.principal.api_key_id is not None else "user"


def _details(change: Change, call: Call | None) -> Mapping[str, Any] | None:
    """With the key and the certificate that a program called with, which are no columns of their own."""
    programs: dict[str, Any] = {}
    if call is not None and call.principal is not None and call.principal.api_key_id is not None:
        programs["api_key_id"] = str(call.principal.api_key_id)
    if call is not None and call.service is not None:
        programs["service"] = call.service
    return {**(change.details or {}), **programs} if programs else change.details


def _acting_for(tenant_id: UUID, home: UUID | None) -> UUID | None:
    """The tenant that a platform administrator acts inside, since the entry lies there and its author does not."""
    return tenant_id if home not in (None, tenant_id) else None
