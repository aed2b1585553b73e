from atrium.audit.v1 import audit_log_pb2 as _audit_log_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportAuditLogsRequest(_message.Message):
    __slots__ = ("filter", "after_cursor")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_CURSOR_FIELD_NUMBER: _ClassVar[int]
    filter: _audit_log_pb2.AuditLogFilter
    after_cursor: str
    def __init__(self, filter: _Optional[_Union[_audit_log_pb2.AuditLogFilter, _Mapping]] = ..., after_cursor: _Optional[str] = ...) -> None: ...

class ExportAuditLogsResponse(_message.Message):
    __slots__ = ("seq", "lines", "ended", "heartbeat", "cursor")
    class Ended(_message.Message):
        __slots__ = ("rows",)
        ROWS_FIELD_NUMBER: _ClassVar[int]
        rows: int
        def __init__(self, rows: _Optional[int] = ...) -> None: ...
    class Heartbeat(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    seq: int
    lines: bytes
    ended: ExportAuditLogsResponse.Ended
    heartbeat: ExportAuditLogsResponse.Heartbeat
    cursor: str
    def __init__(self, seq: _Optional[int] = ..., lines: _Optional[bytes] = ..., ended: _Optional[_Union[ExportAuditLogsResponse.Ended, _Mapping]] = ..., heartbeat: _Optional[_Union[ExportAuditLogsResponse.Heartbeat, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...
