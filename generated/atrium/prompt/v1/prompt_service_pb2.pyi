import datetime

from atrium.options.v1 import options_pb2 as _options_pb2
from atrium.prompt.v1 import label_pb2 as _label_pb2
from atrium.prompt.v1 import template_pb2 as _template_pb2
from atrium.prompt.v1 import version_pb2 as _version_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RenderPromptRequest(_message.Message):
    __slots__ = ("template_id", "version", "label", "variables", "user_key")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    USER_KEY_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    version: str
    label: str
    variables: _struct_pb2.Struct
    user_key: str
    def __init__(self, template_id: _Optional[str] = ..., version: _Optional[str] = ..., label: _Optional[str] = ..., variables: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., user_key: _Optional[str] = ...) -> None: ...

class RenderPromptResponse(_message.Message):
    __slots__ = ("version", "version_id", "text", "messages", "settings")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    version: str
    version_id: str
    text: str
    messages: _containers.RepeatedCompositeFieldContainer[_version_pb2.PromptMessage]
    settings: _version_pb2.PromptSettings
    def __init__(self, version: _Optional[str] = ..., version_id: _Optional[str] = ..., text: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_version_pb2.PromptMessage, _Mapping]]] = ..., settings: _Optional[_Union[_version_pb2.PromptSettings, _Mapping]] = ...) -> None: ...

class WatchPromptsRequest(_message.Message):
    __slots__ = ("template_ids", "watch_id", "after_seq")
    TEMPLATE_IDS_FIELD_NUMBER: _ClassVar[int]
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    template_ids: _containers.RepeatedScalarFieldContainer[str]
    watch_id: str
    after_seq: int
    def __init__(self, template_ids: _Optional[_Iterable[str]] = ..., watch_id: _Optional[str] = ..., after_seq: _Optional[int] = ...) -> None: ...

class WatchPromptsResponse(_message.Message):
    __slots__ = ("changed", "removed_id", "synced", "heartbeat", "reset", "ended", "seq", "watch_id")
    class State(_message.Message):
        __slots__ = ("template", "labels")
        TEMPLATE_FIELD_NUMBER: _ClassVar[int]
        LABELS_FIELD_NUMBER: _ClassVar[int]
        template: _template_pb2.Template
        labels: _containers.RepeatedCompositeFieldContainer[_label_pb2.Label]
        def __init__(self, template: _Optional[_Union[_template_pb2.Template, _Mapping]] = ..., labels: _Optional[_Iterable[_Union[_label_pb2.Label, _Mapping]]] = ...) -> None: ...
    class Synced(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Heartbeat(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Reset(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Ended(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_ID_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    changed: WatchPromptsResponse.State
    removed_id: str
    synced: WatchPromptsResponse.Synced
    heartbeat: WatchPromptsResponse.Heartbeat
    reset: WatchPromptsResponse.Reset
    ended: WatchPromptsResponse.Ended
    seq: int
    watch_id: str
    def __init__(self, changed: _Optional[_Union[WatchPromptsResponse.State, _Mapping]] = ..., removed_id: _Optional[str] = ..., synced: _Optional[_Union[WatchPromptsResponse.Synced, _Mapping]] = ..., heartbeat: _Optional[_Union[WatchPromptsResponse.Heartbeat, _Mapping]] = ..., reset: _Optional[_Union[WatchPromptsResponse.Reset, _Mapping]] = ..., ended: _Optional[_Union[WatchPromptsResponse.Ended, _Mapping]] = ..., seq: _Optional[int] = ..., watch_id: _Optional[str] = ...) -> None: ...

class GetTemplateStatsRequest(_message.Message):
    __slots__ = ("template_id", "day_from", "day_until")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    DAY_FROM_FIELD_NUMBER: _ClassVar[int]
    DAY_UNTIL_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    day_from: _timestamp_pb2.Timestamp
    day_until: _timestamp_pb2.Timestamp
    def __init__(self, template_id: _Optional[str] = ..., day_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., day_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class VersionStats(_message.Message):
    __slots__ = ("version", "version_id", "calls", "errors", "prompt_tokens", "completion_tokens", "cost_usd", "average_latency")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_LATENCY_FIELD_NUMBER: _ClassVar[int]
    version: str
    version_id: str
    calls: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: str
    average_latency: _duration_pb2.Duration
    def __init__(self, version: _Optional[str] = ..., version_id: _Optional[str] = ..., calls: _Optional[int] = ..., errors: _Optional[int] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., cost_usd: _Optional[str] = ..., average_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetTemplateStatsResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[VersionStats]
    def __init__(self, versions: _Optional[_Iterable[_Union[VersionStats, _Mapping]]] = ...) -> None: ...
