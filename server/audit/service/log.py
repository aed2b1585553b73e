"""Writing the audit log: each entry is written in the transaction of what it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from server.audit.store import checkpoints, entries
from server.db.database import Database, Tx
from server.kernel.audit import Change, plain
from server.kernel.errors import DomainError
from server.kernel.principal import Call, call_or_none


class AuditLog:
    """Completes each change with who made it, in which call and from where."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, tx: Tx, change: Change) -> None:
        """Writes the entry into the tenant's log, as a part of the transaction."""
        call = call_or_none()
        principal = call.principal if call else None
        values = {
            "tenant_id": tx.tenant_id,
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
        await entries.add(tx, values)

    async def last_checkpoint(self, tx: Tx) -> Mapping[str, Any] | None:
        """What the newest seal over the log of the transaction's tenant says; None: there is none. Bytes are in
        hexadecimal.

        By it whoever has kept the log and its checkpoints can show that they are whole when ours are gone.
        """
        last = await checkpoints.last(tx)
        if last is None:
            return None
        told = {**asdict(last.seal), "signing_kid": last.signing_kid, "signature": last.signature}
        return plain({name: value.hex() if isinstance(value, bytes) else value for name, value in told.items()})

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
