from atrium.audit.v1 import audit_log_pb2 as _audit_log_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchAuditLogsRequest(_message.Message):
    __slots__ = ("filter", "after_cursor")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_CURSOR_FIELD_NUMBER: _ClassVar[int]
    filter: _audit_log_pb2.AuditLogFilter
    after_cursor: str
    def __init__(self, filter: _Optional[_Union[_audit_log_pb2.AuditLogFilter, _Mapping]] = ..., after_cursor: _Optional[str] = ...) -> None: ...

class WatchAuditLogsResponse(_message.Message):
    __slots__ = ("entries", "heartbeat", "cursor")
    class Entries(_message.Message):
        __slots__ = ("audit_logs",)
        AUDIT_LOGS_FIELD_NUMBER: _ClassVar[int]
        audit_logs: _containers.RepeatedCompositeFieldContainer[_audit_log_pb2.AuditLog]
        def __init__(self, audit_logs: _Optional[_Iterable[_Union[_audit_log_pb2.AuditLog, _Mapping]]] = ...) -> None: ...
    class Heartbeat(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    entries: WatchAuditLogsResponse.Entries
    heartbeat: WatchAuditLogsResponse.Heartbeat
    cursor: str
    def __init__(self, entries: _Optional[_Union[WatchAuditLogsResponse.Entries, _Mapping]] = ..., heartbeat: _Optional[_Union[WatchAuditLogsResponse.Heartbeat, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...
