"""Executions, their tasks, and what happens to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from server.kernel.principal import Principal
from server.workflow.definition import Definition
from server.workflow.domain import manages
from server.workflow.errors import ExecutionBudgetSpent, ExecutionEnded

ExecutionStatus = Literal["pending", "running", "paused", "completed", "failed", "cancelled"]
TaskStatus = Literal["pending", "ready", "running", "waiting", "completed", "failed", "skipped", "cancelled"]
Decision = Literal["approve", "reject", "modify"]
EventType = Literal[
    "execution_started",
    "execution_paused",
    "execution_resumed",
    "execution_completed",
    "execution_failed",
    "execution_cancelled",
    "task_started",
    "task_waiting",
    "task_retried",
    "task_decided",
    "task_completed",
    "task_failed",
    "task_skipped",
]

OPEN = ("pending", "running", "paused")
"""What an execution is until it has ended."""

ENDED_TASKS = ("completed", "failed", "skipped", "cancelled")
MOST_PENDING = 10_000


@dataclass(frozen=True, slots=True)
class Budget:
    """What an execution may use at most; None: any. `cost`: USD. `seconds`: from its start on."""

    tokens: int | None = None
    cost: Decimal | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What models used. `cost`: USD."""

    calls: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: Used) -> Used:
        return Used(self.calls + other.calls, self.tokens + other.tokens, self.cost + other.cost)

    def check(self, budget: Budget) -> None:
        """Raises ExecutionBudgetSpent."""
        if budget.tokens is not None and self.tokens >= budget.tokens:
            raise ExecutionBudgetSpent("tokens")
        if budget.cost is not None and self.cost >= budget.cost:
            raise ExecutionBudgetSpent("USD")


@dataclass(frozen=True, slots=True)
class Listed:
    """One run of a workflow as lists have it, without what may be much. `user_id`, `platform_user_id`: who started it,
    of the tenant or of the platform; neither: they were removed for good. `personal`: seen by who started it, and who
    may change workflows, alone.
    """

    id: UUID
    workflow_id: UUID
    workflow_version: str
    user_id: UUID | None
    api_key_id: UUID | None
    platform_user_id: UUID | None
    personal: bool
    status: ExecutionStatus
    error_reason: str | None
    error_message: str | None
    pause_reason: str | None
    parent_execution_id: UUID | None
    priority: int
    budget: Budget
    usage: Used
    deadline_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    request_id: str | None
    trace_id: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status in OPEN

    def seen_by(self, caller: Principal) -> bool:
        """Whether it is there for the caller, of the same tenant."""
        return not self.personal or (self.user_id is not None and self.user_id == caller.member_id) or manages(caller)

    def check_open(self) -> None:
        """Raises ExecutionEnded."""
        if not self.is_open:
            raise ExecutionEnded(str(self.id))


@dataclass(frozen=True, slots=True)
class Execution(Listed):
    """The whole of it."""

    definition: Definition
    input: Mapping[str, Any] | None
    output: Any


@dataclass(frozen=True, slots=True)
class Task:
    """What is done of an execution for a step, or for one of its items: `iteration`, from 1."""

    execution_id: UUID
    id: UUID
    step_id: str
    step_type: str
    iteration: int
    status: TaskStatus
    waiting_on: int
    input: Mapping[str, Any] | None
    output: Any
    error_reason: str | None
    error_message: str | None
    usage: Used
    retry_count: int
    attempt: int
    not_before: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    agent_type: str | None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED_TASKS


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, the `seq`th of its execution."""

    seq: int
    event_type: EventType
    payload: Mapping[str, Any]
    created_at: datetime
