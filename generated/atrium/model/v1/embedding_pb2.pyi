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
