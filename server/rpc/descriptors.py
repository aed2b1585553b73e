"""The protos as clients without them need them: one descriptor set, out of what the package has."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from atrium.errors.v1 import error_reason_pb2

_BESIDE = (health_pb2, error_reason_pb2, error_details_pb2, status_pb2)


def descriptor_set(services: Iterable[FileDescriptor]) -> FileDescriptorSet:
    """The files, those that every server serves beside them and what errors are made of, each after all it imports."""
    found: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in found:
            for imported in file.dependencies:
                add(imported)
            found[file.name] = file

    for file in (*services, *(module.DESCRIPTOR for module in _BESIDE)):
        add(file)
    made = FileDescriptorSet()
    for file in found.values():
        file.CopyToProto(made.file.add())
    return made
