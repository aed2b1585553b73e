"""Agents, as they are kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, Column, Double, Integer, String, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import (
    LIVE,
    belongs_to_tenant,
    id_,
    index,
    live_list,
    live_unique,
    revision,
    soft_delete,
    tenant_key,
    tenant_table,
    timestamps,
)

_SAID: tuple[Column[Any], ...] = (
    Column("agent_type", String(100), comment="What kind of agent it is, such as writer; NULL: none."),
    Column("name", String(255), nullable=False, comment="Its name."),
    Column("description", Text, comment="What it is for."),
    Column("model", String(100), comment="Its model's name or id, or a route's alias; NULL: the tenant's default."),
    Column(
        "prompt_template_id",
        Uuid,
        comment="The template that its conversations begin with, its tenant's or the platform's, if it is still there.",
    ),
    Column("prompt_label", String(50), comment="Of that template's version; NULL: the newest."),
    Column("temperature", Double, comment="0 to 2; NULL: as its prompt says, or else its tenant."),
    Column("max_tokens", Integer, comment="Of an answer; NULL: as its prompt says, or else its tenant."),
    Column(
        "knowledge_base_ids",
        ARRAY(Uuid),
        nullable=False,
        server_default=text("'{}'"),
        comment="Where it searches: its tenant's bases or the platform's, if they are still there.",
    ),
    Column(
        "tools",
        JSONB,
        nullable=False,
        server_default=text("'[]'"),
        comment="What it may have called: name, description, parameters.",
    ),
    Column("output_schema", JSONB, comment="The JSON schema of its answer; NULL: any text."),
    Column(
        "max_turns",
        Integer,
        nullable=False,
        server_default=text("8"),
        comment="How often a model is asked in a run at most.",
    ),
)

agent_configs = tenant_table(
    "agent_configs",
    id_(),
    *_SAID,
    revision(),
    *timestamps(),
    *soft_delete(),
    tenant_key(),
    belongs_to_tenant(),
    CheckConstraint("prompt_label IS NULL OR prompt_template_id IS NOT NULL", name="prompt_label"),
    CheckConstraint("temperature BETWEEN 0 AND 2", name="temperature"),
    CheckConstraint("max_tokens > 0", name="max_tokens"),
    CheckConstraint("max_turns BETWEEN 1 AND 32", name="max_turns"),
    live_unique("uq_agent_configs_name", "name"),
    *live_list("agent_configs"),
    index(
        "ix_agent_configs_agent_type",
        "tenant_id",
        "agent_type",
        "id DESC",
        where=LIVE,
        serves="its list, of one kind",
    ),
    comment="Agents by name: models with what they are told, search and may have called.",
    revised=tuple(column.name for column in _SAID),
)
