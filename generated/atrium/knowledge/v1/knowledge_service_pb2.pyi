from atrium.knowledge.v1 import chunk_pb2 as _chunk_pb2
from atrium.knowledge.v1 import document_pb2 as _document_pb2
from atrium.knowledge.v1 import knowledge_base_pb2 as _knowledge_base_pb2
from atrium.knowledge.v1 import search_pb2 as _search_pb2
from atrium.options.v1 import options_pb2 as _options_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
