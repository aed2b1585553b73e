from atrium.audit.v1 import audit_log_pb2 as _audit_log_pb2
from atrium.audit.v1 import ddl_log_pb2 as _ddl_log_pb2
from atrium.audit.v1 import export_pb2 as _export_pb2
from atrium.audit.v1 import verify_pb2 as _verify_pb2
from atrium.audit.v1 import watch_pb2 as _watch_pb2
from atrium.options.v1 import options_pb2 as _options_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
