import datetime

from atrium.common.v1 import deleted_pb2 as _deleted_pb2
from atrium.options.v1 import options_pb2 as _options_pb2
from atrium.tenant.v1 import tenant_pb2 as _tenant_pb2
from atrium.tenant.v1 import tenant_config_pb2 as _tenant_config_pb2
from atrium.tenant.v1 import usage_pb2 as _usage_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateTenantRequest(_message.Message):
    __slots__ = ("slug", "name", "tier", "contact_email", "contact_phone", "contact_person", "industry", "company_size", "country", "administrator", "idempotency_key")
    class Administrator(_message.Message):
        __slots__ = ("username", "email", "password")
        USERNAME_FIELD_NUMBER: _ClassVar[int]
        EMAIL_FIELD_NUMBER: _ClassVar[int]
        PASSWORD_FIELD_NUMBER: _ClassVar[int]
        username: str
        email: str
        password: str
        def __init__(self, username: _Optional[str] = ..., email: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...
    SLUG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CONTACT_EMAIL_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PHONE_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PERSON_FIELD_NUMBER: _ClassVar[int]
    INDUSTRY_FIELD_NUMBER: _ClassVar[int]
    COMPANY_SIZE_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    ADMINISTRATOR_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    slug: str
    name: str
    tier: _tenant_pb2.Tenant.Tier
    contact_email: str
    contact_phone: str
    contact_person: str
    industry: str
    company_size: str
    country: str
    administrator: CreateTenantRequest.Administrator
    idempotency_key: str
    def __init__(self, slug: _Optional[str] = ..., name: _Optional[str] = ..., tier: _Optional[_Union[_tenant_pb2.Tenant.Tier, str]] = ..., contact_email: _Optional[str] = ..., contact_phone: _Optional[str] = ..., contact_person: _Optional[str] = ..., industry: _Optional[str] = ..., company_size: _Optional[str] = ..., country: _Optional[str] = ..., administrator: _Optional[_Union[CreateTenantRequest.Administrator, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateTenantResponse(_message.Message):
    __slots__ = ("tenant", "administrator_user_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ADMINISTRATOR_USER_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: _tenant_pb2.Tenant
    administrator_user_id: str
    def __init__(self, tenant: _Optional[_Union[_tenant_pb2.Tenant, _Mapping]] = ..., administrator_user_id: _Optional[str] = ...) -> None: ...

class GetTenantRequest(_message.Message):
    __slots__ = ("id", "deleted")
    ID_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    id: str
    deleted: _deleted_pb2.Deleted
    def __init__(self, id: _Optional[str] = ..., deleted: _Optional[_Union[_deleted_pb2.Deleted, str]] = ...) -> None: ...

class GetTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: _tenant_pb2.Tenant
    def __init__(self, tenant: _Optional[_Union[_tenant_pb2.Tenant, _Mapping]] = ...) -> None: ...

class ListTenantsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "state", "create_time_from", "create_time_until", "deleted")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_UNTIL_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    state: _tenant_pb2.Tenant.State
    create_time_from: _timestamp_pb2.Timestamp
    create_time_until: _timestamp_pb2.Timestamp
    deleted: _deleted_pb2.Deleted
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., state: _Optional[_Union[_tenant_pb2.Tenant.State, str]] = ..., create_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted: _Optional[_Union[_deleted_pb2.Deleted, str]] = ...) -> None: ...

class ListTenantsResponse(_message.Message):
    __slots__ = ("tenants", "next_page_token")
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[_tenant_pb2.Tenant]
    next_page_token: str
    def __init__(self, tenants: _Optional[_Iterable[_Union[_tenant_pb2.Tenant, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateTenantRequest(_message.Message):
    __slots__ = ("id", "update_mask", "etag", "name", "tier", "contact_email", "contact_phone", "contact_person", "industry", "company_size", "country", "trial_end_time", "subscription_end_time", "max_users", "max_workflows", "max_knowledge_bases", "quota_raises")
    ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CONTACT_EMAIL_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PHONE_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PERSON_FIELD_NUMBER: _ClassVar[int]
    INDUSTRY_FIELD_NUMBER: _ClassVar[int]
    COMPANY_SIZE_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    TRIAL_END_TIME_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_END_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_USERS_FIELD_NUMBER: _ClassVar[int]
    MAX_WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    MAX_KNOWLEDGE_BASES_FIELD_NUMBER: _ClassVar[int]
    QUOTA_RAISES_FIELD_NUMBER: _ClassVar[int]
    id: str
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    name: str
    tier: _tenant_pb2.Tenant.Tier
    contact_email: str
    contact_phone: str
    contact_person: str
    industry: str
    company_size: str
    country: str
    trial_end_time: _timestamp_pb2.Timestamp
    subscription_end_time: _timestamp_pb2.Timestamp
    max_users: int
    max_workflows: int
    max_knowledge_bases: int
    quota_raises: _containers.RepeatedCompositeFieldContainer[_usage_pb2.QuotaRaise]
    def __init__(self, id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., name: _Optional[str] = ..., tier: _Optional[_Union[_tenant_pb2.Tenant.Tier, str]] = ..., contact_email: _Optional[str] = ..., contact_phone: _Optional[str] = ..., contact_person: _Optional[str] = ..., industry: _Optional[str] = ..., company_size: _Optional[str] = ..., country: _Optional[str] = ..., trial_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subscription_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_users: _Optional[int] = ..., max_workflows: _Optional[int] = ..., max_knowledge_bases: _Optional[int] = ..., quota_raises: _Optional[_Iterable[_Union[_usage_pb2.QuotaRaise, _Mapping]]] = ...) -> None: ...

class UpdateTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: _tenant_pb2.Tenant
    def __init__(self, tenant: _Optional[_Union[_tenant_pb2.Tenant, _Mapping]] = ...) -> None: ...

class GetTenantConfigRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class GetTenantConfigResponse(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: _tenant_config_pb2.TenantConfig
    def __init__(self, config: _Optional[_Union[_tenant_config_pb2.TenantConfig, _Mapping]] = ...) -> None: ...

class UpdateTenantConfigRequest(_message.Message):
    __slots__ = ("tenant_id", "update_mask", "etag", "default_model", "default_embedding_model", "max_tokens_per_request", "temperature", "extra_config", "soft_delete_retention_days", "audit_retention_days", "call_log_retention_days", "require_verified_email", "requests_per_minute", "tokens_per_minute", "monthly_token_quota", "monthly_cost_quota_usd", "max_parallel_calls", "store_prompts", "prompt_retention_days")
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
    def __init__(self, tenant_id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., default_model: _Optional[str] = ..., default_embedding_model: _Optional[str] = ..., max_tokens_per_request: _Optional[int] = ..., temperature: _Optional[float] = ..., extra_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., soft_delete_retention_days: _Optional[int] = ..., audit_retention_days: _Optional[int] = ..., call_log_retention_days: _Optional[int] = ..., require_verified_email: _Optional[bool] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., monthly_token_quota: _Optional[int] = ..., monthly_cost_quota_usd: _Optional[str] = ..., max_parallel_calls: _Optional[int] = ..., store_prompts: _Optional[bool] = ..., prompt_retention_days: _Optional[int] = ...) -> None: ...

class UpdateTenantConfigResponse(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: _tenant_config_pb2.TenantConfig
    def __init__(self, config: _Optional[_Union[_tenant_config_pb2.TenantConfig, _Mapping]] = ...) -> None: ...

class SuspendTenantRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class SuspendTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: _tenant_pb2.Tenant
    def __init__(self, tenant: _Optional[_Union[_tenant_pb2.Tenant, _Mapping]] = ...) -> None: ...

class ActivateTenantRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ActivateTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: _tenant_pb2.Tenant
    def __init__(self, tenant: _Optional[_Union[_tenant_pb2.Tenant, _Mapping]] = ...) -> None: ...

class DeleteTenantRequest(_message.Message):
    __slots__ = ("id", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteTenantResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RestoreTenantRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RestoreTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: _tenant_pb2.Tenant
    def __init__(self, tenant: _Optional[_Union[_tenant_pb2.Tenant, _Mapping]] = ...) -> None: ...

class PurgeTenantRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class PurgeTenantResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

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
    usage: _containers.RepeatedCompositeFieldContainer[_usage_pb2.QuotaUsage]
    features: _containers.RepeatedScalarFieldContainer[str]
    call_limits: _containers.RepeatedCompositeFieldContainer[_usage_pb2.CallLimitUsage]
    def __init__(self, tier: _Optional[_Union[_tenant_pb2.Tenant.Tier, str]] = ..., usage: _Optional[_Iterable[_Union[_usage_pb2.QuotaUsage, _Mapping]]] = ..., features: _Optional[_Iterable[str]] = ..., call_limits: _Optional[_Iterable[_Union[_usage_pb2.CallLimitUsage, _Mapping]]] = ...) -> None: ...

class ExportTenantRequest(_message.Message):
    __slots__ = ("tenant_id", "after_cursor")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_CURSOR_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    after_cursor: str
    def __init__(self, tenant_id: _Optional[str] = ..., after_cursor: _Optional[str] = ...) -> None: ...

class ExportTenantResponse(_message.Message):
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
    ended: ExportTenantResponse.Ended
    heartbeat: ExportTenantResponse.Heartbeat
    cursor: str
    def __init__(self, seq: _Optional[int] = ..., lines: _Optional[bytes] = ..., ended: _Optional[_Union[ExportTenantResponse.Ended, _Mapping]] = ..., heartbeat: _Optional[_Union[ExportTenantResponse.Heartbeat, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...
