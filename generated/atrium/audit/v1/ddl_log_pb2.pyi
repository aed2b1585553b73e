import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DdlLog(_message.Message):
    __slots__ = ("id", "create_time", "command_tag", "object_identity", "command", "session_user", "application_name")
    ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_TAG_FIELD_NUMBER: _ClassVar[int]
    OBJECT_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    SESSION_USER_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    create_time: _timestamp_pb2.Timestamp
    command_tag: str
    object_identity: str
    command: str
    session_user: str
    application_name: str
    def __init__(self, id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., command_tag: _Optional[str] = ..., object_identity: _Optional[str] = ..., command: _Optional[str] = ..., session_user: _Optional[str] = ..., application_name: _Optional[str] = ...) -> None: ...

class ListDdlLogsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDdlLogsResponse(_message.Message):
    __slots__ = ("ddl_logs", "next_page_token")
    DDL_LOGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ddl_logs: _containers.RepeatedCompositeFieldContainer[DdlLog]
    next_page_token: str
    def __init__(self, ddl_logs: _Optional[_Iterable[_Union[DdlLog, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
