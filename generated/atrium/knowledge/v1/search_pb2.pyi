import datetime

from atrium.errors.v1 import error_reason_pb2 as _error_reason_pb2
from atrium.model.v1 import chat_pb2 as _chat_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEARCH_MODE_UNSPECIFIED: _ClassVar[SearchMode]
    SEARCH_MODE_VECTOR: _ClassVar[SearchMode]
    SEARCH_MODE_TEXT: _ClassVar[SearchMode]
    SEARCH_MODE_HYBRID: _ClassVar[SearchMode]
SEARCH_MODE_UNSPECIFIED: SearchMode
SEARCH_MODE_VECTOR: SearchMode
SEARCH_MODE_TEXT: SearchMode
SEARCH_MODE_HYBRID: SearchMode

class SearchQuery(_message.Message):
    __slots__ = ("knowledge_base_ids", "query", "mode", "top_k", "score_threshold", "document_ids", "metadata", "session_id")
    KNOWLEDGE_BASE_IDS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    knowledge_base_ids: _containers.RepeatedScalarFieldContainer[str]
    query: str
    mode: SearchMode
    top_k: int
    score_threshold: float
    document_ids: _containers.RepeatedScalarFieldContainer[str]
    metadata: _struct_pb2.Struct
    session_id: str
    def __init__(self, knowledge_base_ids: _Optional[_Iterable[str]] = ..., query: _Optional[str] = ..., mode: _Optional[_Union[SearchMode, str]] = ..., top_k: _Optional[int] = ..., score_threshold: _Optional[float] = ..., document_ids: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class SearchResult(_message.Message):
    __slots__ = ("chunk_id", "document_id", "knowledge_base_id", "document_title", "content", "page", "heading", "chunk_index", "metadata", "score", "vector_score", "text_score")
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    KNOWLEDGE_BASE_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_TITLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    HEADING_FIELD_NUMBER: _ClassVar[int]
    CHUNK_INDEX_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    VECTOR_SCORE_FIELD_NUMBER: _ClassVar[int]
    TEXT_SCORE_FIELD_NUMBER: _ClassVar[int]
    chunk_id: str
    document_id: str
    knowledge_base_id: str
    document_title: str
    content: str
    page: int
    heading: str
    chunk_index: int
    metadata: _struct_pb2.Struct
    score: float
    vector_score: float
    text_score: float
    def __init__(self, chunk_id: _Optional[str] = ..., document_id: _Optional[str] = ..., knowledge_base_id: _Optional[str] = ..., document_title: _Optional[str] = ..., content: _Optional[str] = ..., page: _Optional[int] = ..., heading: _Optional[str] = ..., chunk_index: _Optional[int] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., score: _Optional[float] = ..., vector_score: _Optional[float] = ..., text_score: _Optional[float] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("query",)
    QUERY_FIELD_NUMBER: _ClassVar[int]
    query: SearchQuery
    def __init__(self, query: _Optional[_Union[SearchQuery, _Mapping]] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("results", "query_log_id")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    QUERY_LOG_ID_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SearchResult]
    query_log_id: str
    def __init__(self, results: _Optional[_Iterable[_Union[SearchResult, _Mapping]]] = ..., query_log_id: _Optional[str] = ...) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("query", "model", "instructions", "history", "max_tokens", "temperature", "max_source_tokens")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_SOURCE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    query: SearchQuery
    model: str
    instructions: str
    history: _containers.RepeatedCompositeFieldContainer[AskTurn]
    max_tokens: int
    temperature: float
    max_source_tokens: int
    def __init__(self, query: _Optional[_Union[SearchQuery, _Mapping]] = ..., model: _Optional[str] = ..., instructions: _Optional[str] = ..., history: _Optional[_Iterable[_Union[AskTurn, _Mapping]]] = ..., max_tokens: _Optional[int] = ..., temperature: _Optional[float] = ..., max_source_tokens: _Optional[int] = ...) -> None: ...

class AskTurn(_message.Message):
    __slots__ = ("role", "content")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[AskTurn.Role]
        ROLE_USER: _ClassVar[AskTurn.Role]
        ROLE_ASSISTANT: _ClassVar[AskTurn.Role]
    ROLE_UNSPECIFIED: AskTurn.Role
    ROLE_USER: AskTurn.Role
    ROLE_ASSISTANT: AskTurn.Role
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: AskTurn.Role
    content: str
    def __init__(self, role: _Optional[_Union[AskTurn.Role, str]] = ..., content: _Optional[str] = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("seq", "sources", "delta", "heartbeat", "ended")
    class Sources(_message.Message):
        __slots__ = ("sources", "query_log_id")
        SOURCES_FIELD_NUMBER: _ClassVar[int]
        QUERY_LOG_ID_FIELD_NUMBER: _ClassVar[int]
        sources: _containers.RepeatedCompositeFieldContainer[SearchResult]
        query_log_id: str
        def __init__(self, sources: _Optional[_Iterable[_Union[SearchResult, _Mapping]]] = ..., query_log_id: _Optional[str] = ...) -> None: ...
    class Delta(_message.Message):
        __slots__ = ("text",)
        TEXT_FIELD_NUMBER: _ClassVar[int]
        text: str
        def __init__(self, text: _Optional[str] = ...) -> None: ...
    class Heartbeat(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Ended(_message.Message):
        __slots__ = ("finish_reason", "usage", "call_log_id", "cited", "error_reason", "error_message")
        FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
        USAGE_FIELD_NUMBER: _ClassVar[int]
        CALL_LOG_ID_FIELD_NUMBER: _ClassVar[int]
        CITED_FIELD_NUMBER: _ClassVar[int]
        ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
        ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
        finish_reason: _chat_pb2.FinishReason
        usage: _chat_pb2.Usage
        call_log_id: str
        cited: _containers.RepeatedScalarFieldContainer[int]
        error_reason: _error_reason_pb2.ErrorReason
        error_message: str
        def __init__(self, finish_reason: _Optional[_Union[_chat_pb2.FinishReason, str]] = ..., usage: _Optional[_Union[_chat_pb2.Usage, _Mapping]] = ..., call_log_id: _Optional[str] = ..., cited: _Optional[_Iterable[int]] = ..., error_reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., error_message: _Optional[str] = ...) -> None: ...
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    sources: AskResponse.Sources
    delta: AskResponse.Delta
    heartbeat: AskResponse.Heartbeat
    ended: AskResponse.Ended
    def __init__(self, seq: _Optional[int] = ..., sources: _Optional[_Union[AskResponse.Sources, _Mapping]] = ..., delta: _Optional[_Union[AskResponse.Delta, _Mapping]] = ..., heartbeat: _Optional[_Union[AskResponse.Heartbeat, _Mapping]] = ..., ended: _Optional[_Union[AskResponse.Ended, _Mapping]] = ...) -> None: ...

class QueryLog(_message.Message):
    __slots__ = ("id", "create_time", "user_id", "api_key_id", "knowledge_base_ids", "query", "mode", "top_k", "score_threshold", "retrieved_count", "average_score", "latency", "request_id", "trace_id", "session_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    KNOWLEDGE_BASE_IDS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    RETRIEVED_COUNT_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_SCORE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    create_time: _timestamp_pb2.Timestamp
    user_id: str
    api_key_id: str
    knowledge_base_ids: _containers.RepeatedScalarFieldContainer[str]
    query: str
    mode: SearchMode
    top_k: int
    score_threshold: float
    retrieved_count: int
    average_score: float
    latency: _duration_pb2.Duration
    request_id: str
    trace_id: str
    session_id: str
    def __init__(self, id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user_id: _Optional[str] = ..., api_key_id: _Optional[str] = ..., knowledge_base_ids: _Optional[_Iterable[str]] = ..., query: _Optional[str] = ..., mode: _Optional[_Union[SearchMode, str]] = ..., top_k: _Optional[int] = ..., score_threshold: _Optional[float] = ..., retrieved_count: _Optional[int] = ..., average_score: _Optional[float] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., request_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class ListQueryLogsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "user_id", "trace_id", "create_time_from", "create_time_until")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_UNTIL_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    user_id: str
    trace_id: str
    create_time_from: _timestamp_pb2.Timestamp
    create_time_until: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., create_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListQueryLogsResponse(_message.Message):
    __slots__ = ("query_logs", "next_page_token")
    QUERY_LOGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    query_logs: _containers.RepeatedCompositeFieldContainer[QueryLog]
    next_page_token: str
    def __init__(self, query_logs: _Optional[_Iterable[_Union[QueryLog, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
