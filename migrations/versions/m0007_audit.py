"""The audit log, its seals, and the log of changes to the schema."""

from alembic import op

revision = "0007"
down_revision = "0006"

_STATEMENTS = (
    """
    CREATE TABLE audit_logs (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        user_id UUID,
        actor_kind VARCHAR(20) NOT NULL,
        acting_for UUID,
        action VARCHAR(255) NOT NULL,
        resource_type VARCHAR(255) NOT NULL,
        resource_id VARCHAR(100),
        old_value JSONB,
        new_value JSONB,
        details JSONB,
        ip_address INET,
        user_agent VARCHAR(500),
        request_id VARCHAR(100),
        session_id VARCHAR(100),
        trace_id VARCHAR(100),
        status VARCHAR(20) DEFAULT 'success' NOT NULL,
        error_message TEXT,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_audit_logs PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_audit_logs_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_audit_logs_actor_kind CHECK (actor_kind IN ('user', 'api_key', 'system')),
        CONSTRAINT ck_audit_logs_status CHECK (status IN ('success', 'failure'))
    )
     PARTITION BY RANGE (id)
    """,
    "CREATE INDEX ix_audit_logs_action ON audit_logs (tenant_id, action, id DESC)",
    "CREATE INDEX ix_audit_logs_request_id ON audit_logs (tenant_id, request_id)",
    "CREATE INDEX ix_audit_logs_resource ON audit_logs (tenant_id, resource_type, resource_id, id DESC)",
    "CREATE INDEX ix_audit_logs_session_id ON audit_logs (tenant_id, session_id)",
    "CREATE INDEX ix_audit_logs_status ON audit_logs (tenant_id, status, id DESC)",
    "CREATE INDEX ix_audit_logs_user_id ON audit_logs (tenant_id, user_id, id DESC)",
    "COMMENT ON TABLE audit_logs IS 'What changed, who did it and from where. Rows are only ever added.'",
    "COMMENT ON COLUMN audit_logs.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN audit_logs.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN audit_logs.user_id IS 'Who did it.'",
    "COMMENT ON COLUMN audit_logs.actor_kind IS 'user, api_key or system.'",
    "COMMENT ON COLUMN audit_logs.acting_for IS 'The tenant that a platform administrator acted inside.'",
    "COMMENT ON COLUMN audit_logs.action IS 'What was done.'",
    "COMMENT ON COLUMN audit_logs.resource_type IS 'To what kind of thing.'",
    "COMMENT ON COLUMN audit_logs.resource_id IS 'To which one.'",
    "COMMENT ON COLUMN audit_logs.old_value IS 'Its fields before.'",
    "COMMENT ON COLUMN audit_logs.new_value IS 'Its fields after.'",
    "COMMENT ON COLUMN audit_logs.details IS 'What else there is to say.'",
    "COMMENT ON COLUMN audit_logs.ip_address IS 'From where.'",
    "COMMENT ON COLUMN audit_logs.user_agent IS 'With what.'",
    "COMMENT ON COLUMN audit_logs.request_id IS 'In which request.'",
    "COMMENT ON COLUMN audit_logs.session_id IS 'In which session.'",
    "COMMENT ON COLUMN audit_logs.trace_id IS 'In which trace.'",
    "COMMENT ON COLUMN audit_logs.status IS 'success or failure.'",
    "COMMENT ON COLUMN audit_logs.error_message IS 'Why it failed.'",
    "COMMENT ON COLUMN audit_logs.created_at IS 'When it was made.'",
    "ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON audit_logs USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT ON audit_logs TO atrium_app",
    """
    CREATE TABLE audit_checkpoints (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        from_position UUID NOT NULL,
        to_position UUID NOT NULL,
        row_count BIGINT NOT NULL,
        root_hash BYTEA NOT NULL,
        previous_hash BYTEA,
        signature BYTEA NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_audit_checkpoints PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_audit_checkpoints_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_audit_checkpoints_row_count CHECK (row_count >= 0)
    )
    """,
    "COMMENT ON TABLE audit_checkpoints IS 'Seals over stretches of the audit log.'",
    "COMMENT ON COLUMN audit_checkpoints.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN audit_checkpoints.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN audit_checkpoints.from_position IS 'The first entry that it seals.'",
    "COMMENT ON COLUMN audit_checkpoints.to_position IS 'The last entry that it seals.'",
    "COMMENT ON COLUMN audit_checkpoints.row_count IS 'How many entries it seals.'",
    "COMMENT ON COLUMN audit_checkpoints.root_hash IS 'The root over their hashes.'",
    "COMMENT ON COLUMN audit_checkpoints.previous_hash IS 'The root of the checkpoint before; NULL: it is the first.'",
    "COMMENT ON COLUMN audit_checkpoints.signature IS 'Over all of the above.'",
    "COMMENT ON COLUMN audit_checkpoints.created_at IS 'When it was made.'",
    "ALTER TABLE audit_checkpoints ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON audit_checkpoints USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT ON audit_checkpoints TO atrium_app",
    """
    CREATE TABLE ddl_audit_logs (
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        command_tag VARCHAR(100) NOT NULL,
        object_identity TEXT,
        command TEXT,
        "session_user" VARCHAR(100) NOT NULL,
        application_name VARCHAR(255),
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_ddl_audit_logs PRIMARY KEY (id)
    )
    """,
    "COMMENT ON TABLE ddl_audit_logs IS 'Changes to the schema itself.'",
    "COMMENT ON COLUMN ddl_audit_logs.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN ddl_audit_logs.command_tag IS 'What kind of command it was.'",
    "COMMENT ON COLUMN ddl_audit_logs.object_identity IS 'What it was about.'",
    "COMMENT ON COLUMN ddl_audit_logs.command IS 'Its text, where it is known.'",
    "COMMENT ON COLUMN ddl_audit_logs.\"session_user\" IS 'Who gave it.'",
    "COMMENT ON COLUMN ddl_audit_logs.application_name IS 'With what.'",
    "COMMENT ON COLUMN ddl_audit_logs.created_at IS 'When it was made.'",
    "GRANT SELECT ON ddl_audit_logs TO atrium_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("ddl_audit_logs", "audit_checkpoints", "audit_logs"):
        op.execute(f"DROP TABLE {table}")
