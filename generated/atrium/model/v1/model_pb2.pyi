import datetime

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

class ModelPrice(_message.Message):
    __slots__ = ("input_cost_per_1k", "output_cost_per_1k", "cached_input_cost_per_1k")
    INPUT_COST_PER_1K_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_COST_PER_1K_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_COST_PER_1K_FIELD_NUMBER: _ClassVar[int]
    input_cost_per_1k: str
    output_cost_per_1k: str
    cached_input_cost_per_1k: str
    def __init__(self, input_cost_per_1k: _Optional[str] = ..., output_cost_per_1k: _Optional[str] = ..., cached_input_cost_per_1k: _Optional[str] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("id", "create_time", "update_time", "name", "provider", "type", "state", "description", "max_tokens", "dimensions", "supports_streaming", "supports_function_calling", "base_url", "price", "etag", "deprecate_time", "replacement", "upstream_name")
    class Provider(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PROVIDER_UNSPECIFIED: _ClassVar[Model.Provider]
        PROVIDER_OPENAI: _ClassVar[Model.Provider]
        PROVIDER_ANTHROPIC: _ClassVar[Model.Provider]
        PROVIDER_CUSTOM: _ClassVar[Model.Provider]
    PROVIDER_UNSPECIFIED: Model.Provider
    PROVIDER_OPENAI: Model.Provider
    PROVIDER_ANTHROPIC: Model.Provider
    PROVIDER_CUSTOM: Model.Provider
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[Model.Type]
        TYPE_CHAT: _ClassVar[Model.Type]
        TYPE_EMBEDDING: _ClassVar[Model.Type]
    TYPE_UNSPECIFIED: Model.Type
    TYPE_CHAT: Model.Type
    TYPE_EMBEDDING: Model.Type
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Model.State]
        STATE_ACTIVE: _ClassVar[Model.State]
        STATE_DEPRECATED: _ClassVar[Model.State]
        STATE_DISABLED: _ClassVar[Model.State]
    STATE_UNSPECIFIED: Model.State
    STATE_ACTIVE: Model.State
    STATE_DEPRECATED: Model.State
    STATE_DISABLED: Model.State
    ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    SUPPORTS_STREAMING_FIELD_NUMBER: _ClassVar[int]
    SUPPORTS_FUNCTION_CALLING_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DEPRECATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLACEMENT_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    name: str
    provider: Model.Provider
    type: Model.Type
    state: Model.State
    description: str
    max_tokens: int
    dimensions: int
    supports_streaming: bool
    supports_function_calling: bool
    base_url: str
    price: ModelPrice
    etag: str
    deprecate_time: _timestamp_pb2.Timestamp
    replacement: str
    upstream_name: str
    def __init__(self, id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., name: _Optional[str] = ..., provider: _Optional[_Union[Model.Provider, str]] = ..., type: _Optional[_Union[Model.Type, str]] = ..., state: _Optional[_Union[Model.State, str]] = ..., description: _Optional[str] = ..., max_tokens: _Optional[int] = ..., dimensions: _Optional[int] = ..., supports_streaming: _Optional[bool] = ..., supports_function_calling: _Optional[bool] = ..., base_url: _Optional[str] = ..., price: _Optional[_Union[ModelPrice, _Mapping]] = ..., etag: _Optional[str] = ..., deprecate_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replacement: _Optional[str] = ..., upstream_name: _Optional[str] = ...) -> None: ...

class Deprecation(_message.Message):
    __slots__ = ("model", "replacement")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REPLACEMENT_FIELD_NUMBER: _ClassVar[int]
    model: str
    replacement: str
    def __init__(self, model: _Optional[str] = ..., replacement: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "provider", "type", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    provider: Model.Provider
    type: Model.Type
    state: Model.State
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., provider: _Optional[_Union[Model.Provider, str]] = ..., type: _Optional[_Union[Model.Type, str]] = ..., state: _Optional[_Union[Model.State, str]] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class CreateModelRequest(_message.Message):
    __slots__ = ("name", "provider", "type", "description", "max_tokens", "dimensions", "supports_streaming", "supports_function_calling", "base_url", "price", "idempotency_key", "upstream_name")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    SUPPORTS_STREAMING_FIELD_NUMBER: _ClassVar[int]
    SUPPORTS_FUNCTION_CALLING_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    provider: Model.Provider
    type: Model.Type
    description: str
    max_tokens: int
    dimensions: int
    supports_streaming: bool
    supports_function_calling: bool
    base_url: str
    price: ModelPrice
    idempotency_key: str
    upstream_name: str
    def __init__(self, name: _Optional[str] = ..., provider: _Optional[_Union[Model.Provider, str]] = ..., type: _Optional[_Union[Model.Type, str]] = ..., description: _Optional[str] = ..., max_tokens: _Optional[int] = ..., dimensions: _Optional[int] = ..., supports_streaming: _Optional[bool] = ..., supports_function_calling: _Optional[bool] = ..., base_url: _Optional[str] = ..., price: _Optional[_Union[ModelPrice, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., upstream_name: _Optional[str] = ...) -> None: ...

class CreateModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class UpdateModelRequest(_message.Message):
    __slots__ = ("id", "update_mask", "etag", "description", "max_tokens", "supports_function_calling", "base_url", "state", "deprecate_time", "replacement", "upstream_name", "supports_streaming")
    ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SUPPORTS_FUNCTION_CALLING_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DEPRECATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLACEMENT_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_NAME_FIELD_NUMBER: _ClassVar[int]
    SUPPORTS_STREAMING_FIELD_NUMBER: _ClassVar[int]
    id: str
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    description: str
    max_tokens: int
    supports_function_calling: bool
    base_url: str
    state: Model.State
    deprecate_time: _timestamp_pb2.Timestamp
    replacement: str
    upstream_name: str
    supports_streaming: bool
    def __init__(self, id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., description: _Optional[str] = ..., max_tokens: _Optional[int] = ..., supports_function_calling: _Optional[bool] = ..., base_url: _Optional[str] = ..., state: _Optional[_Union[Model.State, str]] = ..., deprecate_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replacement: _Optional[str] = ..., upstream_name: _Optional[str] = ..., supports_streaming: _Optional[bool] = ...) -> None: ...

class UpdateModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class SetModelPriceRequest(_message.Message):
    __slots__ = ("model_id", "price", "effective_time", "idempotency_key")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    price: ModelPrice
    effective_time: _timestamp_pb2.Timestamp
    idempotency_key: str
    def __init__(self, model_id: _Optional[str] = ..., price: _Optional[_Union[ModelPrice, _Mapping]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SetModelPriceResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...
