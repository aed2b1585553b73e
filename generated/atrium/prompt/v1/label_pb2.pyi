import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LabelTarget(_message.Message):
    __slots__ = ("version", "weight")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    version: str
    weight: int
    def __init__(self, version: _Optional[str] = ..., weight: _Optional[int] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("label", "targets", "protected", "moved_by", "update_time", "etag")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_FIELD_NUMBER: _ClassVar[int]
    MOVED_BY_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    label: str
    targets: _containers.RepeatedCompositeFieldContainer[LabelTarget]
    protected: bool
    moved_by: str
    update_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, label: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[LabelTarget, _Mapping]]] = ..., protected: _Optional[bool] = ..., moved_by: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class SetLabelRequest(_message.Message):
    __slots__ = ("template_id", "label", "targets", "protected", "etag")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    label: str
    targets: _containers.RepeatedCompositeFieldContainer[LabelTarget]
    protected: bool
    etag: str
    def __init__(self, template_id: _Optional[str] = ..., label: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[LabelTarget, _Mapping]]] = ..., protected: _Optional[bool] = ..., etag: _Optional[str] = ...) -> None: ...

class SetLabelResponse(_message.Message):
    __slots__ = ("label",)
    LABEL_FIELD_NUMBER: _ClassVar[int]
    label: Label
    def __init__(self, label: _Optional[_Union[Label, _Mapping]] = ...) -> None: ...

class RemoveLabelRequest(_message.Message):
    __slots__ = ("template_id", "label", "etag")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    label: str
    etag: str
    def __init__(self, template_id: _Optional[str] = ..., label: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class RemoveLabelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLabelsRequest(_message.Message):
    __slots__ = ("template_id",)
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    def __init__(self, template_id: _Optional[str] = ...) -> None: ...

class ListLabelsResponse(_message.Message):
    __slots__ = ("labels",)
    LABELS_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...
