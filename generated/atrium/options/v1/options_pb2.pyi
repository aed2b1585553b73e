import datetime

from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
RULE_FIELD_NUMBER: _ClassVar[int]
rule: _descriptor.FieldDescriptor

class Rule(_message.Message):
    __slots__ = ("permission", "authenticated", "public", "platform_only", "ceiling", "unverified", "feature", "detached", "super_admin")
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATED_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_ONLY_FIELD_NUMBER: _ClassVar[int]
    CEILING_FIELD_NUMBER: _ClassVar[int]
    UNVERIFIED_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    SUPER_ADMIN_FIELD_NUMBER: _ClassVar[int]
    permission: str
    authenticated: bool
    public: bool
    platform_only: bool
    ceiling: _duration_pb2.Duration
    unverified: bool
    feature: str
    detached: bool
    super_admin: bool
    def __init__(self, permission: _Optional[str] = ..., authenticated: _Optional[bool] = ..., public: _Optional[bool] = ..., platform_only: _Optional[bool] = ..., ceiling: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., unverified: _Optional[bool] = ..., feature: _Optional[str] = ..., detached: _Optional[bool] = ..., super_admin: _Optional[bool] = ...) -> None: ...
