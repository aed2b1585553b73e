import datetime

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

class UsageDimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_DIMENSION_UNSPECIFIED: _ClassVar[UsageDimension]
    USAGE_DIMENSION_DAY: _ClassVar[UsageDimension]
    USAGE_DIMENSION_MODEL: _ClassVar[UsageDimension]
    USAGE_DIMENSION_USER: _ClassVar[UsageDimension]
    USAGE_DIMENSION_API_KEY: _ClassVar[UsageDimension]
    USAGE_DIMENSION_PROMPT_VERSION: _ClassVar[UsageDimension]
USAGE_DIMENSION_UNSPECIFIED: UsageDimension
USAGE_DIMENSION_DAY: UsageDimension
USAGE_DIMENSION_MODEL: UsageDimension
USAGE_DIMENSION_USER: UsageDimension
USAGE_DIMENSION_API_KEY: UsageDimension
USAGE_DIMENSION_PROMPT_VERSION: UsageDimension

class ModelLimits(_message.Message):
    __slots__ = ("id", "etag", "create_time", "update_time", "user_id", "api_key_id", "requests_per_minute", "tokens_per_minute", "monthly_tokens", "monthly_cost_usd", "parallel_calls")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_COST_USD_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    user_id: str
    api_key_id: str
    requests_per_minute: int
    tokens_per_minute: int
    monthly_tokens: int
    monthly_cost_usd: str
    parallel_calls: int
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user_id: _Optional[str] = ..., api_key_id: _Optional[str] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., monthly_tokens: _Optional[int] = ..., monthly_cost_usd: _Optional[str] = ..., parallel_calls: _Optional[int] = ...) -> None: ...

class LimitUsage(_message.Message):
    __slots__ = ("kind", "limit", "used", "reserved")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[LimitUsage.Kind]
        KIND_REQUESTS_PER_MINUTE: _ClassVar[LimitUsage.Kind]
        KIND_TOKENS_PER_MINUTE: _ClassVar[LimitUsage.Kind]
        KIND_MONTHLY_TOKENS: _ClassVar[LimitUsage.Kind]
        KIND_MONTHLY_COST: _ClassVar[LimitUsage.Kind]
        KIND_PARALLEL_CALLS: _ClassVar[LimitUsage.Kind]
    KIND_UNSPECIFIED: LimitUsage.Kind
    KIND_REQUESTS_PER_MINUTE: LimitUsage.Kind
    KIND_TOKENS_PER_MINUTE: LimitUsage.Kind
    KIND_MONTHLY_TOKENS: LimitUsage.Kind
    KIND_MONTHLY_COST: LimitUsage.Kind
    KIND_PARALLEL_CALLS: LimitUsage.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    kind: LimitUsage.Kind
    limit: str
    used: str
    reserved: str
    def __init__(self, kind: _Optional[_Union[LimitUsage.Kind, str]] = ..., limit: _Optional[str] = ..., used: _Optional[str] = ..., reserved: _Optional[str] = ...) -> None: ...

class SetModelLimitsRequest(_message.Message):
    __slots__ = ("user_id", "api_key_id", "etag", "requests_per_minute", "tokens_per_minute", "monthly_tokens", "monthly_cost_usd", "parallel_calls")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_COST_USD_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    api_key_id: str
    etag: str
    requests_per_minute: int
    tokens_per_minute: int
    monthly_tokens: int
    monthly_cost_usd: str
    parallel_calls: int
    def __init__(self, user_id: _Optional[str] = ..., api_key_id: _Optional[str] = ..., etag: _Optional[str] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., monthly_tokens: _Optional[int] = ..., monthly_cost_usd: _Optional[str] = ..., parallel_calls: _Optional[int] = ...) -> None: ...

class SetModelLimitsResponse(_message.Message):
    __slots__ = ("limits",)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: ModelLimits
    def __init__(self, limits: _Optional[_Union[ModelLimits, _Mapping]] = ...) -> None: ...

class GetModelLimitsRequest(_message.Message):
    __slots__ = ("user_id", "api_key_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    api_key_id: str
    def __init__(self, user_id: _Optional[str] = ..., api_key_id: _Optional[str] = ...) -> None: ...

class GetModelLimitsResponse(_message.Message):
    __slots__ = ("limits", "usage")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    limits: ModelLimits
    usage: _containers.RepeatedCompositeFieldContainer[LimitUsage]
    def __init__(self, limits: _Optional[_Union[ModelLimits, _Mapping]] = ..., usage: _Optional[_Iterable[_Union[LimitUsage, _Mapping]]] = ...) -> None: ...

class ListModelLimitsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelLimitsResponse(_message.Message):
    __slots__ = ("limits", "next_page_token")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[ModelLimits]
    next_page_token: str
    def __init__(self, limits: _Optional[_Iterable[_Union[ModelLimits, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteModelLimitsRequest(_message.Message):
    __slots__ = ("id", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteModelLimitsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelUsageRequest(_message.Message):
    __slots__ = ("group_by", "day_from", "day_until", "model_id", "user_id", "api_key_id", "prompt_version_id", "limit", "page_token")
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    DAY_FROM_FIELD_NUMBER: _ClassVar[int]
    DAY_UNTIL_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    group_by: _containers.RepeatedScalarFieldContainer[UsageDimension]
    day_from: _timestamp_pb2.Timestamp
    day_until: _timestamp_pb2.Timestamp
    model_id: str
    user_id: str
    api_key_id: str
    prompt_version_id: str
    limit: int
    page_token: str
    def __init__(self, group_by: _Optional[_Iterable[_Union[UsageDimension, str]]] = ..., day_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., day_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model_id: _Optional[str] = ..., user_id: _Optional[str] = ..., api_key_id: _Optional[str] = ..., prompt_version_id: _Optional[str] = ..., limit: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ModelUsage(_message.Message):
    __slots__ = ("day", "model_id", "user_id", "api_key_id", "prompt_version_id", "calls", "errors", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "average_latency")
    DAY_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_LATENCY_FIELD_NUMBER: _ClassVar[int]
    day: str
    model_id: str
    user_id: str
    api_key_id: str
    prompt_version_id: str
    calls: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: str
    average_latency: _duration_pb2.Duration
    def __init__(self, day: _Optional[str] = ..., model_id: _Optional[str] = ..., user_id: _Optional[str] = ..., api_key_id: _Optional[str] = ..., prompt_version_id: _Optional[str] = ..., calls: _Optional[int] = ..., errors: _Optional[int] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ..., cost_usd: _Optional[str] = ..., average_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetModelUsageResponse(_message.Message):
    __slots__ = ("usage", "next_page_token")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    usage: _containers.RepeatedCompositeFieldContainer[ModelUsage]
    next_page_token: str
    def __init__(self, usage: _Optional[_Iterable[_Union[ModelUsage, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
