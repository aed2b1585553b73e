from atrium.identity.v1 import api_key_pb2 as _api_key_pb2
from atrium.identity.v1 import email_verification_pb2 as _email_verification_pb2
from atrium.identity.v1 import password_pb2 as _password_pb2
from atrium.identity.v1 import permission_pb2 as _permission_pb2
from atrium.identity.v1 import role_pb2 as _role_pb2
from atrium.identity.v1 import session_pb2 as _session_pb2
from atrium.identity.v1 import user_pb2 as _user_pb2
from atrium.options.v1 import options_pb2 as _options_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
