"""The model slice's tables of calls, and of what they used and may use."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Integer,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import (
    MOMENT,
    USD,
    belongs_to_tenant,
    created_at,
    id_,
    index,
    one_of,
    part_of,
    revision,
    tenant_key,
    tenant_table,
    timestamps,
)

_NO = text("false")
_ZERO = text("0")


def _tokens(name: str, comment: str, kind: type[Any] = Integer) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=_ZERO, comment=comment)


model_call_logs = tenant_table(
    "model_call_logs",
    id_(),
    Column("user_id", Uuid, comment="Who called."),
    Column("api_key_id", Uuid, comment="With which key."),
    Column("model_id", Uuid, nullable=False, comment="What was called."),
    Column("prompt_template_version_id", Uuid, comment="With which prompt."),
    Column("request_kind", String(20), nullable=False, comment="chat or embedding."),
    _tokens("prompt_tokens", "Tokens read."),
    _tokens("completion_tokens", "Tokens written."),
    _tokens("cached_tokens", "Tokens read from the provider's cache, among those read."),
    _tokens("total_tokens", "Tokens read and written."),
    Column("total_cost", USD, comment="USD, at the price in force when it ran; NULL: there was none."),
    Column("latency_ms", Integer, comment="How long it took."),
    Column("time_to_first_token_ms", Integer, comment="How long the first token took."),
    Column("status", String(20), nullable=False, comment="success, error or cancelled."),
    Column("error_code", String(100), comment="The reason of the failure, an ErrorReason."),
    Column("finish_reason", String(50), comment="Why the model stopped."),
    Column("workflow_execution_id", Uuid, comment="For which workflow execution."),
    Column("task_id", Uuid, comment="For which of its tasks."),
    Column("trace_id", String(100), comment="The trace that it was a part of."),
    Column("request_id", String(100), comment="The request that it was made for."),
    created_at(),
    Column("route", String(100), comment="The alias that was called; NULL: the model itself was."),
    Column("attempts", Integer, nullable=False, server_default=text("1"), comment="How often the model was asked."),
    _tokens("reasoning_tokens", "Tokens of thoughts, among those written."),
    Column("cached", Boolean, nullable=False, server_default=_NO, comment="Whether the answer was given before."),
    Column(
        "outage", String(20), comment="In what way its provider was not there: unreachable, silent, failing, cooling."
    ),
    tenant_key(),
    belongs_to_tenant(),
    one_of("request_kind", "chat", "embedding"),
    one_of("status", "success", "error", "cancelled"),
    *(
        CheckConstraint(f"{name} >= 0", name=name)
        for name in (
            "prompt_tokens",
            "completion_tokens",
            "cached_tokens",
            "total_tokens",
            "total_cost",
            "latency_ms",
            "time_to_first_token_ms",
            "attempts",
            "reasoning_tokens",
        )
    ),
    index("ix_model_call_logs_user_id", "tenant_id", "user_id", "id DESC", serves="its list, of one person"),
    index("ix_model_call_logs_model_id", "tenant_id", "model_id", "id DESC", serves="its list, of one model"),
    index("ix_model_call_logs_trace_id", "tenant_id", "trace_id", serves="its list, of one trace"),
    index(
        "ix_model_call_logs_workflow_execution_id",
        *("tenant_id", "workflow_execution_id"),
        where="workflow_execution_id IS NOT NULL",
        serves="the calls of one workflow execution",
    ),
    comment="The record of each call to a model.",
    postgresql_partition_by="RANGE (id)",
)

call_journal = tenant_table(
    "call_journal",
    Column("call_log_id", Uuid, nullable=False, comment="What its record will have as its id, the first of several."),
    Column(
        "records",
        JSONB,
        nullable=False,
        comment="Its records, one of each model that was asked, by the columns of model_call_logs.",
    ),
    Column("holds", ARRAY(Uuid), nullable=False, comment="What it was lent of limits: rows of quota_holds."),
    created_at(),
    tenant_key("call_log_id"),
    belongs_to_tenant(),
    comment="Calls that are over and not among the records yet: for some milliseconds.",
)

usage_rollups = tenant_table(
    "usage_rollups",
    id_(),
    Column(
        "grain",
        String(20),
        nullable=False,
        server_default="model",
        comment="By what beside day and model: model (nothing), user and so on.",
    ),
    Column("day", Date, nullable=False, comment="The day, in UTC."),
    Column("model_id", Uuid, nullable=False, comment="What was called."),
    Column("user_id", Uuid, comment="Who called."),
    Column("api_key_id", Uuid, comment="With which key."),
    Column("prompt_template_version_id", Uuid, comment="With which prompt."),
    _tokens("calls", "How many calls.", BigInteger),
    _tokens("prompt_tokens", "Tokens read.", BigInteger),
    _tokens("completion_tokens", "Tokens written.", BigInteger),
    _tokens("cached_tokens", "Tokens read from caches.", BigInteger),
    _tokens("reasoning_tokens", "Tokens of thoughts, among those written.", BigInteger),
    Column("cost", Numeric(30, 9), nullable=False, server_default=_ZERO, comment="USD."),
    _tokens("errors", "How many calls failed.", BigInteger),
    _tokens("latency_ms", "How long all of them took.", BigInteger),
    *timestamps(),
    tenant_key(),
    belongs_to_tenant(),
    UniqueConstraint(
        "tenant_id",
        "grain",
        "day",
        "model_id",
        "user_id",
        "api_key_id",
        "prompt_template_version_id",
        name="uq_usage_rollups_day",
        postgresql_nulls_not_distinct=True,
    ),
    one_of("grain", "model", "user", "api_key", "prompt"),
    *(
        CheckConstraint(f"{name} >= 0", name=name)
        for name in (
            *("calls", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cost", "errors"),
            "latency_ms",
        )
    ),
    comment="What was used, by day: each call counts once in every grain that it has a part in.",
)

_LIMITS = ("requests_per_minute", "tokens_per_minute", "monthly_tokens", "monthly_cost_usd", "parallel_calls")


def _limit_checks() -> list[CheckConstraint]:
    """Which limit it is: a row of the ledger, and what is reserved of it."""
    return [
        one_of("window_kind", "minute", "month", "none"),
        one_of("kind", "requests", "tokens", "cost", "parallel"),
    ]


quota_ledger = tenant_table(
    "quota_ledger",
    Column("window_start", MOMENT, nullable=False, comment="When the window began."),
    Column("window_kind", String(20), nullable=False, comment="minute, month, or none for what counts at any moment."),
    Column("subject", String(100), nullable=False, comment="Whose limit: the tenant's, a key's, a user's."),
    Column("kind", String(20), nullable=False, comment="requests, tokens, cost or parallel."),
    Column("reserved", Numeric(24, 9), nullable=False, server_default=_ZERO, comment="Held for calls under way."),
    Column("used", Numeric(24, 9), nullable=False, server_default=_ZERO, comment="Used by calls that are over."),
    Column(
        "warned",
        ARRAY(Text),
        nullable=False,
        server_default=text("'{}'"),
        comment="What was warned of: limits and parts of them, as limit:part.",
    ),
    *timestamps(),
    tenant_key("window_kind", "window_start", "subject", "kind"),
    belongs_to_tenant(),
    *_limit_checks(),
    CheckConstraint("reserved >= 0", name="reserved"),
    CheckConstraint("used >= 0", name="used"),
    comment="What is used of each limit.",
)

quota_reservations = tenant_table(
    "quota_reservations",
    id_(),
    Column("window_start", MOMENT, nullable=False, comment="When the window began."),
    Column("window_kind", String(20), nullable=False, comment="minute, month, or none for what counts at any moment."),
    Column("subject", String(100), nullable=False, comment="Whose limit."),
    Column("kind", String(20), nullable=False, comment="requests, tokens, cost or parallel."),
    Column("amount", Numeric(24, 9), nullable=False, comment="How much is held."),
    Column("expires_at", MOMENT, nullable=False, comment="When it is given up, unless its process keeps it."),
    created_at(),
    tenant_key(),
    belongs_to_tenant(),
    *_limit_checks(),
    CheckConstraint("amount >= 0", name="amount"),
    # It leaves out no row, and serves those alone who ask for it: to a planner whose statistics know of few rows, all
    # of a tenant's look as cheap as one by its key.
    index(
        "ix_quota_reservations_expires_at",
        *("tenant_id", "expires_at"),
        where="amount >= 0",
        serves="the release of what a dead process held",
    ),
    comment="Amounts held for calls under way on servers of the version before.",
)

quota_holds = tenant_table(
    "quota_holds",
    id_(),
    Column(
        "window_kinds",
        ARRAY(Text),
        nullable=False,
        comment="Of each limit: minute, month, or none for what counts at any moment.",
    ),
    Column("window_starts", ARRAY(MOMENT), nullable=False, comment="Of each limit: when its window began."),
    Column("subjects", ARRAY(Text), nullable=False, comment="Of each limit: whose it is."),
    Column("kinds", ARRAY(Text), nullable=False, comment="Of each limit: requests, tokens, cost or parallel."),
    Column("amounts", ARRAY(Numeric), nullable=False, comment="Of each limit: how much is held; 0: nothing."),
    Column("expires_at", MOMENT, nullable=False, comment="When it is given up, unless its process keeps it."),
    created_at(),
    Column(
        "spare",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether its process may hold it for a call that is yet to come.",
    ),
    tenant_key(),
    belongs_to_tenant(),
    # As above.
    index(
        "ix_quota_holds_expires_at",
        *("tenant_id", "expires_at"),
        where="expires_at IS NOT NULL",
        serves="the release of what a dead process held",
    ),
    comment="What calls under way may yet use of the limits that they count in.",
)

model_limits = tenant_table(
    "model_limits",
    id_(),
    Column("user_id", Uuid, comment="Whose limits; NULL: a key's."),
    Column("api_key_id", Uuid, comment="Whose limits; NULL: a user's."),
    Column("requests_per_minute", Integer, comment="The most calls a minute; NULL: no limit."),
    Column("tokens_per_minute", BigInteger, comment="The most tokens a minute; NULL: no limit."),
    Column("monthly_tokens", BigInteger, comment="The most tokens a month; NULL: no limit."),
    Column("monthly_cost_usd", USD, comment="The most USD a month; NULL: no limit."),
    Column("parallel_calls", Integer, comment="The most calls at once; NULL: no limit."),
    revision(),
    *timestamps(),
    tenant_key(),
    belongs_to_tenant(),
    part_of("user_id", "users"),
    part_of("api_key_id", "api_keys"),
    UniqueConstraint(
        "tenant_id", "user_id", "api_key_id", name="uq_model_limits_subject", postgresql_nulls_not_distinct=True
    ),
    index("ix_model_limits_api_key_id", "tenant_id", "api_key_id", serves="the end of a key"),
    CheckConstraint("(user_id IS NULL) <> (api_key_id IS NULL)", name="subject"),
    *(CheckConstraint(f"{name} >= 0", name=name) for name in _LIMITS),
    comment="The limits of users and API keys; the tenant's own are among its settings.",
    revised=_LIMITS,
)
