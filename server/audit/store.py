"""The audit log's SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, insert

from server.audit.tables import audit_logs
from server.db.database import Tx
from server.db.statements import Statement

FIELDS = (
    "tenant_id",
    "id",
    "user_id",
    "actor_kind",
    "acting_for",
    "action",
    "resource_type",
    "resource_id",
    "old_value",
    "new_value",
    "details",
    "ip_address",
    "user_agent",
    "request_id",
    "session_id",
    "trace_id",
    "status",
    "error_message",
)

_INSERT = Statement(insert(audit_logs).values({name: bindparam(name) for name in FIELDS}))


async def insert_entry(tx: Tx, values: Mapping[str, Any]) -> None:
    """Adds an entry; `values` has every one of FIELDS."""
    await tx.execute(_INSERT, **values)
