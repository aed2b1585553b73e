"""The prompt slice's tables."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import (
    LIVE,
    belongs_to_tenant,
    created_at,
    id_,
    index,
    live_list,
    one_of,
    part_of,
    revision,
    soft_delete,
    tenant_key,
    tenant_table,
    timestamps,
)
from server.kernel.ids import PLATFORM_TENANT_ID


def _unique_name(name: str, *columns: str, where: str) -> Index:
    """What is unique among the live templates that are shared, or among those of one owner."""
    return Index(name, "tenant_id", *columns, unique=True, postgresql_where=text(f"{LIVE} AND {where}"))


_SAID = ("name", "description", "category", "visibility")

prompt_templates = tenant_table(
    "prompt_templates",
    id_(),
    Column("owner_user_id", Uuid, comment="Whose it is; NULL: nobody's in the tenant."),
    Column("name", String(255), nullable=False, comment="Its name, by which others include it."),
    Column("description", Text, comment="What it is for."),
    Column("category", String(100), comment="What it is filed under."),
    Column(
        "visibility",
        String(20),
        nullable=False,
        server_default="personal",
        comment="Who sees it: personal (its owner), tenant, or public (every tenant; the platform's alone).",
    ),
    Column("current_version_id", Uuid, comment="Its newest version; NULL: it has none yet."),
    Column("usage_count", BigInteger, nullable=False, server_default=text("0"), comment="How often it was rendered."),
    revision(),
    *timestamps(),
    *soft_delete(),
    tenant_key(),
    belongs_to_tenant(),
    ForeignKeyConstraint(["tenant_id", "owner_user_id"], ["users.tenant_id", "users.id"]),
    one_of("visibility", "personal", "tenant", "public"),
    CheckConstraint("visibility <> 'personal' OR owner_user_id IS NOT NULL", name="owner"),
    CheckConstraint(f"visibility <> 'public' OR tenant_id = '{PLATFORM_TENANT_ID}'", name="public"),
    CheckConstraint("usage_count >= 0", name="usage_count"),
    _unique_name("uq_prompt_templates_name", "name", where="visibility <> 'personal'"),
    _unique_name("uq_prompt_templates_own_name", "owner_user_id", "name", where="visibility = 'personal'"),
    *live_list("prompt_templates"),
    index("ix_prompt_templates_owner_user_id", "tenant_id", "owner_user_id", serves="its list, of one owner"),
    *(
        index(f"ix_prompt_templates_{name}", "tenant_id", name, "id DESC", where=LIVE, serves=serves)
        for name, serves in (
            ("visibility", "its list, of one visibility, such as the library of public ones"),
            ("category", "its list, of one category"),
        )
    ),
    comment="Prompts by name: what versions and labels belong to.",
    revised=_SAID,
    counted=("usage_count",),
)

prompt_template_versions = tenant_table(
    "prompt_template_versions",
    id_(),
    Column("template_id", Uuid, nullable=False, comment="Whose version it is."),
    Column("version", String(50), nullable=False, comment="Its name, such as v1.0."),
    Column("kind", String(20), nullable=False, server_default="text", comment="text or chat."),
    Column("content", JSONB, nullable=False, comment="The text, or the turns of a chat, each with role and content."),
    Column("variables", JSONB, comment="What it is rendered with: name, type, required, default, description of each."),
    Column("model_config", JSONB, comment="How a model is called with it, where the call leaves that open."),
    Column("changelog", Text, comment="What changed, and why."),
    Column("content_hash", String(64), nullable=False, comment="SHA-256 of content, variables and settings."),
    Column("created_by", Uuid, comment="Who made it; NULL: nobody in the tenant."),
    created_at(),
    Column("includes", ARRAY(Text), comment="Names or ids of the templates that it includes itself; NULL: none."),
    tenant_key(),
    belongs_to_tenant(),
    part_of("template_id", "prompt_templates"),
    UniqueConstraint("tenant_id", "template_id", "version", name="uq_prompt_template_versions_version"),
    one_of("kind", "text", "chat"),
    index("ix_prompt_template_versions_list", "tenant_id", "template_id", "id DESC", serves="its list, newest first"),
    index(
        "ix_prompt_template_versions_includes",
        "tenant_id",
        "template_id",
        where="includes IS NOT NULL",
        serves="what includes a template that changed",
    ),
    comment="The states of prompts' texts, which never change.",
)

prompt_labels = tenant_table(
    "prompt_labels",
    Column("template_id", Uuid, nullable=False, comment="Whose label it is."),
    Column("label", String(50), nullable=False, comment="The label, such as production."),
    Column("version_id", Uuid, nullable=False, comment="A version behind it."),
    Column(
        "weight",
        Integer,
        nullable=False,
        server_default=text("100"),
        comment="Its share beside others behind the label.",
    ),
    Column(
        "protected",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether moving it takes a permission of its own; the same in all rows of a label.",
    ),
    Column("moved_by", Uuid, comment="Who put it there; NULL: nobody in the tenant."),
    *timestamps(),
    tenant_key("template_id", "label", "version_id"),
    belongs_to_tenant(),
    part_of("template_id", "prompt_templates"),
    part_of("version_id", "prompt_template_versions"),
    CheckConstraint("weight > 0", name="weight"),
    index("ix_prompt_labels_version_id", "tenant_id", "version_id", serves="the end of a version"),
    comment="Which version is to be used: a row for each that a label is split between.",
    # It is moved by rows that are new: one whose mover is forgotten was last moved when it was.
    counted=("moved_by",),
)
