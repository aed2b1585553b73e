import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TenantConfig(_message.Message):
    __slots__ = ("tenant_id", "etag", "create_time", "update_time", "default_model", "default_embedding_model", "max_tokens_per_request", "temperature", "extra_config", "soft_delete_retention_days", "audit_retention_days", "call_log_retention_days", "require_verified_email", "requests_per_minute", "tokens_per_minute", "monthly_token_quota", "monthly_cost_quota_usd", "max_parallel_calls", "store_prompts", "prompt_retention_days", "vector_search_top_k", "vector_search_threshold", "store_queries", "query_log_retention_days", "max_concurrent_workflows", "workflow_timeout_seconds", "execution_retention_days")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_EMBEDDING_MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_PER_REQUEST_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_CONFIG_FIELD_NUMBER: _ClassVar[int]
    SOFT_DELETE_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    CALL_LOG_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_VERIFIED_EMAIL_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_TOKEN_QUOTA_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_COST_QUOTA_USD_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    STORE_PROMPTS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    VECTOR_SEARCH_TOP_K_FIELD_NUMBER: _ClassVar[int]
    VECTOR_SEARCH_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    STORE_QUERIES_FIELD_NUMBER: _ClassVar[int]
    QUERY_LOG_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    etag: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    default_model: str
    default_embedding_model: str
    max_tokens_per_request: int
    temperature: float
    extra_config: _struct_pb2.Struct
    soft_delete_retention_days: int
    audit_retention_days: int
    call_log_retention_days: int
    require_verified_email: bool
    requests_per_minute: int
    tokens_per_minute: int
    monthly_token_quota: int
    monthly_cost_quota_usd: str
    max_parallel_calls: int
    store_prompts: bool
    prompt_retention_days: int
    vector_search_top_k: int
    vector_search_threshold: float
    store_queries: bool
    query_log_retention_days: int
    max_concurrent_workflows: int
    workflow_timeout_seconds: int
    execution_retention_days: int
    def __init__(self, tenant_id: _Optional[str] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., default_model: _Optional[str] = ..., default_embedding_model: _Optional[str] = ..., max_tokens_per_request: _Optional[int] = ..., temperature: _Optional[float] = ..., extra_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., soft_delete_retention_days: _Optional[int] = ..., audit_retention_days: _Optional[int] = ..., call_log_retention_days: _Optional[int] = ..., require_verified_email: _Optional[bool] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., monthly_token_quota: _Optional[int] = ..., monthly_cost_quota_usd: _Optional[str] = ..., max_parallel_calls: _Optional[int] = ..., store_prompts: _Optional[bool] = ..., prompt_retention_days: _Optional[int] = ..., vector_search_top_k: _Optional[int] = ..., vector_search_threshold: _Optional[float] = ..., store_queries: _Optional[bool] = ..., query_log_retention_days: _Optional[int] = ..., max_concurrent_workflows: _Optional[int] = ..., workflow_timeout_seconds: _Optional[int] = ..., execution_retention_days: _Optional[int] = ...) -> None: ...

class GetTenantConfigRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class GetTenantConfigResponse(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: TenantConfig
    def __init__(self, config: _Optional[_Union[TenantConfig, _Mapping]] = ...) -> None: ...

class UpdateTenantConfigRequest(_message.Message):
    __slots__ = ("tenant_id", "update_mask", "etag", "default_model", "default_embedding_model", "max_tokens_per_request", "temperature", "extra_config", "soft_delete_retention_days", "audit_retention_days", "call_log_retention_days", "require_verified_email", "requests_per_minute", "tokens_per_minute", "monthly_token_quota", "monthly_cost_quota_usd", "max_parallel_calls", "store_prompts", "prompt_retention_days", "vector_search_top_k", "vector_search_threshold", "store_queries", "query_log_retention_days", "max_concurrent_workflows", "workflow_timeout_seconds", "execution_retention_days")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_EMBEDDING_MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_PER_REQUEST_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_CONFIG_FIELD_NUMBER: _ClassVar[int]
    SOFT_DELETE_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    CALL_LOG_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_VERIFIED_EMAIL_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_TOKEN_QUOTA_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_COST_QUOTA_USD_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    STORE_PROMPTS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    VECTOR_SEARCH_TOP_K_FIELD_NUMBER: _ClassVar[int]
    VECTOR_SEARCH_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    STORE_QUERIES_FIELD_NUMBER: _ClassVar[int]
    QUERY_LOG_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    default_model: str
    default_embedding_model: str
    max_tokens_per_request: int
    temperature: float
    extra_config: _struct_pb2.Struct
    soft_delete_retention_days: int
    audit_retention_days: int
    call_log_retention_days: int
    require_verified_email: bool
    requests_per_minute: int
    tokens_per_minute: int
    monthly_token_quota: int
    monthly_cost_quota_usd: str
    max_parallel_calls: int
    store_prompts: bool
    prompt_retention_days: int
    vector_search_top_k: int
    vector_search_threshold: float
    store_queries: bool
    query_log_retention_days: int
    max_concurrent_workflows: int
    workflow_timeout_seconds: int
    execution_retention_days: int
    def __init__(self, tenant_id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., default_model: _Optional[str] = ..., default_embedding_model: _Optional[str] = ..., max_tokens_per_request: _Optional[int] = ..., temperature: _Optional[float] = ..., extra_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., soft_delete_retention_days: _Optional[int] = ..., audit_retention_days: _Optional[int] = ..., call_log_retention_days: _Optional[int] = ..., require_verified_email: _Optional[bool] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., monthly_token_quota: _Optional[int] = ..., monthly_cost_quota_usd: _Optional[str] = ..., max_parallel_calls: _Optional[int] = ..., store_prompts: _Optional[bool] = ..., prompt_retention_days: _Optional[int] = ..., vector_search_top_k: _Optional[int] = ..., vector_search_threshold: _Optional[float] = ..., store_queries: _Optional[bool] = ..., query_log_retention_days: _Optional[int] = ..., max_concurrent_workflows: _Optional[int] = ..., workflow_timeout_seconds: _Optional[int] = ..., execution_retention_days: _Optional[int] = ...) -> None: ...

class UpdateTenantConfigResponse(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: TenantConfig
    def __init__(self, config: _Optional[_Union[TenantConfig, _Mapping]] = ...) -> None: ...
