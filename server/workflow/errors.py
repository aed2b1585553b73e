"""How workflows fail, and what of them."""

from __future__ import annotations

from collections.abc import Sequence

from server.kernel.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from server.workflow.definition import Problem

_AGAIN_SECONDS = 1.0


class WorkflowNotFound(NotFound):
    """No {resource} with this id."""

    resource = "workflow"


class WorkflowNameTaken(AlreadyExists):
    """Another workflow is called {name}."""


class WorkflowDeleted(FailedPrecondition):
    """The workflow {subject} was deleted."""


class WorkflowNotPersonal(FailedPrecondition):
    """Only a member of the tenant can have a personal workflow, and only its owner can make {subject} one."""


class WorkflowNotPublic(FailedPrecondition):
    """Only the platform can have a public workflow, which {subject} would be."""


class WorkflowInvalid(InvalidArgument):
    """The workflow cannot be run as it is defined."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__([(f"definition.{field}", problem) for field, problem in problems])


class ExpressionFailed(InvalidArgument):
    """An expression of the workflow fails: {problem}."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__([(field, problem)], problem=f"{field}: {problem}")


class ExpressionTooHeavy(DeadlineExceeded):
    """An expression of the workflow takes more time or memory than the server allows."""


class ExpressionsBusy(ResourceExhausted):
    """As many expressions are being worked on as the server takes at once: try again shortly."""


class WorkflowVersionNotFound(NotFound):
    """The workflow has no {resource} {id}."""

    resource = "version"


class AgentNotFound(NotFound):
    """No {resource} with this id."""

    resource = "agent"


class AgentNameTaken(AlreadyExists):
    """Another agent is called {name}."""


class ExecutionNotFound(NotFound):
    """No {resource} with this id."""

    resource = "execution"


class ExecutionEnded(FailedPrecondition):
    """The execution {subject} has ended."""


class ExecutionPaused(FailedPrecondition):
    """The execution {subject} is paused."""


class ExecutionNotPaused(FailedPrecondition):
    """The execution {subject} is not paused."""


class TooManyExecutions(ResourceExhausted):
    """As many {subject} wait for a place as may: try again later."""


class TooManyExecutionWatches(ResourceExhausted):
    """As many {subject} are open as the tenant may have in a process: close one first."""


class TaskNotFound(NotFound):
    """The execution has no {resource} with this id."""

    resource = "task"


class TaskNotWaiting(FailedPrecondition):
    """The task {subject} waits for nobody's decision."""


class TaskRejected(FailedPrecondition):
    """What {subject} is about was rejected."""


class TaskTimedOut(DeadlineExceeded):
    """The task took longer than it may, or nobody decided in time."""


class TaskLost(Unavailable):
    """Each of several workers was gone before it had done the task."""

    def __init__(self) -> None:
        super().__init__(None)


class ExecutionTimedOut(DeadlineExceeded):
    """The execution took longer than it may."""


class ExecutionBudgetSpent(ResourceExhausted):
    """The execution has used the {subject} that it may."""


class AnswerNotJson(Unavailable):
    """The model's answer is not the JSON that is asked for, or is nested too deep."""

    def __init__(self) -> None:
        super().__init__(_AGAIN_SECONDS)


class AgentTurnsSpent(FailedPrecondition):
    """The agent {subject} has asked its model as often as it may, and has no answer."""


class AgentToolsWanted(FailedPrecondition):
    """The agent wants {subject} called, which an execution cannot."""
