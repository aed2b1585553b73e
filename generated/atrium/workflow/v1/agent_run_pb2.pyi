import datetime

from atrium.errors.v1 import error_reason_pb2 as _error_reason_pb2
from atrium.model.v1 import chat_pb2 as _chat_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunAgentRequest(_message.Message):
    __slots__ = ("agent_id", "messages", "variables", "user_key")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    USER_KEY_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    messages: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ChatMessage]
    variables: _struct_pb2.Struct
    user_key: str
    def __init__(self, agent_id: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_chat_pb2.ChatMessage, _Mapping]]] = ..., variables: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., user_key: _Optional[str] = ...) -> None: ...

class RunAgentResponse(_message.Message):
    __slots__ = ("seq", "delta", "searched", "turn", "heartbeat", "ended")
    class Delta(_message.Message):
        __slots__ = ("text",)
        TEXT_FIELD_NUMBER: _ClassVar[int]
        text: str
        def __init__(self, text: _Optional[str] = ...) -> None: ...
    class Source(_message.Message):
        __slots__ = ("chunk_id", "document_id", "document_title", "content", "page", "heading", "score")
        CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
        DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
        DOCUMENT_TITLE_FIELD_NUMBER: _ClassVar[int]
        CONTENT_FIELD_NUMBER: _ClassVar[int]
        PAGE_FIELD_NUMBER: _ClassVar[int]
        HEADING_FIELD_NUMBER: _ClassVar[int]
        SCORE_FIELD_NUMBER: _ClassVar[int]
        chunk_id: str
        document_id: str
        document_title: str
        content: str
        page: int
        heading: str
        score: float
        def __init__(self, chunk_id: _Optional[str] = ..., document_id: _Optional[str] = ..., document_title: _Optional[str] = ..., content: _Optional[str] = ..., page: _Optional[int] = ..., heading: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...
    class Searched(_message.Message):
        __slots__ = ("query", "sources")
        QUERY_FIELD_NUMBER: _ClassVar[int]
        SOURCES_FIELD_NUMBER: _ClassVar[int]
        query: str
        sources: _containers.RepeatedCompositeFieldContainer[RunAgentResponse.Source]
        def __init__(self, query: _Optional[str] = ..., sources: _Optional[_Iterable[_Union[RunAgentResponse.Source, _Mapping]]] = ...) -> None: ...
    class Turn(_message.Message):
        __slots__ = ("call_log_id", "finish_reason", "usage")
        CALL_LOG_ID_FIELD_NUMBER: _ClassVar[int]
        FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
        USAGE_FIELD_NUMBER: _ClassVar[int]
        call_log_id: str
        finish_reason: _chat_pb2.FinishReason
        usage: _chat_pb2.Usage
        def __init__(self, call_log_id: _Optional[str] = ..., finish_reason: _Optional[_Union[_chat_pb2.FinishReason, str]] = ..., usage: _Optional[_Union[_chat_pb2.Usage, _Mapping]] = ...) -> None: ...
    class Heartbeat(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Ended(_message.Message):
        __slots__ = ("finish_reason", "messages", "tool_calls", "output", "usage", "error_reason", "error_message", "retry_delay")
        FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
        MESSAGES_FIELD_NUMBER: _ClassVar[int]
        TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
        OUTPUT_FIELD_NUMBER: _ClassVar[int]
        USAGE_FIELD_NUMBER: _ClassVar[int]
        ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
        ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
        RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
        finish_reason: _chat_pb2.FinishReason
        messages: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ChatMessage]
        tool_calls: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ToolCall]
        output: _struct_pb2.Value
        usage: _chat_pb2.Usage
        error_reason: _error_reason_pb2.ErrorReason
        error_message: str
        retry_delay: _duration_pb2.Duration
        def __init__(self, finish_reason: _Optional[_Union[_chat_pb2.FinishReason, str]] = ..., messages: _Optional[_Iterable[_Union[_chat_pb2.ChatMessage, _Mapping]]] = ..., tool_calls: _Optional[_Iterable[_Union[_chat_pb2.ToolCall, _Mapping]]] = ..., output: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., usage: _Optional[_Union[_chat_pb2.Usage, _Mapping]] = ..., error_reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., error_message: _Optional[str] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    SEQ_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    SEARCHED_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    delta: RunAgentResponse.Delta
    searched: RunAgentResponse.Searched
    turn: RunAgentResponse.Turn
    heartbeat: RunAgentResponse.Heartbeat
    ended: RunAgentResponse.Ended
    def __init__(self, seq: _Optional[int] = ..., delta: _Optional[_Union[RunAgentResponse.Delta, _Mapping]] = ..., searched: _Optional[_Union[RunAgentResponse.Searched, _Mapping]] = ..., turn: _Optional[_Union[RunAgentResponse.Turn, _Mapping]] = ..., heartbeat: _Optional[_Union[RunAgentResponse.Heartbeat, _Mapping]] = ..., ended: _Optional[_Union[RunAgentResponse.Ended, _Mapping]] = ...) -> None: ...
