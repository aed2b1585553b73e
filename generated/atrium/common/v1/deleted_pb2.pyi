from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Deleted(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELETED_UNSPECIFIED: _ClassVar[Deleted]
    DELETED_EXCLUDE: _ClassVar[Deleted]
    DELETED_INCLUDE: _ClassVar[Deleted]
    DELETED_ONLY: _ClassVar[Deleted]
DELETED_UNSPECIFIED: Deleted
DELETED_EXCLUDE: Deleted
DELETED_INCLUDE: Deleted
DELETED_ONLY: Deleted
