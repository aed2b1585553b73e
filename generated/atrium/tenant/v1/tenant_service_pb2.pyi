from atrium.options.v1 import options_pb2 as _options_pb2
from atrium.tenant.v1 import export_pb2 as _export_pb2
from atrium.tenant.v1 import tenant_pb2 as _tenant_pb2
from atrium.tenant.v1 import tenant_config_pb2 as _tenant_config_pb2
from atrium.tenant.v1 import usage_pb2 as _usage_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
