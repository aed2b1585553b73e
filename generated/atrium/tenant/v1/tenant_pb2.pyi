import datetime

from atrium.tenant.v1 import usage_pb2 as _usage_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
    quota_raises: _containers.RepeatedCompositeFieldContainer[_usage_pb2.QuotaRaise]
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., slug: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[Tenant.State, str]] = ..., tier: _Optional[_Union[Tenant.Tier, str]] = ..., contact_email: _Optional[str] = ..., contact_phone: _Optional[str] = ..., contact_person: _Optional[str] = ..., industry: _Optional[str] = ..., company_size: _Optional[str] = ..., country: _Optional[str] = ..., delete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trial_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subscription_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_users: _Optional[int] = ..., max_workflows: _Optional[int] = ..., max_knowledge_bases: _Optional[int] = ..., quota_raises: _Optional[_Iterable[_Union[_usage_pb2.QuotaRaise, _Mapping]]] = ...) -> None: ...
