"""The model slice's tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import (
    MOMENT,
    NOW,
    USD,
    belongs_to_tenant,
    created_at,
    global_table,
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


def _description() -> list[Column[Any]]:
    """What is said of a model, the platform's or a tenant's own."""
    return [
        Column("name", String(100), nullable=False, comment="What calls name it by."),
        Column("provider", String(50), nullable=False, comment="openai, anthropic or custom."),
        Column("model_type", String(20), nullable=False, comment="chat or embedding."),
        Column("description", Text, comment="What it is good for."),
        Column("max_tokens", Integer, comment="The most tokens of a call, read and written."),
        Column("dimensions", Integer, comment="The length of its vectors, for an embedding model."),
        Column(
            "supports_streaming",
            Boolean,
            nullable=False,
            server_default=_NO,
            comment="Whether it answers in parts; one that does not is asked for a whole.",
        ),
        Column(
            "supports_function_calling",
            Boolean,
            nullable=False,
            server_default=_NO,
            comment="Whether it calls functions.",
        ),
        Column("base_url", Text, comment="Where it is reached; NULL: the provider's own address."),
        Column(
            "status", String(20), nullable=False, server_default="active", comment="active, deprecated or disabled."
        ),
        Column("deprecates_at", MOMENT, comment="From when it should not be used any more."),
        Column("replacement_model_id", Uuid, comment="What to use in its place."),
        Column("upstream_name", String(200), comment="What its provider calls it; NULL: as calls do."),
    ]


def _description_checks() -> list[CheckConstraint]:
    return [
        one_of("provider", "openai", "anthropic", "custom"),
        one_of("model_type", "chat", "embedding"),
        one_of("status", "active", "deprecated", "disabled"),
        CheckConstraint("max_tokens > 0", name="max_tokens"),
        CheckConstraint("dimensions > 0", name="dimensions"),
    ]


def _prices() -> list[Column[Any]]:
    return [
        Column("input_cost_per_1k", USD, nullable=False, comment="USD per 1,000 tokens read."),
        Column("output_cost_per_1k", USD, nullable=False, comment="USD per 1,000 tokens written."),
        Column(
            "cached_input_cost_per_1k",
            USD,
            comment="USD per 1,000 tokens read from the provider's cache; NULL: as others.",
        ),
    ]


def _price_checks() -> list[CheckConstraint]:
    names = ("input_cost_per_1k", "output_cost_per_1k", "cached_input_cost_per_1k")
    return [CheckConstraint(f"{name} >= 0", name=name) for name in names]


models = global_table(
    "models",
    id_(),
    *_description(),
    revision(),
    *timestamps(),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("name", name="uq_models_name"),
    ForeignKeyConstraint(["replacement_model_id"], ["models.id"], ondelete="RESTRICT"),
    *_description_checks(),
    index("ix_models_replacement_model_id", "replacement_model_id", serves="what a model replaces"),
    comment="The models that every tenant can call.",
    revised=tuple(column.name for column in _description()),
)

model_prices = global_table(
    "model_prices",
    id_(),
    Column("model_id", Uuid, nullable=False, comment="Whose price it is."),
    *_prices(),
    Column("effective_from", MOMENT, nullable=False, server_default=NOW, comment="From when it is in force."),
    created_at(),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["model_id"], ["models.id"], ondelete="RESTRICT"),
    *_price_checks(),
    UniqueConstraint("model_id", "effective_from", name="uq_model_prices_model_id_effective_from"),
    comment="What models cost, and from when.",
)

tenant_models = tenant_table(
    "tenant_models",
    id_(),
    *_description(),
    *_prices(),
    revision(),
    *timestamps(),
    tenant_key(),
    belongs_to_tenant(),
    UniqueConstraint("tenant_id", "name", name="uq_tenant_models_name"),
    *_description_checks(),
    *_price_checks(),
    comment="A tenant's own models, which hide the platform's of the same name.",
    revised=(*(column.name for column in _description()), *(column.name for column in _prices())),
)

model_routes = tenant_table(
    "model_routes",
    id_(),
    Column("alias", String(100), nullable=False, comment="What calls name it by."),
    Column("targets", JSONB, nullable=False, comment="The models behind it, each with weight and priority."),
    Column("fallbacks", JSONB, comment="What to try when a target fails, by the kind of failure."),
    Column("retry", JSONB, comment="How often and how fast to try again."),
    Column(
        "cooldown_seconds",
        Integer,
        nullable=False,
        server_default=_ZERO,
        comment="How long a failed target is left alone.",
    ),
    Column(
        "cooldown_after",
        Integer,
        nullable=False,
        server_default=text("3"),
        comment="After how many failures in a row a target is left alone.",
    ),
    Column("cache_ttl_seconds", Integer, comment="How long an answer may be used again; NULL: never."),
    revision(),
    *timestamps(),
    tenant_key(),
    belongs_to_tenant(),
    UniqueConstraint("tenant_id", "alias", name="uq_model_routes_alias"),
    CheckConstraint("cooldown_seconds >= 0", name="cooldown_seconds"),
    CheckConstraint("cooldown_after > 0", name="cooldown_after"),
    CheckConstraint("cache_ttl_seconds >= 0", name="cache_ttl_seconds"),
    comment="Names behind which several models stand.",
    revised=("alias", "targets", "fallbacks", "retry", "cooldown_seconds", "cooldown_after", "cache_ttl_seconds"),
)

tenant_keys = tenant_table(
    "tenant_keys",
    Column("wrapped_key", LargeBinary, nullable=False, comment="The tenant's data key under the master key."),
    Column("key_id", String(64), nullable=False, comment="Which master key wrapped it."),
    *timestamps(),
    PrimaryKeyConstraint("tenant_id"),
    belongs_to_tenant(),
    comment="The key that each tenant's secrets are kept under.",
)

provider_credentials = tenant_table(
    "provider_credentials",
    id_(),
    Column("provider", String(50), nullable=False, comment="openai, anthropic or custom."),
    Column("name", String(100), nullable=False, comment="Its name, for people."),
    Column("base_url", Text, comment="The only address it is sent to; NULL: the provider's own."),
    Column(
        "ciphertext",
        LargeBinary,
        nullable=False,
        comment="AES-256-GCM under the tenant's data key, bound to tenant, row and column.",
    ),
    Column("nonce", LargeBinary, nullable=False, comment="The nonce of the ciphertext."),
    Column("key_id", String(64), nullable=False, comment="Which master key wrapped the data key."),
    Column("last_four", String(4), nullable=False, comment="Its last characters, by which people know it."),
    revision(),
    *timestamps(),
    tenant_key(),
    belongs_to_tenant(),
    UniqueConstraint("tenant_id", "provider", "name", name="uq_provider_credentials_name"),
    one_of("provider", "openai", "anthropic", "custom"),
    comment="Tenants' own keys to providers.",
    revised=("name", "base_url", "ciphertext"),
)

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
    Column("cost", USD, nullable=False, server_default=_ZERO, comment="USD."),
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
    one_of("window_kind", "minute", "month", "none"),
    one_of("kind", "requests", "tokens", "cost", "parallel"),
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
    ForeignKeyConstraint(
        ["tenant_id", "window_kind", "window_start", "subject", "kind"],
        [f"quota_ledger.{name}" for name in ("tenant_id", "window_kind", "window_start", "subject", "kind")],
        name="fk_quota_reservations_ledger",
        ondelete="CASCADE",
    ),
    CheckConstraint("amount >= 0", name="amount"),
    index(
        "ix_quota_reservations_ledger",
        *("tenant_id", "window_kind", "window_start", "subject", "kind"),
        serves="what is held of a limit",
    ),
    index(
        "ix_quota_reservations_expires_at",
        *("tenant_id", "expires_at"),
        serves="the release of what a dead process held",
    ),
    comment="Amounts held for calls under way.",
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

call_contents = tenant_table(
    "call_contents",
    Column("call_log_id", Uuid, nullable=False, comment="Whose prompt and answer: a record of a call."),
    Column("messages", JSONB, nullable=False, comment="What was asked."),
    Column("answer", JSONB, comment="What was answered; NULL: nothing was."),
    created_at(),
    tenant_key("call_log_id"),
    belongs_to_tenant(),
    index("ix_call_contents_created_at", "tenant_id", "created_at", serves="the end of what was kept long enough"),
    comment="Prompts and answers, of tenants that keep them.",
)

response_cache = tenant_table(
    "response_cache",
    Column("question_hash", LargeBinary, nullable=False, comment="SHA-256 of all that the answer depends on."),
    Column("answer", JSONB, nullable=False, comment="The answer."),
    Column("expires_at", MOMENT, nullable=False, comment="Until when it may be given again."),
    created_at(),
    tenant_key("question_hash"),
    belongs_to_tenant(),
    index("ix_response_cache_expires_at", "tenant_id", "expires_at", serves="the end of what has expired"),
    comment="Answers that may be given again.",
)

embedding_cache = tenant_table(
    "embedding_cache",
    Column("model_id", Uuid, nullable=False, comment="Whose vector."),
    Column("content_hash", LargeBinary, nullable=False, comment="SHA-256 of the text and the state of its model."),
    Column("vector", LargeBinary, nullable=False, comment="Little-endian floats of 32 bits."),
    Column("expires_at", MOMENT, nullable=False, comment="Until when it may be given again."),
    created_at(),
    tenant_key("model_id", "content_hash"),
    belongs_to_tenant(),
    index("ix_embedding_cache_expires_at", "tenant_id", "expires_at", serves="the end of what has expired"),
    comment="Vectors that may be given again.",
)

generations = tenant_table(
    "generations",
    id_(),
    Column("user_id", Uuid, nullable=False, comment="Whose it is."),
    Column("cancelled", Boolean, nullable=False, server_default=_NO, comment="Whether it was asked to end."),
    Column("ended", Boolean, nullable=False, server_default=_NO, comment="Whether its last event is written."),
    Column("kept_until", MOMENT, nullable=False, comment="When its server counts as gone, unless it says otherwise."),
    Column("expires_at", MOMENT, nullable=False, comment="Until when it can be read."),
    created_at(),
    Column("called", Uuid, comment="What its user calls it; NULL: by its id."),
    Column("asked", LargeBinary, comment="SHA-256 of all that was asked for; NULL: nobody knows any more."),
    tenant_key(),
    belongs_to_tenant(),
    index("ix_generations_expires_at", "tenant_id", "expires_at", serves="the end of what has expired"),
    Index("uq_generations_called", "tenant_id", "user_id", text("COALESCE(called, id)"), unique=True),
    comment="Streams that can be taken up again.",
)

generation_events = tenant_table(
    "generation_events",
    Column("generation_id", Uuid, nullable=False, comment="Whose events."),
    Column("last_seq", BigInteger, nullable=False, comment="The last of them."),
    Column("first_seq", BigInteger, nullable=False, comment="The first of them."),
    Column("messages", ARRAY(LargeBinary), nullable=False, comment="The events as they are sent, one after the other."),
    created_at(),
    tenant_key("generation_id", "last_seq"),
    belongs_to_tenant(),
    part_of("generation_id", "generations"),
    comment="The events of streams that can be taken up again, in runs of those that came together.",
)
