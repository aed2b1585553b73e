"""Executions, their tasks and events, as the API has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from atrium.workflow.v1 import execution_pb2 as pb
from atrium.workflow.v1 import task_pb2
from server.rpc.wire import (
    EnumMap,
    json_struct,
    json_value,
    money,
    present,
    struct,
    timestamp,
    uuid_or_none,
    value_of,
    whole_seconds,
)
from server.workflow.executions import Budget, Decision, Event, Execution, Listed, Task, Used

_STATE = EnumMap(
    {
        "pending": pb.Execution.STATE_PENDING,
        "running": pb.Execution.STATE_RUNNING,
        "paused": pb.Execution.STATE_PAUSED,
        "completed": pb.Execution.STATE_COMPLETED,
        "failed": pb.Execution.STATE_FAILED,
        "cancelled": pb.Execution.STATE_CANCELLED,
    }
)
_TASK_STATE = EnumMap(
    {
        "pending": task_pb2.Task.STATE_PENDING,
        "ready": task_pb2.Task.STATE_READY,
        "running": task_pb2.Task.STATE_RUNNING,
        "waiting": task_pb2.Task.STATE_WAITING,
        "completed": task_pb2.Task.STATE_COMPLETED,
        "failed": task_pb2.Task.STATE_FAILED,
        "skipped": task_pb2.Task.STATE_SKIPPED,
        "cancelled": task_pb2.Task.STATE_CANCELLED,
    }
)
_DECISION = EnumMap(
    {
        "approve": task_pb2.CompleteTaskRequest.DECISION_APPROVE,
        "reject": task_pb2.CompleteTaskRequest.DECISION_REJECT,
        "modify": task_pb2.CompleteTaskRequest.DECISION_MODIFY,
    }
)


def asked(request: pb.ExecuteWorkflowRequest) -> tuple[UUID, str, dict[str, Any], int, Budget]:
    """What `ExecutionService.execute` is asked."""
    budget = present(request.budget, "max_tokens", "max_cost_usd")
    cost = budget["max_cost_usd"]
    return (
        UUID(request.workflow_id),
        request.version,
        json_struct(request.input, "input"),
        request.priority,
        Budget(budget["max_tokens"], None if cost is None else Decimal(cost), whole_seconds(request, "timeout")),
    )


def filters(request: pb.ListExecutionsRequest) -> dict[str, Any]:
    given = {
        "workflow_id": uuid_or_none(request.workflow_id),
        "status": _STATE.word.get(request.state),
        "trace_id": request.trace_id or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def task_state(request: task_pb2.ListTasksRequest) -> str | None:
    word: str | None = _TASK_STATE.word.get(request.state)
    return word


def decided(request: task_pb2.CompleteTaskRequest) -> tuple[UUID, UUID, Decision, Any, str]:
    """What `ExecutionService.decide` is asked."""
    value = json_value(request.value, "value") if request.HasField("value") else None
    decision: Decision = _DECISION.word[request.decision]
    return UUID(request.execution_id), UUID(request.id), decision, value, request.comment


def execution(value: Execution) -> pb.Execution:
    made = listed(value)
    if (given := struct(value.input)) is not None:
        made.input.CopyFrom(given)
    if value.status == "completed":
        made.output.CopyFrom(value_of(value.output))
    return made


def listed(value: Listed) -> pb.Execution:
    """Without what it was given and came to."""
    made = pb.Execution(
        id=str(value.id),
        workflow_id=str(value.workflow_id),
        workflow_version=value.workflow_version,
        state=_STATE.number[value.status],
        error_reason=value.error_reason,
        error_message=value.error_message,
        pause_reason=value.pause_reason,
        parent_execution_id=str(value.parent_execution_id or ""),
        priority=value.priority,
        usage=_usage(value.usage),
        user_id=str(value.user_id or ""),
        request_id=value.request_id,
        trace_id=value.trace_id,
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        start_time=timestamp(value.started_at),
        deadline_time=timestamp(value.deadline_at),
        complete_time=timestamp(value.completed_at),
    )
    if value.budget.tokens is not None or value.budget.cost is not None:
        made.budget.CopyFrom(pb.Budget(max_tokens=value.budget.tokens, max_cost_usd=money(value.budget.cost)))
    return made


def task(value: Task) -> task_pb2.Task:
    made = task_pb2.Task(
        id=str(value.id),
        execution_id=str(value.execution_id),
        step_id=value.step_id,
        step_type=value.step_type,
        iteration=value.iteration,
        state=_TASK_STATE.number[value.status],
        input=struct(value.input),
        error_reason=value.error_reason,
        error_message=value.error_message,
        attempts=value.attempt,
        failures=value.retry_count,
        usage=_usage(value.usage),
        create_time=timestamp(value.created_at),
        start_time=timestamp(value.started_at),
        due_time=timestamp(value.not_before),
        complete_time=timestamp(value.completed_at),
        agent_type=value.agent_type,
    )
    if value.status == "completed" or value.output is not None:
        made.output.CopyFrom(value_of(value.output))
    return made


def watched(value: Event | Execution | None) -> pb.WatchExecutionResponse:
    match value:
        case None:
            return pb.WatchExecutionResponse(heartbeat=pb.WatchExecutionResponse.Heartbeat())
        case Execution():
            return pb.WatchExecutionResponse(ended=pb.WatchExecutionResponse.Ended(execution=execution(value)))
    said = value.payload
    kind: Any = pb.ExecutionEvent.Kind.Value(f"KIND_{value.event_type.upper()}")
    event = pb.ExecutionEvent(
        seq=value.seq,
        create_time=timestamp(value.created_at),
        kind=kind,
        step_id=said.get("step_id", ""),
        iteration=said.get("iteration", 0),
        task_id=said.get("task_id", ""),
        error_reason=said.get("error_reason"),
        error_message=said.get("error_message"),
    )
    return pb.WatchExecutionResponse(event=event)


def _usage(used: Used) -> pb.ExecutionUsage:
    return pb.ExecutionUsage(calls=used.calls, tokens=used.tokens, cost_usd=money(used.cost))
