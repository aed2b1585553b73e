import datetime

from atrium.workflow.v1 import execution_pb2 as _execution_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Task(_message.Message):
    __slots__ = ("id", "execution_id", "step_id", "step_type", "iteration", "state", "input", "output", "error_reason", "error_message", "attempts", "failures", "usage", "create_time", "start_time", "due_time", "complete_time", "agent_type")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Task.State]
        STATE_PENDING: _ClassVar[Task.State]
        STATE_READY: _ClassVar[Task.State]
        STATE_RUNNING: _ClassVar[Task.State]
        STATE_WAITING: _ClassVar[Task.State]
        STATE_COMPLETED: _ClassVar[Task.State]
        STATE_FAILED: _ClassVar[Task.State]
        STATE_SKIPPED: _ClassVar[Task.State]
        STATE_CANCELLED: _ClassVar[Task.State]
    STATE_UNSPECIFIED: Task.State
    STATE_PENDING: Task.State
    STATE_READY: Task.State
    STATE_RUNNING: Task.State
    STATE_WAITING: Task.State
    STATE_COMPLETED: Task.State
    STATE_FAILED: Task.State
    STATE_SKIPPED: Task.State
    STATE_CANCELLED: Task.State
    ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_TYPE_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_TIME_FIELD_NUMBER: _ClassVar[int]
    AGENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    id: str
    execution_id: str
    step_id: str
    step_type: str
    iteration: int
    state: Task.State
    input: _struct_pb2.Struct
    output: _struct_pb2.Value
    error_reason: str
    error_message: str
    attempts: int
    failures: int
    usage: _execution_pb2.ExecutionUsage
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    complete_time: _timestamp_pb2.Timestamp
    agent_type: str
    def __init__(self, id: _Optional[str] = ..., execution_id: _Optional[str] = ..., step_id: _Optional[str] = ..., step_type: _Optional[str] = ..., iteration: _Optional[int] = ..., state: _Optional[_Union[Task.State, str]] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., output: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., error_reason: _Optional[str] = ..., error_message: _Optional[str] = ..., attempts: _Optional[int] = ..., failures: _Optional[int] = ..., usage: _Optional[_Union[_execution_pb2.ExecutionUsage, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., complete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., agent_type: _Optional[str] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "execution_id", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    execution_id: str
    state: Task.State
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., execution_id: _Optional[str] = ..., state: _Optional[_Union[Task.State, str]] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    next_page_token: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CompleteTaskRequest(_message.Message):
    __slots__ = ("execution_id", "id", "decision", "value", "comment", "idempotency_key")
    class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DECISION_UNSPECIFIED: _ClassVar[CompleteTaskRequest.Decision]
        DECISION_APPROVE: _ClassVar[CompleteTaskRequest.Decision]
        DECISION_REJECT: _ClassVar[CompleteTaskRequest.Decision]
        DECISION_MODIFY: _ClassVar[CompleteTaskRequest.Decision]
    DECISION_UNSPECIFIED: CompleteTaskRequest.Decision
    DECISION_APPROVE: CompleteTaskRequest.Decision
    DECISION_REJECT: CompleteTaskRequest.Decision
    DECISION_MODIFY: CompleteTaskRequest.Decision
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    id: str
    decision: CompleteTaskRequest.Decision
    value: _struct_pb2.Value
    comment: str
    idempotency_key: str
    def __init__(self, execution_id: _Optional[str] = ..., id: _Optional[str] = ..., decision: _Optional[_Union[CompleteTaskRequest.Decision, str]] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., comment: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CompleteTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...
