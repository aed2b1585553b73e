"""The tenant slice's tables."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import (
    DELETED,
    LIVE,
    MOMENT,
    USD,
    belongs_to_tenant,
    global_table,
    id_,
    index,
    one_of,
    revision,
    soft_delete,
    tenant_table,
    timestamps,
)
from server.tenant.domain import DEFAULT_RETENTION_DAYS


def _count(name: str, default: int | None, comment: str) -> Column[int]:
    server_default = None if default is None else text(str(default))
    return Column(name, Integer, nullable=default is None, server_default=server_default, comment=comment)


tenants = global_table(
    "tenants",
    id_(),
    Column("name", String(255), nullable=False, comment="Its name, for people."),
    Column("slug", String(63), nullable=False, comment="Its name in addresses and at sign-in: a DNS label."),
    Column("status", String(20), nullable=False, server_default="active", comment="active, suspended or deleted."),
    Column(
        "tier", String(20), nullable=False, server_default="free", comment="What it pays for: free, pro, enterprise."
    ),
    Column("trial_ends_at", MOMENT, comment="When its trial ends."),
    Column("subscription_ends_at", MOMENT, comment="When its subscription ends."),
    Column("contact_email", String(255), comment="Whom to write to."),
    Column("contact_phone", String(50), comment="Whom to ring."),
    Column("contact_person", String(100), comment="Whom to ask for."),
    Column("industry", String(100), comment="What it does."),
    Column("company_size", String(50), comment="How large it is."),
    Column("country", String(100), comment="Where it is."),
    _count("max_users", None, "The most users it may have; NULL: its tier's."),
    _count("max_workflows", None, "The most workflows it may have; NULL: its tier's."),
    _count("max_knowledge_bases", None, "The most knowledge bases it may have; NULL: its tier's."),
    Column("quota_override", JSONB, comment="Limits raised for a time, each with its end."),
    revision(),
    *timestamps(),
    *soft_delete(),
    Column("former_status", String(20), comment="What it was before it was deleted, and is again when restored."),
    Column(
        "purge_started_at", MOMENT, comment="Since when it is being purged, and cannot be restored; NULL: it is not."
    ),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("slug", name="uq_tenants_slug"),
    one_of("status", "active", "suspended", "deleted"),
    one_of("former_status", "active", "suspended"),
    one_of("tier", "free", "pro", "enterprise"),
    CheckConstraint("(status = 'deleted') = (deleted_at IS NOT NULL)", name="deleted"),
    CheckConstraint("purge_started_at IS NULL OR deleted_at IS NOT NULL", name="purge_started_at"),
    CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'", name="slug"),
    *(CheckConstraint(f"{name} >= 0", name=name) for name in ("max_users", "max_workflows", "max_knowledge_bases")),
    index("ix_tenants_live", "id DESC", where=LIVE, serves="the platform's list, newest first"),
    index("ix_tenants_deleted", "deleted_at", where=DELETED, serves="the purge, and the list of deleted tenants"),
    index("ix_tenants_status", "status", "id DESC", where=LIVE, serves="the platform's list, by status"),
    index("ix_tenants_created_at", "created_at DESC", where=LIVE, serves="the platform's list, by when they were made"),
    comment="The customers of the platform, and the platform itself.",
    scope="root",
    revised=(
        "name",
        "slug",
        "status",
        "tier",
        "trial_ends_at",
        "subscription_ends_at",
        "contact_email",
        "contact_phone",
        "contact_person",
        "industry",
        "company_size",
        "country",
        "max_users",
        "max_workflows",
        "max_knowledge_bases",
        "quota_override",
    ),
)

_SETTINGS = (
    Column("default_model", String(100), comment="The model of a chat that names none."),
    _count("max_tokens_per_request", 4096, "The most tokens that one call may generate."),
    Column(
        "temperature", Numeric(3, 2), nullable=False, server_default=text("0.7"), comment="Of a chat that names none."
    ),
    Column("default_embedding_model", String(100), comment="The model of an embedding that names none."),
    _count("vector_search_top_k", 10, "How many passages a search returns."),
    Column("vector_search_threshold", Numeric(3, 2), comment="The least score of a passage, 0 to 1; NULL: none."),
    _count("max_concurrent_workflows", 5, "How many workflows may run at once."),
    _count("workflow_timeout_seconds", 3600, "The longest that a workflow may run."),
    Column(
        "require_verified_email",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether users must verify their e-mail address first.",
    ),
    _count("soft_delete_retention_days", DEFAULT_RETENTION_DAYS, "How long what is deleted is kept."),
    _count("audit_retention_days", 365, "How long the audit log is kept."),
    _count("call_log_retention_days", 400, "How long the records of model calls are kept."),
    _count("execution_retention_days", 400, "How long workflow executions are kept."),
    _count("query_log_retention_days", 90, "How long the records of searches are kept."),
    Column("monthly_token_quota", BigInteger, comment="The most tokens a month; NULL: no limit."),
    Column("monthly_cost_quota_usd", USD, comment="The most USD a month; NULL: no limit."),
    _count("requests_per_minute", None, "The most calls to models a minute; NULL: no limit."),
    _count("tokens_per_minute", None, "The most tokens a minute; NULL: no limit."),
    _count("max_parallel_calls", None, "The most calls to models at once; NULL: no limit."),
    Column(
        "store_prompts",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether prompts and answers are kept.",
    ),
    _count("prompt_retention_days", 30, "How long prompts and answers are kept."),
    Column(
        "store_queries",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="Whether the records of searches keep what was asked; otherwise a keyed hash of it.",
    ),
    Column("extra_config", JSONB, comment="Whatever else the tenant keeps here."),
)

tenant_configs = tenant_table(
    "tenant_configs",
    *_SETTINGS,
    revision(),
    *timestamps(),
    PrimaryKeyConstraint("tenant_id"),
    belongs_to_tenant(),
    CheckConstraint("temperature BETWEEN 0 AND 2", name="temperature"),
    CheckConstraint("vector_search_threshold BETWEEN 0 AND 1", name="vector_search_threshold"),
    *(
        CheckConstraint(f"{column.name} >= 0", name=column.name)
        for column in _SETTINGS
        if column.name.endswith(
            ("_days", "_seconds", "_quota", "_usd", "_minute", "_request", "_k", "_workflows", "_calls")
        )
    ),
    comment="The settings of each tenant, one row a tenant.",
    revised=tuple(column.name for column in _SETTINGS),
)
