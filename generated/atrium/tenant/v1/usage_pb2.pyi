import datetime

from atrium.tenant.v1 import tenant_pb2 as _tenant_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QuotaUsage(_message.Message):
    __slots__ = ("resource", "used", "limit")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    resource: str
    used: int
    limit: int
    def __init__(self, resource: _Optional[str] = ..., used: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class CallLimitUsage(_message.Message):
    __slots__ = ("name", "limit", "used", "reserved", "reset_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: str
    used: str
    reserved: str
    reset_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[str] = ..., used: _Optional[str] = ..., reserved: _Optional[str] = ..., reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("tier", "usage", "features", "call_limits")
    TIER_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    CALL_LIMITS_FIELD_NUMBER: _ClassVar[int]
    tier: _tenant_pb2.Tenant.Tier
    usage: _containers.RepeatedCompositeFieldContainer[QuotaUsage]
    features: _containers.RepeatedScalarFieldContainer[str]
    call_limits: _containers.RepeatedCompositeFieldContainer[CallLimitUsage]
    def __init__(self, tier: _Optional[_Union[_tenant_pb2.Tenant.Tier, str]] = ..., usage: _Optional[_Iterable[_Union[QuotaUsage, _Mapping]]] = ..., features: _Optional[_Iterable[str]] = ..., call_limits: _Optional[_Iterable[_Union[CallLimitUsage, _Mapping]]] = ...) -> None: ...
