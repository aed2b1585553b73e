import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Budget(_message.Message):
    __slots__ = ("max_tokens", "max_cost_usd")
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_USD_FIELD_NUMBER: _ClassVar[int]
    max_tokens: int
    max_cost_usd: str
    def __init__(self, max_tokens: _Optional[int] = ..., max_cost_usd: _Optional[str] = ...) -> None: ...

class ExecutionUsage(_message.Message):
    __slots__ = ("calls", "tokens", "cost_usd")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    calls: int
    tokens: int
    cost_usd: str
    def __init__(self, calls: _Optional[int] = ..., tokens: _Optional[int] = ..., cost_usd: _Optional[str] = ...) -> None: ...

class Execution(_message.Message):
    __slots__ = ("id", "workflow_id", "workflow_version", "state", "input", "output", "error_reason", "error_message", "pause_reason", "parent_execution_id", "priority", "budget", "usage", "user_id", "request_id", "trace_id", "create_time", "update_time", "start_time", "deadline_time", "complete_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Execution.State]
        STATE_PENDING: _ClassVar[Execution.State]
        STATE_RUNNING: _ClassVar[Execution.State]
        STATE_PAUSED: _ClassVar[Execution.State]
        STATE_COMPLETED: _ClassVar[Execution.State]
        STATE_FAILED: _ClassVar[Execution.State]
        STATE_CANCELLED: _ClassVar[Execution.State]
    STATE_UNSPECIFIED: Execution.State
    STATE_PENDING: Execution.State
    STATE_RUNNING: Execution.State
    STATE_PAUSED: Execution.State
    STATE_COMPLETED: Execution.State
    STATE_FAILED: Execution.State
    STATE_CANCELLED: Execution.State
    ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_REASON_FIELD_NUMBER: _ClassVar[int]
    PARENT_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    workflow_id: str
    workflow_version: str
    state: Execution.State
    input: _struct_pb2.Struct
    output: _struct_pb2.Value
    error_reason: str
    error_message: str
    pause_reason: str
    parent_execution_id: str
    priority: int
    budget: Budget
    usage: ExecutionUsage
    user_id: str
    request_id: str
    trace_id: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    deadline_time: _timestamp_pb2.Timestamp
    complete_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., workflow_id: _Optional[str] = ..., workflow_version: _Optional[str] = ..., state: _Optional[_Union[Execution.State, str]] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., output: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., error_reason: _Optional[str] = ..., error_message: _Optional[str] = ..., pause_reason: _Optional[str] = ..., parent_execution_id: _Optional[str] = ..., priority: _Optional[int] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., usage: _Optional[_Union[ExecutionUsage, _Mapping]] = ..., user_id: _Optional[str] = ..., request_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deadline_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., complete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExecutionEvent(_message.Message):
    __slots__ = ("seq", "create_time", "kind", "step_id", "iteration", "task_id", "error_reason", "error_message")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ExecutionEvent.Kind]
        KIND_EXECUTION_STARTED: _ClassVar[ExecutionEvent.Kind]
        KIND_EXECUTION_PAUSED: _ClassVar[ExecutionEvent.Kind]
        KIND_EXECUTION_RESUMED: _ClassVar[ExecutionEvent.Kind]
        KIND_EXECUTION_COMPLETED: _ClassVar[ExecutionEvent.Kind]
        KIND_EXECUTION_FAILED: _ClassVar[ExecutionEvent.Kind]
        KIND_EXECUTION_CANCELLED: _ClassVar[ExecutionEvent.Kind]
        KIND_TASK_STARTED: _ClassVar[ExecutionEvent.Kind]
        KIND_TASK_WAITING: _ClassVar[ExecutionEvent.Kind]
        KIND_TASK_RETRIED: _ClassVar[ExecutionEvent.Kind]
        KIND_TASK_DECIDED: _ClassVar[ExecutionEvent.Kind]
        KIND_TASK_COMPLETED: _ClassVar[ExecutionEvent.Kind]
        KIND_TASK_FAILED: _ClassVar[ExecutionEvent.Kind]
        KIND_TASK_SKIPPED: _ClassVar[ExecutionEvent.Kind]
    KIND_UNSPECIFIED: ExecutionEvent.Kind
    KIND_EXECUTION_STARTED: ExecutionEvent.Kind
    KIND_EXECUTION_PAUSED: ExecutionEvent.Kind
    KIND_EXECUTION_RESUMED: ExecutionEvent.Kind
    KIND_EXECUTION_COMPLETED: ExecutionEvent.Kind
    KIND_EXECUTION_FAILED: ExecutionEvent.Kind
    KIND_EXECUTION_CANCELLED: ExecutionEvent.Kind
    KIND_TASK_STARTED: ExecutionEvent.Kind
    KIND_TASK_WAITING: ExecutionEvent.Kind
    KIND_TASK_RETRIED: ExecutionEvent.Kind
    KIND_TASK_DECIDED: ExecutionEvent.Kind
    KIND_TASK_COMPLETED: ExecutionEvent.Kind
    KIND_TASK_FAILED: ExecutionEvent.Kind
    KIND_TASK_SKIPPED: ExecutionEvent.Kind
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    seq: int
    create_time: _timestamp_pb2.Timestamp
    kind: ExecutionEvent.Kind
    step_id: str
    iteration: int
    task_id: str
    error_reason: str
    error_message: str
    def __init__(self, seq: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[_Union[ExecutionEvent.Kind, str]] = ..., step_id: _Optional[str] = ..., iteration: _Optional[int] = ..., task_id: _Optional[str] = ..., error_reason: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class ExecuteWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "version", "input", "priority", "budget", "timeout", "idempotency_key")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    version: str
    input: _struct_pb2.Struct
    priority: int
    budget: Budget
    timeout: _duration_pb2.Duration
    idempotency_key: str
    def __init__(self, workflow_id: _Optional[str] = ..., version: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., priority: _Optional[int] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ExecuteWorkflowResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: Execution
    def __init__(self, execution: _Optional[_Union[Execution, _Mapping]] = ...) -> None: ...

class GetExecutionRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: Execution
    def __init__(self, execution: _Optional[_Union[Execution, _Mapping]] = ...) -> None: ...

class ListExecutionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "workflow_id", "state", "trace_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    workflow_id: str
    state: Execution.State
    trace_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., workflow_id: _Optional[str] = ..., state: _Optional[_Union[Execution.State, str]] = ..., trace_id: _Optional[str] = ...) -> None: ...

class ListExecutionsResponse(_message.Message):
    __slots__ = ("executions", "next_page_token")
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    executions: _containers.RepeatedCompositeFieldContainer[Execution]
    next_page_token: str
    def __init__(self, executions: _Optional[_Iterable[_Union[Execution, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchExecutionRequest(_message.Message):
    __slots__ = ("id", "after_seq")
    ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    id: str
    after_seq: int
    def __init__(self, id: _Optional[str] = ..., after_seq: _Optional[int] = ...) -> None: ...

class WatchExecutionResponse(_message.Message):
    __slots__ = ("event", "heartbeat", "ended")
    class Heartbeat(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Ended(_message.Message):
        __slots__ = ("execution",)
        EXECUTION_FIELD_NUMBER: _ClassVar[int]
        execution: Execution
        def __init__(self, execution: _Optional[_Union[Execution, _Mapping]] = ...) -> None: ...
    EVENT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    event: ExecutionEvent
    heartbeat: WatchExecutionResponse.Heartbeat
    ended: WatchExecutionResponse.Ended
    def __init__(self, event: _Optional[_Union[ExecutionEvent, _Mapping]] = ..., heartbeat: _Optional[_Union[WatchExecutionResponse.Heartbeat, _Mapping]] = ..., ended: _Optional[_Union[WatchExecutionResponse.Ended, _Mapping]] = ...) -> None: ...

class PauseExecutionRequest(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PauseExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: Execution
    def __init__(self, execution: _Optional[_Union[Execution, _Mapping]] = ...) -> None: ...

class ResumeExecutionRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ResumeExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: Execution
    def __init__(self, execution: _Optional[_Union[Execution, _Mapping]] = ...) -> None: ...

class CancelExecutionRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: Execution
    def __init__(self, execution: _Optional[_Union[Execution, _Mapping]] = ...) -> None: ...

class ReplayExecutionRequest(_message.Message):
    __slots__ = ("id", "from_step_id", "idempotency_key")
    ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    id: str
    from_step_id: str
    idempotency_key: str
    def __init__(self, id: _Optional[str] = ..., from_step_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ReplayExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: Execution
    def __init__(self, execution: _Optional[_Union[Execution, _Mapping]] = ...) -> None: ...

class GetLineageRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetLineageResponse(_message.Message):
    __slots__ = ("ancestors", "descendants")
    ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    DESCENDANTS_FIELD_NUMBER: _ClassVar[int]
    ancestors: _containers.RepeatedCompositeFieldContainer[Execution]
    descendants: _containers.RepeatedCompositeFieldContainer[Execution]
    def __init__(self, ancestors: _Optional[_Iterable[_Union[Execution, _Mapping]]] = ..., descendants: _Optional[_Iterable[_Union[Execution, _Mapping]]] = ...) -> None: ...
