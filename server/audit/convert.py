"""The audit log, as the API has it."""

from __future__ import annotations

from atrium.audit.v1 import audit_log_pb2 as pb
from server.audit.domain import Entry, Filter
from server.rpc.wire import EnumMap, moment, reason, struct, timestamp, uuid_or_none

ACTOR_KINDS = EnumMap(
    {
        "user": pb.AuditLog.ACTOR_KIND_USER,
        "api_key": pb.AuditLog.ACTOR_KIND_API_KEY,
        "system": pb.AuditLog.ACTOR_KIND_SYSTEM,
    }
)
STATUSES = EnumMap({"success": pb.AuditLog.STATUS_SUCCESS, "failure": pb.AuditLog.STATUS_FAILURE})


def wanted(value: pb.AuditLogFilter) -> Filter:
    columns = {
        "user_id": uuid_or_none(value.user_id),
        "action": value.action or None,
        "resource_type": value.resource_type or None,
        "resource_id": value.resource_id or None,
        "status": STATUSES.word.get(value.status),
        "request_id": value.request_id or None,
        "session_id": value.session_id or None,
    }
    return Filter(
        {name: one for name, one in columns.items() if one is not None},
        value.ip_network or None,
        moment(value, "create_time_from", "filter.create_time_from"),
        moment(value, "create_time_until", "filter.create_time_until"),
    )


def audit_log(value: Entry) -> pb.AuditLog:
    return pb.AuditLog(
        id=str(value.id),
        create_time=timestamp(value.created_at),
        actor_kind=ACTOR_KINDS.number[value.actor_kind],
        user_id=str(value.user_id or ""),
        acting_for=str(value.acting_for or ""),
        action=value.action,
        resource_type=value.resource_type,
        resource_id=value.resource_id or "",
        old_value=struct(value.old_value),
        new_value=struct(value.new_value),
        details=struct(value.details),
        ip_address=str(value.ip_address or ""),
        user_agent=value.user_agent or "",
        request_id=value.request_id or "",
        session_id=value.session_id or "",
        trace_id=value.trace_id or "",
        status=STATUSES.number[value.status],
        error_reason=reason(value.error_message),
    )
