import datetime

from atrium.common.v1 import deleted_pb2 as _deleted_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QuotaRaise(_message.Message):
    __slots__ = ("resource", "limit", "expire_time")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    resource: str
    limit: int
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, resource: _Optional[str] = ..., limit: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Tenant(_message.Message):
    __slots__ = ("id", "etag", "create_time", "update_time", "slug", "name", "state", "tier", "contact_email", "contact_phone", "contact_person", "industry", "company_size", "country", "delete_time", "trial_end_time", "subscription_end_time", "max_users", "max_workflows", "max_knowledge_bases", "quota_raises")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Tenant.State]
        STATE_ACTIVE: _ClassVar[Tenant.State]
        STATE_SUSPENDED: _ClassVar[Tenant.State]
        STATE_DELETED: _ClassVar[Tenant.State]
    STATE_UNSPECIFIED: Tenant.State
    STATE_ACTIVE: Tenant.State
    STATE_SUSPENDED: Tenant.State
    STATE_DELETED: Tenant.State
    class Tier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TIER_UNSPECIFIED: _ClassVar[Tenant.Tier]
        TIER_FREE: _ClassVar[Tenant.Tier]
        TIER_PRO: _ClassVar[Tenant.Tier]
        TIER_ENTERPRISE: _ClassVar[Tenant.Tier]
    TIER_UNSPECIFIED: Tenant.Tier
    TIER_FREE: Tenant.Tier
    TIER_PRO: Tenant.Tier
    TIER_ENTERPRISE: Tenant.Tier
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SLUG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CONTACT_EMAIL_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PHONE_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PERSON_FIELD_NUMBER: _ClassVar[int]
    INDUSTRY_FIELD_NUMBER: _ClassVar[int]
    COMPANY_SIZE_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    DELETE_TIME_FIELD_NUMBER: _ClassVar[int]
    TRIAL_END_TIME_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_END_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_USERS_FIELD_NUMBER: _ClassVar[int]
    MAX_WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    MAX_KNOWLEDGE_BASES_FIELD_NUMBER: _ClassVar[int]
    QUOTA_RAISES_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    slug: str
    name: str
    state: Tenant.State
    tier: Tenant.Tier
    contact_email: str
    contact_phone: str
    contact_person: str
    industry: str
    company_size: str
    country: str
    delete_time: _timestamp_pb2.Timestamp
    trial_end_time: _timestamp_pb2.Timestamp
    subscription_end_time: _timestamp_pb2.Timestamp
    max_users: int
    max_workflows: int
    max_knowledge_bases: int
    quota_raises: _containers.RepeatedCompositeFieldContainer[QuotaRaise]
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., slug: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[Tenant.State, str]] = ..., tier: _Optional[_Union[Tenant.Tier, str]] = ..., contact_email: _Optional[str] = ..., contact_phone: _Optional[str] = ..., contact_person: _Optional[str] = ..., industry: _Optional[str] = ..., company_size: _Optional[str] = ..., country: _Optional[str] = ..., delete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trial_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subscription_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_users: _Optional[int] = ..., max_workflows: _Optional[int] = ..., max_knowledge_bases: _Optional[int] = ..., quota_raises: _Optional[_Iterable[_Union[QuotaRaise, _Mapping]]] = ...) -> None: ...

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
    tier: Tenant.Tier
    contact_email: str
    contact_phone: str
    contact_person: str
    industry: str
    company_size: str
    country: str
    administrator: CreateTenantRequest.Administrator
    idempotency_key: str
    def __init__(self, slug: _Optional[str] = ..., name: _Optional[str] = ..., tier: _Optional[_Union[Tenant.Tier, str]] = ..., contact_email: _Optional[str] = ..., contact_phone: _Optional[str] = ..., contact_person: _Optional[str] = ..., industry: _Optional[str] = ..., company_size: _Optional[str] = ..., country: _Optional[str] = ..., administrator: _Optional[_Union[CreateTenantRequest.Administrator, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateTenantResponse(_message.Message):
    __slots__ = ("tenant", "administrator_user_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ADMINISTRATOR_USER_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    administrator_user_id: str
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ..., administrator_user_id: _Optional[str] = ...) -> None: ...

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
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

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
    state: Tenant.State
    create_time_from: _timestamp_pb2.Timestamp
    create_time_until: _timestamp_pb2.Timestamp
    deleted: _deleted_pb2.Deleted
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., state: _Optional[_Union[Tenant.State, str]] = ..., create_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted: _Optional[_Union[_deleted_pb2.Deleted, str]] = ...) -> None: ...

class ListTenantsResponse(_message.Message):
    __slots__ = ("tenants", "next_page_token")
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[Tenant]
    next_page_token: str
    def __init__(self, tenants: _Optional[_Iterable[_Union[Tenant, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

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
    tier: Tenant.Tier
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
    quota_raises: _containers.RepeatedCompositeFieldContainer[QuotaRaise]
    def __init__(self, id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., name: _Optional[str] = ..., tier: _Optional[_Union[Tenant.Tier, str]] = ..., contact_email: _Optional[str] = ..., contact_phone: _Optional[str] = ..., contact_person: _Optional[str] = ..., industry: _Optional[str] = ..., company_size: _Optional[str] = ..., country: _Optional[str] = ..., trial_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subscription_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_users: _Optional[int] = ..., max_workflows: _Optional[int] = ..., max_knowledge_bases: _Optional[int] = ..., quota_raises: _Optional[_Iterable[_Union[QuotaRaise, _Mapping]]] = ...) -> None: ...

class UpdateTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class SuspendTenantRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class SuspendTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class ActivateTenantRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ActivateTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

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
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class PurgeTenantRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class PurgeTenantResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
