import datetime

from atrium.errors.v1 import error_reason_pb2 as _error_reason_pb2
from atrium.model.v1 import chat_pb2 as _chat_pb2
from atrium.model.v1 import model_pb2 as _model_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
        __slots__ = ("model", "call_log_id", "reason", "deprecation")
        MODEL_FIELD_NUMBER: _ClassVar[int]
        CALL_LOG_ID_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        DEPRECATION_FIELD_NUMBER: _ClassVar[int]
        model: str
        call_log_id: str
        reason: _error_reason_pb2.ErrorReason
        deprecation: _model_pb2.Deprecation
        def __init__(self, model: _Optional[str] = ..., call_log_id: _Optional[str] = ..., reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., deprecation: _Optional[_Union[_model_pb2.Deprecation, _Mapping]] = ...) -> None: ...
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
        __slots__ = ("reason", "message", "retry_delay")
        REASON_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
        reason: _error_reason_pb2.ErrorReason
        message: str
        retry_delay: _duration_pb2.Duration
        def __init__(self, reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., message: _Optional[str] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
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
