"""Agents: models with what they are told, search and may have called."""

from alembic import op

revision = "0049"
down_revision = "0048"

_UP = (
    """
    CREATE TABLE agent_configs (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        agent_type VARCHAR(100),
        name VARCHAR(255) NOT NULL,
        description TEXT,
        model VARCHAR(100),
        prompt_template_id UUID,
        prompt_label VARCHAR(50),
        temperature DOUBLE PRECISION,
        max_tokens INTEGER,
        knowledge_base_ids UUID[] DEFAULT '{}' NOT NULL,
        tools JSONB DEFAULT '[]' NOT NULL,
        output_schema JSONB,
        max_turns INTEGER DEFAULT 8 NOT NULL,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        deleted_at TIMESTAMP WITH TIME ZONE,
        deleted_by VARCHAR(100),
        CONSTRAINT pk_agent_configs PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_agent_configs_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_agent_configs_prompt_label CHECK (prompt_label IS NULL OR prompt_template_id IS NOT NULL),
        CONSTRAINT ck_agent_configs_temperature CHECK (temperature BETWEEN 0 AND 2),
        CONSTRAINT ck_agent_configs_max_tokens CHECK (max_tokens > 0),
        CONSTRAINT ck_agent_configs_max_turns CHECK (max_turns BETWEEN 1 AND 32)
    )
    """,
    "CREATE INDEX ix_agent_configs_agent_type ON agent_configs (tenant_id, agent_type, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_agent_configs_deleted ON agent_configs (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_agent_configs_live ON agent_configs (tenant_id, id DESC) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_agent_configs_name ON agent_configs (tenant_id, name) WHERE deleted_at IS NULL",
    "COMMENT ON TABLE agent_configs IS 'Agents by name: models with what they are told, search and may have called.'",
    "COMMENT ON COLUMN agent_configs.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN agent_configs.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN agent_configs.agent_type IS 'What kind of agent it is, such as writer; NULL: none.'",
    "COMMENT ON COLUMN agent_configs.name IS 'Its name.'",
    "COMMENT ON COLUMN agent_configs.description IS 'What it is for.'",
    "COMMENT ON COLUMN agent_configs.model IS 'Its model''s name or id, or a route''s alias; NULL: the tenant''s default.'",
    "COMMENT ON COLUMN agent_configs.prompt_template_id IS 'The template that its conversations begin with, its tenant''s or the platform''s, if it is still there.'",
    "COMMENT ON COLUMN agent_configs.prompt_label IS 'Of that template''s version; NULL: the newest.'",
    "COMMENT ON COLUMN agent_configs.temperature IS '0 to 2; NULL: as its prompt says, or else its tenant.'",
    "COMMENT ON COLUMN agent_configs.max_tokens IS 'Of an answer; NULL: as its prompt says, or else its tenant.'",
    "COMMENT ON COLUMN agent_configs.knowledge_base_ids IS 'Where it searches: its tenant''s bases or the platform''s, if they are still there.'",
    "COMMENT ON COLUMN agent_configs.tools IS 'What it may have called: name, description, parameters.'",
    "COMMENT ON COLUMN agent_configs.output_schema IS 'The JSON schema of its answer; NULL: any text.'",
    "COMMENT ON COLUMN agent_configs.max_turns IS 'How often a model is asked in a run at most.'",
    "COMMENT ON COLUMN agent_configs.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN agent_configs.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN agent_configs.updated_at IS 'When it last changed; a trigger''s.'",
    "COMMENT ON COLUMN agent_configs.deleted_at IS 'When it was deleted; NULL: it is live.'",
    "COMMENT ON COLUMN agent_configs.deleted_by IS 'Who deleted it.'",
    "ALTER TABLE agent_configs ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON agent_configs USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON agent_configs FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON agent_configs FOR EACH ROW WHEN (OLD.agent_type IS DISTINCT FROM NEW.agent_type OR OLD.name IS DISTINCT FROM NEW.name OR OLD.description IS DISTINCT FROM NEW.description OR OLD.model IS DISTINCT FROM NEW.model OR OLD.prompt_template_id IS DISTINCT FROM NEW.prompt_template_id OR OLD.prompt_label IS DISTINCT FROM NEW.prompt_label OR OLD.temperature IS DISTINCT FROM NEW.temperature OR OLD.max_tokens IS DISTINCT FROM NEW.max_tokens OR OLD.knowledge_base_ids IS DISTINCT FROM NEW.knowledge_base_ids OR OLD.tools IS DISTINCT FROM NEW.tools OR OLD.output_schema IS DISTINCT FROM NEW.output_schema OR OLD.max_turns IS DISTINCT FROM NEW.max_turns) EXECUTE FUNCTION atrium_revise()",
    "CREATE VIEW active_agent_configs WITH (security_invoker = true) AS SELECT * FROM agent_configs WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_agent_configs IS 'The live rows of agent_configs.'",
    "GRANT SELECT ON active_agent_configs TO atrium_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON agent_configs TO atrium_app",
)
_DOWN = (
    "DROP VIEW active_agent_configs",
    "DROP TABLE agent_configs",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
