"""What comes of workflows: executions, their tasks, and the events of both."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from server.db.base import (
    MOMENT,
    belongs_to_tenant,
    created_at,
    id_,
    index,
    one_of,
    part_of,
    tenant_key,
    tenant_table,
    timestamps,
)


def _number(name: str, comment: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"), comment=comment)


workflow_executions = tenant_table(
    "workflow_executions",
    id_(),
    Column("workflow_id", Uuid, nullable=False, comment="Which workflow was executed."),
    Column("workflow_version", String(50), nullable=False, comment="In which of its versions."),
    Column(
        "definition", JSONB, nullable=False, comment="That version's steps: the workflow may be gone before it ends."
    ),
    Column("user_id", Uuid, comment="Who started it; NULL: they were removed for good, or are the platform's."),
    Column("api_key_id", Uuid, comment="With which key."),
    Column("platform_user_id", Uuid, comment="Who started it, where they are the platform's."),
    Column(
        "personal",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether it is seen by who started it, and who may change workflows, alone.",
    ),
    Column(
        "status",
        String(20),
        nullable=False,
        server_default="pending",
        comment="pending: for a place among those that run; running, paused, completed, failed or cancelled.",
    ),
    Column("input", JSONB, comment="What it was given."),
    Column("output", JSONB, comment="What it came to."),
    Column("error_reason", String(100), comment="Why it failed, as the API names it."),
    Column("error_message", Text, comment="Why it failed, in words."),
    Column("pause_reason", Text, comment="Why it was paused."),
    Column("parent_execution_id", Uuid, comment="Which execution it repeats."),
    _number("priority", "Those with more of it run before others that wait."),
    Column("budget", JSONB, comment="What it may use at most: tokens, cost."),
    Column("usage", JSONB, comment="What its models used: calls, tokens, cost."),
    Column("deadline_at", MOMENT, comment="When it fails unless it has ended; NULL: it has not begun."),
    Column("started_at", MOMENT, comment="When it was given a place."),
    Column("completed_at", MOMENT, comment="When it ended."),
    Column("request_id", String(100), comment="In which request it was started."),
    Column("trace_id", String(100), comment="In which trace."),
    *timestamps(),
    tenant_key(),
    belongs_to_tenant(),
    one_of("status", "pending", "running", "completed", "failed", "paused", "cancelled"),
    CheckConstraint("priority BETWEEN -100 AND 100", name="priority"),
    CheckConstraint(
        "(status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)",
        name="completed_at",
    ),
    index(
        "ix_workflow_executions_workflow_id", "tenant_id", "workflow_id", "id DESC", serves="its list, of one workflow"
    ),
    index(
        "ix_workflow_executions_status",
        "tenant_id",
        "status",
        "id DESC",
        serves="its list, of one status, how many run, and which wait",
    ),
    index("ix_workflow_executions_trace_id", "tenant_id", "trace_id", serves="its list, of one trace"),
    index("ix_workflow_executions_user_id", "tenant_id", "user_id", serves="the removal of a person"),
    index(
        "ix_workflow_executions_parent_execution_id",
        "tenant_id",
        "parent_execution_id",
        where="parent_execution_id IS NOT NULL",
        serves="its lineage",
    ),
    comment="Executions of workflows: the authority, for which jobs are only wake-ups.",
    postgresql_partition_by="RANGE (id)",
)

workflow_tasks = tenant_table(
    "workflow_tasks",
    Column("execution_id", Uuid, nullable=False, comment="Whose task it is."),
    id_(),
    Column("step_id", String(100), nullable=False, comment="Which step it does."),
    Column("step_type", String(20), nullable=False, comment="What kind of step that is."),
    _number("iteration", "Of a step that is run for each item: which item, from 1; 0: the step itself."),
    Column("agent_type", String(100), comment="Of a step that is an agent's: which kind."),
    Column(
        "status",
        String(20),
        nullable=False,
        server_default="pending",
        comment="pending: for other steps; ready: for a worker; running; waiting: for a person, a time or its items; "
        "completed, failed, skipped or cancelled.",
    ),
    _number("waiting_on", "How many steps, or items, have not ended that it waits for."),
    Column("input", JSONB, comment="What it was given: the item, or what somebody decides about."),
    Column("output", JSONB, comment="What it came to."),
    Column("error_reason", String(100), comment="Why it failed, as the API names it."),
    Column("error_message", Text, comment="Why it failed, in words."),
    Column("usage", JSONB, comment="What its models used: calls, tokens, cost."),
    Column(
        "counted_runs",
        ARRAY(Uuid),
        nullable=False,
        server_default="{}",
        comment="The runs of it whose models' use is counted.",
    ),
    _number("retry_count", "How many of its tries failed."),
    _number("attempt", "How often it was begun."),
    Column("run_token", Uuid, comment="Of who does it now: nobody else may end it."),
    Column("worker_id", String(100), comment="The job that does it, or did last: no other takes it over."),
    Column("not_before", MOMENT, comment="When it is tried again, or ends waiting, at the earliest."),
    Column("started_at", MOMENT, comment="When it was begun first."),
    Column("completed_at", MOMENT, comment="When it ended."),
    *timestamps(),
    tenant_key("execution_id", "id"),
    belongs_to_tenant(),
    part_of("execution_id", "workflow_executions"),
    UniqueConstraint("tenant_id", "execution_id", "step_id", "iteration", name="uq_workflow_tasks_step"),
    one_of("status", "pending", "ready", "running", "waiting", "completed", "failed", "skipped", "cancelled"),
    *(CheckConstraint(f"{name} >= 0", name=name) for name in ("iteration", "waiting_on", "retry_count", "attempt")),
    comment="What is to be done for executions, step by step.",
    postgresql_partition_by="RANGE (execution_id)",
)

execution_events = tenant_table(
    "execution_events",
    Column("execution_id", Uuid, nullable=False, comment="What it happened to."),
    Column("seq", BigInteger, nullable=False, comment="Its place: 1, and one more with each."),
    Column("event_type", String(50), nullable=False, comment="What happened."),
    Column("payload", JSONB, nullable=False, comment="Of which step, and how."),
    created_at(),
    tenant_key("execution_id", "seq"),
    belongs_to_tenant(),
    part_of("execution_id", "workflow_executions"),
    CheckConstraint("seq > 0", name="seq"),
    comment="What happened to executions, in order.",
    postgresql_partition_by="RANGE (execution_id)",
)
