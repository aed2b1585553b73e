"""The workflow slice's tables: what is executed. What comes of it is in `execution_tables`, and agents
are in `agent_tables`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
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
from server.workflow.agent_tables import agent_configs
from server.workflow.execution_tables import execution_events, workflow_executions, workflow_tasks

__all__ = [
    "agent_configs",
    "execution_events",
    "workflow_executions",
    "workflow_tasks",
    "workflow_versions",
    "workflows",
]

_COUNTS = ("execution_count", "success_count", "failure_count")


def _unique_name(name: str, *columns: str, where: str) -> Index:
    """What is unique among the live workflows that are shared, or among those of one owner."""
    return Index(name, "tenant_id", *columns, unique=True, postgresql_where=text(f"{LIVE} AND {where}"))


def _count(name: str, comment: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"), comment=comment)


workflows = tenant_table(
    "workflows",
    id_(),
    Column("owner_user_id", Uuid, comment="Whose it is; NULL: nobody's in the tenant."),
    Column("name", String(255), nullable=False, comment="Its name."),
    Column("description", Text, comment="What it is for."),
    Column("definition", JSONB, nullable=False, comment="Its steps, as in its newest version."),
    Column("version", String(50), nullable=False, comment="Its newest version's name, such as v1.0."),
    Column(
        "visibility",
        String(20),
        nullable=False,
        server_default="personal",
        comment="Who sees it: personal (its owner), tenant, or public (every tenant; the platform's alone).",
    ),
    _count("execution_count", "How many executions were started."),
    _count("success_count", "How many of them completed."),
    _count("failure_count", "How many of them failed."),
    revision(),
    *timestamps(),
    *soft_delete(),
    tenant_key(),
    belongs_to_tenant(),
    ForeignKeyConstraint(["tenant_id", "owner_user_id"], ["users.tenant_id", "users.id"]),
    one_of("visibility", "personal", "tenant", "public"),
    CheckConstraint("visibility <> 'personal' OR owner_user_id IS NOT NULL", name="owner"),
    CheckConstraint(f"visibility <> 'public' OR tenant_id = '{PLATFORM_TENANT_ID}'", name="public"),
    *(CheckConstraint(f"{name} >= 0", name=name) for name in _COUNTS),
    _unique_name("uq_workflows_name", "name", where="visibility <> 'personal'"),
    _unique_name("uq_workflows_own_name", "owner_user_id", "name", where="visibility = 'personal'"),
    *live_list("workflows"),
    index("ix_workflows_owner_user_id", "tenant_id", "owner_user_id", serves="its list, of one owner"),
    index(
        "ix_workflows_visibility",
        "tenant_id",
        "visibility",
        "id DESC",
        where=LIVE,
        serves="its list, of one visibility, such as the library of public ones",
    ),
    comment="Workflows by name: what executions are made of.",
    revised=("name", "description", "visibility", "definition", "version"),
    counted=_COUNTS,
)

workflow_versions = tenant_table(
    "workflow_versions",
    id_(),
    Column("workflow_id", Uuid, nullable=False, comment="Whose version it is."),
    Column("version", String(50), nullable=False, comment="Its name, such as v1.0."),
    Column("definition", JSONB, nullable=False, comment="Its steps."),
    Column("changelog", Text, comment="What changed, and why."),
    Column("created_by", Uuid, comment="Who made it; NULL: nobody in the tenant."),
    created_at(),
    tenant_key(),
    belongs_to_tenant(),
    part_of("workflow_id", "workflows"),
    UniqueConstraint("tenant_id", "workflow_id", "version", name="uq_workflow_versions_version"),
    index("ix_workflow_versions_list", "tenant_id", "workflow_id", "id DESC", serves="its list, newest first"),
    comment="The states of workflows' definitions, which never change.",
)
