import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PromptVariable(_message.Message):
    __slots__ = ("name", "type", "required", "default", "description")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[PromptVariable.Type]
        TYPE_STRING: _ClassVar[PromptVariable.Type]
        TYPE_INTEGER: _ClassVar[PromptVariable.Type]
        TYPE_NUMBER: _ClassVar[PromptVariable.Type]
        TYPE_BOOLEAN: _ClassVar[PromptVariable.Type]
        TYPE_LIST: _ClassVar[PromptVariable.Type]
        TYPE_OBJECT: _ClassVar[PromptVariable.Type]
    TYPE_UNSPECIFIED: PromptVariable.Type
    TYPE_STRING: PromptVariable.Type
    TYPE_INTEGER: PromptVariable.Type
    TYPE_NUMBER: PromptVariable.Type
    TYPE_BOOLEAN: PromptVariable.Type
    TYPE_LIST: PromptVariable.Type
    TYPE_OBJECT: PromptVariable.Type
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: PromptVariable.Type
    required: bool
    default: _struct_pb2.Value
    description: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[PromptVariable.Type, str]] = ..., required: _Optional[bool] = ..., default: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., description: _Optional[str] = ...) -> None: ...

class PromptMessage(_message.Message):
    __slots__ = ("role", "content")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[PromptMessage.Role]
        ROLE_SYSTEM: _ClassVar[PromptMessage.Role]
        ROLE_USER: _ClassVar[PromptMessage.Role]
        ROLE_ASSISTANT: _ClassVar[PromptMessage.Role]
    ROLE_UNSPECIFIED: PromptMessage.Role
    ROLE_SYSTEM: PromptMessage.Role
    ROLE_USER: PromptMessage.Role
    ROLE_ASSISTANT: PromptMessage.Role
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: PromptMessage.Role
    content: str
    def __init__(self, role: _Optional[_Union[PromptMessage.Role, str]] = ..., content: _Optional[str] = ...) -> None: ...

class PromptSettings(_message.Message):
    __slots__ = ("model", "temperature", "max_tokens", "stop", "seed")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    model: str
    temperature: float
    max_tokens: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    def __init__(self, model: _Optional[str] = ..., temperature: _Optional[float] = ..., max_tokens: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ...) -> None: ...

class TemplateVersion(_message.Message):
    __slots__ = ("id", "template_id", "version", "kind", "text", "messages", "variables", "settings", "changelog", "content_hash", "created_by", "create_time")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[TemplateVersion.Kind]
        KIND_TEXT: _ClassVar[TemplateVersion.Kind]
        KIND_CHAT: _ClassVar[TemplateVersion.Kind]
    KIND_UNSPECIFIED: TemplateVersion.Kind
    KIND_TEXT: TemplateVersion.Kind
    KIND_CHAT: TemplateVersion.Kind
    ID_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CHANGELOG_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    template_id: str
    version: str
    kind: TemplateVersion.Kind
    text: str
    messages: _containers.RepeatedCompositeFieldContainer[PromptMessage]
    variables: _containers.RepeatedCompositeFieldContainer[PromptVariable]
    settings: PromptSettings
    changelog: str
    content_hash: str
    created_by: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., template_id: _Optional[str] = ..., version: _Optional[str] = ..., kind: _Optional[_Union[TemplateVersion.Kind, str]] = ..., text: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[PromptMessage, _Mapping]]] = ..., variables: _Optional[_Iterable[_Union[PromptVariable, _Mapping]]] = ..., settings: _Optional[_Union[PromptSettings, _Mapping]] = ..., changelog: _Optional[str] = ..., content_hash: _Optional[str] = ..., created_by: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateVersionRequest(_message.Message):
    __slots__ = ("template_id", "version", "text", "messages", "variables", "settings", "changelog", "idempotency_key")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CHANGELOG_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    version: str
    text: str
    messages: _containers.RepeatedCompositeFieldContainer[PromptMessage]
    variables: _containers.RepeatedCompositeFieldContainer[PromptVariable]
    settings: PromptSettings
    changelog: str
    idempotency_key: str
    def __init__(self, template_id: _Optional[str] = ..., version: _Optional[str] = ..., text: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[PromptMessage, _Mapping]]] = ..., variables: _Optional[_Iterable[_Union[PromptVariable, _Mapping]]] = ..., settings: _Optional[_Union[PromptSettings, _Mapping]] = ..., changelog: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: TemplateVersion
    def __init__(self, version: _Optional[_Union[TemplateVersion, _Mapping]] = ...) -> None: ...

class GetVersionRequest(_message.Message):
    __slots__ = ("template_id", "version")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    version: str
    def __init__(self, template_id: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class GetVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: TemplateVersion
    def __init__(self, version: _Optional[_Union[TemplateVersion, _Mapping]] = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "template_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    template_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., template_id: _Optional[str] = ...) -> None: ...

class ListVersionsResponse(_message.Message):
    __slots__ = ("versions", "next_page_token")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[TemplateVersion]
    next_page_token: str
    def __init__(self, versions: _Optional[_Iterable[_Union[TemplateVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DiffVersionsRequest(_message.Message):
    __slots__ = ("template_id", "from_version", "to_version")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    from_version: str
    to_version: str
    def __init__(self, template_id: _Optional[str] = ..., from_version: _Optional[str] = ..., to_version: _Optional[str] = ...) -> None: ...

class DiffVersionsResponse(_message.Message):
    __slots__ = ("content_diff", "settings_diff")
    CONTENT_DIFF_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_DIFF_FIELD_NUMBER: _ClassVar[int]
    content_diff: str
    settings_diff: str
    def __init__(self, content_diff: _Optional[str] = ..., settings_diff: _Optional[str] = ...) -> None: ...
