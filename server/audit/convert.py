"""The audit log, as the API has it."""

from __future__ import annotations

from uuid import UUID

from atrium.audit.v1 import audit_log_pb2 as pb
from atrium.audit.v1 import ddl_log_pb2, verify_pb2, watch_pb2
from server.audit.domain import CheckpointRef, DdlChange, Entry, Filter, Finding, Verification
from server.audit.service.watching import News
from server.rpc.wire import EnumMap, moment, reason, struct, timestamp, uuid_or_none

ACTOR_KINDS = EnumMap(
    {
        "user": pb.AuditLog.ACTOR_KIND_USER,
        "api_key": pb.AuditLog.ACTOR_KIND_API_KEY,
        "system": pb.AuditLog.ACTOR_KIND_SYSTEM,
    }
)
STATUSES = EnumMap({"success": pb.AuditLog.STATUS_SUCCESS, "failure": pb.AuditLog.STATUS_FAILURE})

FINDINGS = EnumMap(
    {
        "entries_altered": verify_pb2.Finding.KIND_ENTRIES_ALTERED,
        "checkpoint_forged": verify_pb2.Finding.KIND_CHECKPOINT_FORGED,
        "checkpoint_missing": verify_pb2.Finding.KIND_CHECKPOINT_MISSING,
    }
)


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


def ddl_log(value: DdlChange) -> ddl_log_pb2.DdlLog:
    return ddl_log_pb2.DdlLog(
        id=str(value.id),
        create_time=timestamp(value.created_at),
        command_tag=value.command_tag,
        object_identity=value.object_identity or "",
        command=value.command or "",
        session_user=value.session_user,
        application_name=value.application_name or "",
    )


def news(value: News, cursor: str) -> watch_pb2.WatchAuditLogsResponse:
    if not value.entries:
        return watch_pb2.WatchAuditLogsResponse(heartbeat={}, cursor=cursor)
    entries = watch_pb2.WatchAuditLogsResponse.Entries(audit_logs=[audit_log(entry) for entry in value.entries])
    return watch_pb2.WatchAuditLogsResponse(entries=entries, cursor=cursor)


def known(request: verify_pb2.VerifyAuditLogsRequest) -> CheckpointRef | None:
    """The checkpoint that must be there."""
    if not request.HasField("known_checkpoint"):
        return None
    return CheckpointRef(UUID(request.known_checkpoint.id), request.known_checkpoint.hash)


def verification(value: Verification, next_page_token: str) -> verify_pb2.VerifyAuditLogsResponse:
    last = value.last
    return verify_pb2.VerifyAuditLogsResponse(
        findings=[_finding(each) for each in value.findings],
        checkpoints=value.checkpoints,
        entries=value.rows,
        last_checkpoint=None if last is None else verify_pb2.CheckpointRef(id=str(last.id), hash=last.hash),
        sealed_until=timestamp(value.sealed_until),
        removed_until=timestamp(value.removed_until),
        next_page_token=next_page_token,
    )


def _finding(value: Finding) -> verify_pb2.Finding:
    return verify_pb2.Finding(
        kind=FINDINGS.number[value.kind],
        checkpoint_id=str(value.checkpoint_id),
        create_time_from=timestamp(value.since),
        create_time_until=timestamp(value.until),
        sealed_entries=value.row_count,
        found_entries=value.found,
    )
