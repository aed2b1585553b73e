"""The model slice's tables: what can be called is here, and the rest of them are named here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
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
from server.model.kept_tables import call_contents, embedding_cache, generation_events, generations, response_cache
from server.model.usage_tables import (
    call_journal,
    model_call_logs,
    model_limits,
    quota_holds,
    quota_ledger,
    quota_reservations,
    usage_rollups,
)

__all__ = [
    "call_contents",
    "call_journal",
    "embedding_cache",
    "generation_events",
    "generations",
    "model_call_logs",
    "model_limits",
    "model_prices",
    "model_routes",
    "models",
    "provider_credentials",
    "quota_holds",
    "quota_ledger",
    "quota_reservations",
    "response_cache",
    "tenant_keys",
    "tenant_model_prices",
    "tenant_models",
    "usage_rollups",
]

_NO = text("false")
_ZERO = text("0")


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


def _effective_from(default: Any) -> Column[Any]:
    return Column("effective_from", MOMENT, nullable=False, server_default=default, comment="From when it is in force.")


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
    _effective_from(NOW),
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
    dated=tuple(column.name for column in _prices()),
)

tenant_model_prices = tenant_table(
    "tenant_model_prices",
    id_(),
    Column("model_id", Uuid, nullable=False, comment="Whose price it is."),
    *_prices(),
    _effective_from(text("clock_timestamp()")),
    created_at(),
    tenant_key(),
    belongs_to_tenant(),
    part_of("model_id", "tenant_models"),
    *_price_checks(),
    UniqueConstraint("tenant_id", "model_id", "effective_from", name="uq_tenant_model_prices_effective_from"),
    comment="What tenants' own models cost from a moment on.",
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
