"""Services that no proto of ours declares, to see what is made of their rules."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

from atrium.options.v1 import options_pb2

NO_RULE = None


def service(*, streaming: bool = False, **rules: Any) -> ServiceDescriptor:
    """A service `p.S` whose methods declare these rules. `streaming`: whether they answer with streams."""
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    file.message_type.add(name="M")
    made = file.service.add(name="S")
    for name, rule in rules.items():
        method = made.method.add(name=name, input_type=".p.M", output_type=".p.M", server_streaming=streaming)
        if rule is not NO_RULE:
            method.options.Extensions[options_pb2.rule].CopyFrom(options_pb2.Rule(**rule))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("p.S")
