from atrium.options.v1 import options_pb2 as _options_pb2
from atrium.workflow.v1 import agent_pb2 as _agent_pb2
from atrium.workflow.v1 import agent_run_pb2 as _agent_run_pb2
from atrium.workflow.v1 import definition_pb2 as _definition_pb2
from atrium.workflow.v1 import execution_pb2 as _execution_pb2
from atrium.workflow.v1 import task_pb2 as _task_pb2
from atrium.workflow.v1 import workflow_pb2 as _workflow_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
