"""The audit slice's tables."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import INET, JSONB

from server.db.base import (
    MOMENT,
    belongs_to_tenant,
    created_at,
    global_table,
    id_,
    index,
    one_of,
    tenant_key,
    tenant_table,
)

audit_logs = tenant_table(
    "audit_logs",
    id_(),
    Column("user_id", Uuid, comment="Who did it."),
    Column("actor_kind", String(20), nullable=False, comment="user, api_key or system."),
    Column("acting_for", Uuid, comment="The tenant that a platform administrator acted inside."),
    Column("action", String(255), nullable=False, comment="What was done."),
    Column("resource_type", String(255), nullable=False, comment="To what kind of thing."),
    Column("resource_id", String(100), comment="To which one."),
    Column("old_value", JSONB, comment="Its fields before."),
    Column("new_value", JSONB, comment="Its fields after."),
    Column("details", JSONB, comment="What else there is to say."),
    Column("ip_address", INET, comment="From where."),
    Column("user_agent", String(500), comment="With what."),
    Column("request_id", String(100), comment="In which request."),
    Column("session_id", String(100), comment="In which session."),
    Column("trace_id", String(100), comment="In which trace."),
    Column("status", String(20), nullable=False, server_default="success", comment="success or failure."),
    Column("error_message", Text, comment="Why it failed."),
    created_at(),
    tenant_key(),
    belongs_to_tenant(),
    one_of("actor_kind", "user", "api_key", "system"),
    one_of("status", "success", "failure"),
    index("ix_audit_logs_user_id", "tenant_id", "user_id", "id DESC", serves="its list, of one person"),
    index(
        "ix_audit_logs_resource",
        "tenant_id",
        "resource_type",
        "resource_id",
        "id DESC",
        serves="its list, of one thing",
    ),
    index("ix_audit_logs_status", "tenant_id", "status", "id DESC", serves="its list, of failures"),
    index("ix_audit_logs_action", "tenant_id", "action", "id DESC", serves="its list, of one action"),
    index("ix_audit_logs_request_id", "tenant_id", "request_id", serves="its list, of one request"),
    index("ix_audit_logs_session_id", "tenant_id", "session_id", serves="its list, of one session"),
    comment="What changed, who did it and from where. Rows are only ever added.",
    postgresql_partition_by="RANGE (id)",
)

audit_checkpoints = tenant_table(
    "audit_checkpoints",
    id_(),
    Column("from_position", Uuid, nullable=False, comment="The first entry that it seals."),
    Column("to_position", Uuid, nullable=False, comment="The last entry that it seals."),
    Column("row_count", BigInteger, nullable=False, comment="How many entries it seals."),
    Column("root_hash", LargeBinary, nullable=False, comment="SHA-256 over the hashes of its entries, in their order."),
    Column(
        "previous_hash", LargeBinary, comment="SHA-256 of what the checkpoint before states; NULL: it is the first."
    ),
    Column("signature", LargeBinary, nullable=False, comment="Ed25519, over all of the above and its tenant and id."),
    Column(
        "signing_kid",
        String(64),
        nullable=False,
        server_default="",
        comment="The signing key that it was signed with; empty: none.",
    ),
    Column(
        "removed_at",
        MOMENT,
        comment="When its entries, and all before them, were no longer to be kept; NULL: they are.",
    ),
    created_at(),
    tenant_key(),
    belongs_to_tenant(),
    CheckConstraint("row_count >= 0", name="row_count"),
    # Of two workers that seal at once the second finds the first's; and they are read in this order.
    UniqueConstraint("tenant_id", "from_position", name="uq_audit_checkpoints_from_position"),
    comment="Seals over stretches of the audit log.",
)

ddl_audit_logs = global_table(
    "ddl_audit_logs",
    id_(),
    Column("command_tag", String(100), nullable=False, comment="What kind of command it was."),
    Column("object_identity", Text, comment="What it was about."),
    Column("command", Text, comment="Its text, where it is known."),
    Column("session_user", String(100), nullable=False, comment="Who gave it."),
    Column("application_name", String(255), comment="With what."),
    created_at(),
    PrimaryKeyConstraint("id"),
    comment="Changes to the schema itself.",
)
