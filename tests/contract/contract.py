"""The protos as protoc reads them, with their comments and options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import protos
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto

from atrium.options.v1 import options_pb2
from buf.validate import validate_pb2  # noqa: F401  (the options of fields are read through it)

SERVICE, METHOD = 6, 2  # field numbers in FileDescriptorProto and ServiceDescriptorProto


@dataclass(frozen=True)
class Method:
    """One RPC with its rule and its comment."""

    package: str
    service: str
    proto: MethodDescriptorProto
    comment: str

    def __str__(self) -> str:
        return self.proto.name

    @property
    def has_rule(self) -> bool:
        return self.proto.options.HasExtension(options_pb2.rule)

    @property
    def rule(self) -> Any:
        return self.proto.options.Extensions[options_pb2.rule]


@dataclass(frozen=True)
class Contract:
    """Every proto of Atrium: what is in it, by full name."""

    files: tuple[FileDescriptorProto, ...]
    methods: tuple[Method, ...]
    messages: Mapping[str, Any]
    enums: Mapping[str, Any]


def read_contract() -> Contract:
    image = FileDescriptorSet.FromString(protos.image())
    files = tuple(file for file in image.file if file.package.startswith("atrium."))
    messages: dict[str, Any] = {}
    enums: dict[str, Any] = {}

    def collect(owner: Any, prefix: str, message_field: str) -> None:
        enums.update({f"{prefix}.{enum.name}": enum for enum in owner.enum_type})
        for message in getattr(owner, message_field):
            messages[f"{prefix}.{message.name}"] = message
            collect(message, f"{prefix}.{message.name}", "nested_type")

    for file in files:
        collect(file, file.package, "message_type")
    return Contract(files, tuple(method for file in files for method in _methods(file)), messages, enums)


def comments_of(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """The comment above each element, empty where there is none, by the element's path."""
    return {
        tuple(location.path): inspect.cleandoc(location.leading_comments.replace("\n ", "\n"))
        for location in file.source_code_info.location
    }


def _methods(file: FileDescriptorProto) -> list[Method]:
    comments = comments_of(file)
    return [
        Method(file.package, service.name, method, comments[SERVICE, number, METHOD, index])
        for number, service in enumerate(file.service)
        for index, method in enumerate(service.method)
    ]


CONTRACT = read_contract()
