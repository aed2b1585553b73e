from atrium.model.v1 import call_log_pb2 as _call_log_pb2
from atrium.model.v1 import chat_pb2 as _chat_pb2
from atrium.model.v1 import credential_pb2 as _credential_pb2
from atrium.model.v1 import embedding_pb2 as _embedding_pb2
from atrium.model.v1 import model_pb2 as _model_pb2
from atrium.model.v1 import route_pb2 as _route_pb2
from atrium.model.v1 import stream_pb2 as _stream_pb2
from atrium.model.v1 import tenant_model_pb2 as _tenant_model_pb2
from atrium.model.v1 import usage_pb2 as _usage_pb2
from atrium.options.v1 import options_pb2 as _options_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
