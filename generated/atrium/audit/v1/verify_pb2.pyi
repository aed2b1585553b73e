import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CheckpointRef(_message.Message):
    __slots__ = ("id", "hash")
    ID_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    id: str
    hash: bytes
    def __init__(self, id: _Optional[str] = ..., hash: _Optional[bytes] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("kind", "checkpoint_id", "create_time_from", "create_time_until", "sealed_entries", "found_entries")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Finding.Kind]
        KIND_ENTRIES_ALTERED: _ClassVar[Finding.Kind]
        KIND_CHECKPOINT_FORGED: _ClassVar[Finding.Kind]
        KIND_CHECKPOINT_MISSING: _ClassVar[Finding.Kind]
    KIND_UNSPECIFIED: Finding.Kind
    KIND_ENTRIES_ALTERED: Finding.Kind
    KIND_CHECKPOINT_FORGED: Finding.Kind
    KIND_CHECKPOINT_MISSING: Finding.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_UNTIL_FIELD_NUMBER: _ClassVar[int]
    SEALED_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FOUND_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    kind: Finding.Kind
    checkpoint_id: str
    create_time_from: _timestamp_pb2.Timestamp
    create_time_until: _timestamp_pb2.Timestamp
    sealed_entries: int
    found_entries: int
    def __init__(self, kind: _Optional[_Union[Finding.Kind, str]] = ..., checkpoint_id: _Optional[str] = ..., create_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sealed_entries: _Optional[int] = ..., found_entries: _Optional[int] = ...) -> None: ...

class VerifyAuditLogsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "create_time_from", "create_time_until", "known_checkpoint")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_UNTIL_FIELD_NUMBER: _ClassVar[int]
    KNOWN_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    create_time_from: _timestamp_pb2.Timestamp
    create_time_until: _timestamp_pb2.Timestamp
    known_checkpoint: CheckpointRef
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., create_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known_checkpoint: _Optional[_Union[CheckpointRef, _Mapping]] = ...) -> None: ...

class VerifyAuditLogsResponse(_message.Message):
    __slots__ = ("findings", "checkpoints", "entries", "last_checkpoint", "sealed_until", "removed_until", "next_page_token")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    SEALED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    REMOVED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    checkpoints: int
    entries: int
    last_checkpoint: CheckpointRef
    sealed_until: _timestamp_pb2.Timestamp
    removed_until: _timestamp_pb2.Timestamp
    next_page_token: str
    def __init__(self, findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., checkpoints: _Optional[int] = ..., entries: _Optional[int] = ..., last_checkpoint: _Optional[_Union[CheckpointRef, _Mapping]] = ..., sealed_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., removed_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
