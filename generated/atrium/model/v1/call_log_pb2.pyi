import datetime

from atrium.errors.v1 import error_reason_pb2 as _error_reason_pb2
from atrium.model.v1 import chat_pb2 as _chat_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CallLog(_message.Message):
    __slots__ = ("id", "create_time", "user_id", "model_id", "kind", "status", "error_reason", "finish_reason", "usage", "latency", "time_to_first_token", "trace_id", "request_id", "route", "attempts", "api_key_id", "prompt_version_id", "cached", "workflow_execution_id", "task_id", "outage")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[CallLog.Kind]
        KIND_CHAT: _ClassVar[CallLog.Kind]
        KIND_EMBEDDING: _ClassVar[CallLog.Kind]
    KIND_UNSPECIFIED: CallLog.Kind
    KIND_CHAT: CallLog.Kind
    KIND_EMBEDDING: CallLog.Kind
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[CallLog.Status]
        STATUS_SUCCESS: _ClassVar[CallLog.Status]
        STATUS_ERROR: _ClassVar[CallLog.Status]
        STATUS_CANCELLED: _ClassVar[CallLog.Status]
    STATUS_UNSPECIFIED: CallLog.Status
    STATUS_SUCCESS: CallLog.Status
    STATUS_ERROR: CallLog.Status
    STATUS_CANCELLED: CallLog.Status
    class Outage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTAGE_UNSPECIFIED: _ClassVar[CallLog.Outage]
        OUTAGE_UNREACHABLE: _ClassVar[CallLog.Outage]
        OUTAGE_SILENT: _ClassVar[CallLog.Outage]
        OUTAGE_FAILING: _ClassVar[CallLog.Outage]
        OUTAGE_COOLING: _ClassVar[CallLog.Outage]
    OUTAGE_UNSPECIFIED: CallLog.Outage
    OUTAGE_UNREACHABLE: CallLog.Outage
    OUTAGE_SILENT: CallLog.Outage
    OUTAGE_FAILING: CallLog.Outage
    OUTAGE_COOLING: CallLog.Outage
    ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    OUTAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    create_time: _timestamp_pb2.Timestamp
    user_id: str
    model_id: str
    kind: CallLog.Kind
    status: CallLog.Status
    error_reason: _error_reason_pb2.ErrorReason
    finish_reason: _chat_pb2.FinishReason
    usage: _chat_pb2.Usage
    latency: _duration_pb2.Duration
    time_to_first_token: _duration_pb2.Duration
    trace_id: str
    request_id: str
    route: str
    attempts: int
    api_key_id: str
    prompt_version_id: str
    cached: bool
    workflow_execution_id: str
    task_id: str
    outage: CallLog.Outage
    def __init__(self, id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user_id: _Optional[str] = ..., model_id: _Optional[str] = ..., kind: _Optional[_Union[CallLog.Kind, str]] = ..., status: _Optional[_Union[CallLog.Status, str]] = ..., error_reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., finish_reason: _Optional[_Union[_chat_pb2.FinishReason, str]] = ..., usage: _Optional[_Union[_chat_pb2.Usage, _Mapping]] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_to_first_token: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., trace_id: _Optional[str] = ..., request_id: _Optional[str] = ..., route: _Optional[str] = ..., attempts: _Optional[int] = ..., api_key_id: _Optional[str] = ..., prompt_version_id: _Optional[str] = ..., cached: _Optional[bool] = ..., workflow_execution_id: _Optional[str] = ..., task_id: _Optional[str] = ..., outage: _Optional[_Union[CallLog.Outage, str]] = ...) -> None: ...

class GetCallLogRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetCallLogResponse(_message.Message):
    __slots__ = ("call_log", "messages", "answer")
    CALL_LOG_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    call_log: CallLog
    messages: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ChatMessage]
    answer: _chat_pb2.ChatMessage
    def __init__(self, call_log: _Optional[_Union[CallLog, _Mapping]] = ..., messages: _Optional[_Iterable[_Union[_chat_pb2.ChatMessage, _Mapping]]] = ..., answer: _Optional[_Union[_chat_pb2.ChatMessage, _Mapping]] = ...) -> None: ...

class ListCallLogsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "user_id", "model_id", "trace_id", "status", "create_time_from", "create_time_until", "api_key_id", "workflow_execution_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_UNTIL_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    user_id: str
    model_id: str
    trace_id: str
    status: CallLog.Status
    create_time_from: _timestamp_pb2.Timestamp
    create_time_until: _timestamp_pb2.Timestamp
    api_key_id: str
    workflow_execution_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., model_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., status: _Optional[_Union[CallLog.Status, str]] = ..., create_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., api_key_id: _Optional[str] = ..., workflow_execution_id: _Optional[str] = ...) -> None: ...

class ListCallLogsResponse(_message.Message):
    __slots__ = ("call_logs", "next_page_token")
    CALL_LOGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    call_logs: _containers.RepeatedCompositeFieldContainer[CallLog]
    next_page_token: str
    def __init__(self, call_logs: _Optional[_Iterable[_Union[CallLog, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
