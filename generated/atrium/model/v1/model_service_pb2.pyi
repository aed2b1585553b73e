import datetime

from atrium.errors.v1 import error_reason_pb2 as _error_reason_pb2
from atrium.model.v1 import call_log_pb2 as _call_log_pb2
from atrium.model.v1 import chat_pb2 as _chat_pb2
from atrium.model.v1 import credential_pb2 as _credential_pb2
from atrium.model.v1 import model_pb2 as _model_pb2
from atrium.model.v1 import route_pb2 as _route_pb2
from atrium.model.v1 import tenant_model_pb2 as _tenant_model_pb2
from atrium.model.v1 import usage_pb2 as _usage_pb2
from atrium.options.v1 import options_pb2 as _options_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "provider", "type", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    provider: _model_pb2.Model.Provider
    type: _model_pb2.Model.Type
    state: _model_pb2.Model.State
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., provider: _Optional[_Union[_model_pb2.Model.Provider, str]] = ..., type: _Optional[_Union[_model_pb2.Model.Type, str]] = ..., state: _Optional[_Union[_model_pb2.Model.State, str]] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[_model_pb2.Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[_model_pb2.Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _model_pb2.Model
    def __init__(self, model: _Optional[_Union[_model_pb2.Model, _Mapping]] = ...) -> None: ...

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
    provider: _model_pb2.Model.Provider
    type: _model_pb2.Model.Type
    description: str
    max_tokens: int
    dimensions: int
    supports_streaming: bool
    supports_function_calling: bool
    base_url: str
    price: _model_pb2.ModelPrice
    idempotency_key: str
    upstream_name: str
    def __init__(self, name: _Optional[str] = ..., provider: _Optional[_Union[_model_pb2.Model.Provider, str]] = ..., type: _Optional[_Union[_model_pb2.Model.Type, str]] = ..., description: _Optional[str] = ..., max_tokens: _Optional[int] = ..., dimensions: _Optional[int] = ..., supports_streaming: _Optional[bool] = ..., supports_function_calling: _Optional[bool] = ..., base_url: _Optional[str] = ..., price: _Optional[_Union[_model_pb2.ModelPrice, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., upstream_name: _Optional[str] = ...) -> None: ...

class CreateModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _model_pb2.Model
    def __init__(self, model: _Optional[_Union[_model_pb2.Model, _Mapping]] = ...) -> None: ...

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
    state: _model_pb2.Model.State
    deprecate_time: _timestamp_pb2.Timestamp
    replacement: str
    upstream_name: str
    supports_streaming: bool
    def __init__(self, id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., description: _Optional[str] = ..., max_tokens: _Optional[int] = ..., supports_function_calling: _Optional[bool] = ..., base_url: _Optional[str] = ..., state: _Optional[_Union[_model_pb2.Model.State, str]] = ..., deprecate_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replacement: _Optional[str] = ..., upstream_name: _Optional[str] = ..., supports_streaming: _Optional[bool] = ...) -> None: ...

class UpdateModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _model_pb2.Model
    def __init__(self, model: _Optional[_Union[_model_pb2.Model, _Mapping]] = ...) -> None: ...

class SetModelPriceRequest(_message.Message):
    __slots__ = ("model_id", "price", "effective_time", "idempotency_key")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    price: _model_pb2.ModelPrice
    effective_time: _timestamp_pb2.Timestamp
    idempotency_key: str
    def __init__(self, model_id: _Optional[str] = ..., price: _Optional[_Union[_model_pb2.ModelPrice, _Mapping]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SetModelPriceResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _model_pb2.Model
    def __init__(self, model: _Optional[_Union[_model_pb2.Model, _Mapping]] = ...) -> None: ...

class ChatRequest(_message.Message):
    __slots__ = ("model", "messages", "temperature", "max_tokens", "stop", "seed", "tools", "tool_choice", "response_format", "cache_ttl", "prompt", "idempotency_key")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    TOOL_CHOICE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    model: str
    messages: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ChatMessage]
    temperature: float
    max_tokens: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    tools: _containers.RepeatedCompositeFieldContainer[_chat_pb2.Tool]
    tool_choice: _chat_pb2.ToolChoice
    response_format: _chat_pb2.ResponseFormat
    cache_ttl: _duration_pb2.Duration
    prompt: _chat_pb2.Prompt
    idempotency_key: str
    def __init__(self, model: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_chat_pb2.ChatMessage, _Mapping]]] = ..., temperature: _Optional[float] = ..., max_tokens: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., tools: _Optional[_Iterable[_Union[_chat_pb2.Tool, _Mapping]]] = ..., tool_choice: _Optional[_Union[_chat_pb2.ToolChoice, _Mapping]] = ..., response_format: _Optional[_Union[_chat_pb2.ResponseFormat, _Mapping]] = ..., cache_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., prompt: _Optional[_Union[_chat_pb2.Prompt, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ChatResponse(_message.Message):
    __slots__ = ("message", "finish_reason", "usage", "model", "latency", "call_log_id", "deprecation", "route", "cached")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    CALL_LOG_ID_FIELD_NUMBER: _ClassVar[int]
    DEPRECATION_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    message: _chat_pb2.ChatMessage
    finish_reason: _chat_pb2.FinishReason
    usage: _chat_pb2.Usage
    model: str
    latency: _duration_pb2.Duration
    call_log_id: str
    deprecation: _model_pb2.Deprecation
    route: str
    cached: bool
    def __init__(self, message: _Optional[_Union[_chat_pb2.ChatMessage, _Mapping]] = ..., finish_reason: _Optional[_Union[_chat_pb2.FinishReason, str]] = ..., usage: _Optional[_Union[_chat_pb2.Usage, _Mapping]] = ..., model: _Optional[str] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., call_log_id: _Optional[str] = ..., deprecation: _Optional[_Union[_model_pb2.Deprecation, _Mapping]] = ..., route: _Optional[str] = ..., cached: _Optional[bool] = ...) -> None: ...

class StreamChatRequest(_message.Message):
    __slots__ = ("model", "messages", "temperature", "max_tokens", "stop", "seed", "continue_on_failure", "tools", "tool_choice", "response_format", "cache_ttl", "resumable", "generation_id", "after_seq", "prompt")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONTINUE_ON_FAILURE_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    TOOL_CHOICE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_FIELD_NUMBER: _ClassVar[int]
    RESUMABLE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    model: str
    messages: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ChatMessage]
    temperature: float
    max_tokens: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    continue_on_failure: bool
    tools: _containers.RepeatedCompositeFieldContainer[_chat_pb2.Tool]
    tool_choice: _chat_pb2.ToolChoice
    response_format: _chat_pb2.ResponseFormat
    cache_ttl: _duration_pb2.Duration
    resumable: bool
    generation_id: str
    after_seq: int
    prompt: _chat_pb2.Prompt
    def __init__(self, model: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_chat_pb2.ChatMessage, _Mapping]]] = ..., temperature: _Optional[float] = ..., max_tokens: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., continue_on_failure: _Optional[bool] = ..., tools: _Optional[_Iterable[_Union[_chat_pb2.Tool, _Mapping]]] = ..., tool_choice: _Optional[_Union[_chat_pb2.ToolChoice, _Mapping]] = ..., response_format: _Optional[_Union[_chat_pb2.ResponseFormat, _Mapping]] = ..., cache_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., resumable: _Optional[bool] = ..., generation_id: _Optional[str] = ..., after_seq: _Optional[int] = ..., prompt: _Optional[_Union[_chat_pb2.Prompt, _Mapping]] = ...) -> None: ...

class StreamChatResponse(_message.Message):
    __slots__ = ("seq", "started", "delta", "heartbeat", "usage", "completed", "failed", "switched")
    class Started(_message.Message):
        __slots__ = ("model", "call_log_id", "route", "deprecation", "cached", "generation_id")
        MODEL_FIELD_NUMBER: _ClassVar[int]
        CALL_LOG_ID_FIELD_NUMBER: _ClassVar[int]
        ROUTE_FIELD_NUMBER: _ClassVar[int]
        DEPRECATION_FIELD_NUMBER: _ClassVar[int]
        CACHED_FIELD_NUMBER: _ClassVar[int]
        GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
        model: str
        call_log_id: str
        route: str
        deprecation: _model_pb2.Deprecation
        cached: bool
        generation_id: str
        def __init__(self, model: _Optional[str] = ..., call_log_id: _Optional[str] = ..., route: _Optional[str] = ..., deprecation: _Optional[_Union[_model_pb2.Deprecation, _Mapping]] = ..., cached: _Optional[bool] = ..., generation_id: _Optional[str] = ...) -> None: ...
    class Switched(_message.Message):
        __slots__ = ("model", "call_log_id", "reason")
        MODEL_FIELD_NUMBER: _ClassVar[int]
        CALL_LOG_ID_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        model: str
        call_log_id: str
        reason: _error_reason_pb2.ErrorReason
        def __init__(self, model: _Optional[str] = ..., call_log_id: _Optional[str] = ..., reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ...) -> None: ...
    class Delta(_message.Message):
        __slots__ = ("text", "tool_calls")
        TEXT_FIELD_NUMBER: _ClassVar[int]
        TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
        text: str
        tool_calls: _containers.RepeatedCompositeFieldContainer[StreamChatResponse.ToolCallDelta]
        def __init__(self, text: _Optional[str] = ..., tool_calls: _Optional[_Iterable[_Union[StreamChatResponse.ToolCallDelta, _Mapping]]] = ...) -> None: ...
    class ToolCallDelta(_message.Message):
        __slots__ = ("index", "id", "name", "arguments")
        INDEX_FIELD_NUMBER: _ClassVar[int]
        ID_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
        index: int
        id: str
        name: str
        arguments: str
        def __init__(self, index: _Optional[int] = ..., id: _Optional[str] = ..., name: _Optional[str] = ..., arguments: _Optional[str] = ...) -> None: ...
    class Heartbeat(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Completed(_message.Message):
        __slots__ = ("finish_reason", "latency", "time_to_first_token")
        FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
        LATENCY_FIELD_NUMBER: _ClassVar[int]
        TIME_TO_FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
        finish_reason: _chat_pb2.FinishReason
        latency: _duration_pb2.Duration
        time_to_first_token: _duration_pb2.Duration
        def __init__(self, finish_reason: _Optional[_Union[_chat_pb2.FinishReason, str]] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_to_first_token: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    class Failed(_message.Message):
        __slots__ = ("reason", "message")
        REASON_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        reason: _error_reason_pb2.ErrorReason
        message: str
        def __init__(self, reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., message: _Optional[str] = ...) -> None: ...
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SWITCHED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    started: StreamChatResponse.Started
    delta: StreamChatResponse.Delta
    heartbeat: StreamChatResponse.Heartbeat
    usage: _chat_pb2.Usage
    completed: StreamChatResponse.Completed
    failed: StreamChatResponse.Failed
    switched: StreamChatResponse.Switched
    def __init__(self, seq: _Optional[int] = ..., started: _Optional[_Union[StreamChatResponse.Started, _Mapping]] = ..., delta: _Optional[_Union[StreamChatResponse.Delta, _Mapping]] = ..., heartbeat: _Optional[_Union[StreamChatResponse.Heartbeat, _Mapping]] = ..., usage: _Optional[_Union[_chat_pb2.Usage, _Mapping]] = ..., completed: _Optional[_Union[StreamChatResponse.Completed, _Mapping]] = ..., failed: _Optional[_Union[StreamChatResponse.Failed, _Mapping]] = ..., switched: _Optional[_Union[StreamChatResponse.Switched, _Mapping]] = ...) -> None: ...

class CancelGenerationRequest(_message.Message):
    __slots__ = ("generation_id",)
    GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
    generation_id: str
    def __init__(self, generation_id: _Optional[str] = ...) -> None: ...

class CancelGenerationResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("model", "inputs", "cache_ttl", "idempotency_key")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    model: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    cache_ttl: _duration_pb2.Duration
    idempotency_key: str
    def __init__(self, model: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., cache_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("embeddings", "usage", "model", "latency", "call_log_id", "deprecation")
    class Embedding(_message.Message):
        __slots__ = ("values", "error_reason")
        VALUES_FIELD_NUMBER: _ClassVar[int]
        ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
        values: _containers.RepeatedScalarFieldContainer[float]
        error_reason: _error_reason_pb2.ErrorReason
        def __init__(self, values: _Optional[_Iterable[float]] = ..., error_reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ...) -> None: ...
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    CALL_LOG_ID_FIELD_NUMBER: _ClassVar[int]
    DEPRECATION_FIELD_NUMBER: _ClassVar[int]
    embeddings: _containers.RepeatedCompositeFieldContainer[EmbedResponse.Embedding]
    usage: _chat_pb2.Usage
    model: str
    latency: _duration_pb2.Duration
    call_log_id: str
    deprecation: _model_pb2.Deprecation
    def __init__(self, embeddings: _Optional[_Iterable[_Union[EmbedResponse.Embedding, _Mapping]]] = ..., usage: _Optional[_Union[_chat_pb2.Usage, _Mapping]] = ..., model: _Optional[str] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., call_log_id: _Optional[str] = ..., deprecation: _Optional[_Union[_model_pb2.Deprecation, _Mapping]] = ...) -> None: ...

class GetCallLogRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetCallLogResponse(_message.Message):
    __slots__ = ("call_log", "messages", "answer")
    CALL_LOG_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    call_log: _call_log_pb2.CallLog
    messages: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ChatMessage]
    answer: _chat_pb2.ChatMessage
    def __init__(self, call_log: _Optional[_Union[_call_log_pb2.CallLog, _Mapping]] = ..., messages: _Optional[_Iterable[_Union[_chat_pb2.ChatMessage, _Mapping]]] = ..., answer: _Optional[_Union[_chat_pb2.ChatMessage, _Mapping]] = ...) -> None: ...

class ListCallLogsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "user_id", "model_id", "trace_id", "status", "create_time_from", "create_time_until", "api_key_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_UNTIL_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    user_id: str
    model_id: str
    trace_id: str
    status: _call_log_pb2.CallLog.Status
    create_time_from: _timestamp_pb2.Timestamp
    create_time_until: _timestamp_pb2.Timestamp
    api_key_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., model_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., status: _Optional[_Union[_call_log_pb2.CallLog.Status, str]] = ..., create_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., api_key_id: _Optional[str] = ...) -> None: ...

class ListCallLogsResponse(_message.Message):
    __slots__ = ("call_logs", "next_page_token")
    CALL_LOGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    call_logs: _containers.RepeatedCompositeFieldContainer[_call_log_pb2.CallLog]
    next_page_token: str
    def __init__(self, call_logs: _Optional[_Iterable[_Union[_call_log_pb2.CallLog, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
