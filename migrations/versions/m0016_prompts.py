"""Prompts: templates, their versions and labels, and how long calls with them took."""

from alembic import op

revision = "0016"
down_revision = "0015"

_UP = (
    "INSERT INTO permissions (resource, action, description) VALUES ('prompt_labels', 'manage', 'Move protected labels of prompts') ON CONFLICT DO NOTHING",
    "INSERT INTO role_permissions (tenant_id, role_id, permission_id) SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p WHERE r.is_system AND r.code IN ('super_admin', 'admin') AND (p.resource, p.action) = ('prompt_labels', 'manage') ON CONFLICT DO NOTHING",
    "INSERT INTO permissions (resource, action, description) VALUES ('public_templates', 'manage', 'Make prompt templates public to every tenant') ON CONFLICT DO NOTHING",
    "INSERT INTO role_permissions (tenant_id, role_id, permission_id) SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p WHERE r.is_system AND r.code IN ('super_admin', 'admin') AND (p.resource, p.action) = ('public_templates', 'manage') ON CONFLICT DO NOTHING",
    "INSERT INTO permissions (resource, action, description) VALUES ('templates', 'read', 'See and render prompt templates') ON CONFLICT DO NOTHING",
    "INSERT INTO role_permissions (tenant_id, role_id, permission_id) SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p WHERE r.is_system AND r.code IN ('super_admin', 'admin', 'editor', 'viewer') AND (p.resource, p.action) = ('templates', 'read') ON CONFLICT DO NOTHING",
    "ALTER TABLE usage_rollups ADD COLUMN latency_ms BIGINT DEFAULT 0 NOT NULL",
    "ALTER TABLE usage_rollups ADD CONSTRAINT ck_usage_rollups_latency_ms CHECK (latency_ms >= 0)",
    "COMMENT ON COLUMN usage_rollups.latency_ms IS 'How long all of them took.'",
    """
    CREATE TABLE prompt_templates (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        owner_user_id UUID,
        name VARCHAR(255) NOT NULL,
        description TEXT,
        category VARCHAR(100),
        visibility VARCHAR(20) DEFAULT 'personal' NOT NULL,
        current_version_id UUID,
        usage_count BIGINT DEFAULT 0 NOT NULL,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        deleted_at TIMESTAMP WITH TIME ZONE,
        deleted_by VARCHAR(100),
        CONSTRAINT pk_prompt_templates PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_prompt_templates_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_prompt_templates_tenant_id_owner_user_id FOREIGN KEY(tenant_id, owner_user_id) REFERENCES users (tenant_id, id),
        CONSTRAINT ck_prompt_templates_visibility CHECK (visibility IN ('personal', 'tenant', 'public')),
        CONSTRAINT ck_prompt_templates_owner CHECK (visibility <> 'personal' OR owner_user_id IS NOT NULL),
        CONSTRAINT ck_prompt_templates_usage_count CHECK (usage_count >= 0)
    )
    """,
    "CREATE INDEX ix_prompt_templates_category ON prompt_templates (tenant_id, category, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_prompt_templates_deleted ON prompt_templates (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_prompt_templates_live ON prompt_templates (tenant_id, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_prompt_templates_owner_user_id ON prompt_templates (tenant_id, owner_user_id)",
    "CREATE INDEX ix_prompt_templates_visibility ON prompt_templates (tenant_id, visibility, id DESC) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_prompt_templates_name ON prompt_templates (tenant_id, name) WHERE deleted_at IS NULL AND visibility <> 'personal'",
    "CREATE UNIQUE INDEX uq_prompt_templates_own_name ON prompt_templates (tenant_id, owner_user_id, name) WHERE deleted_at IS NULL AND visibility = 'personal'",
    "COMMENT ON TABLE prompt_templates IS 'Prompts by name: what versions and labels belong to.'",
    "COMMENT ON COLUMN prompt_templates.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN prompt_templates.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN prompt_templates.owner_user_id IS 'Whose it is; NULL: nobody''s in the tenant.'",
    "COMMENT ON COLUMN prompt_templates.name IS 'Its name, by which others include it.'",
    "COMMENT ON COLUMN prompt_templates.description IS 'What it is for.'",
    "COMMENT ON COLUMN prompt_templates.category IS 'What it is filed under.'",
    "COMMENT ON COLUMN prompt_templates.visibility IS 'Who sees it: personal (its owner), tenant, or public (every tenant).'",
    "COMMENT ON COLUMN prompt_templates.current_version_id IS 'Its newest version; NULL: it has none yet.'",
    "COMMENT ON COLUMN prompt_templates.usage_count IS 'How often it was rendered.'",
    "COMMENT ON COLUMN prompt_templates.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN prompt_templates.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN prompt_templates.updated_at IS 'When it last changed; a trigger''s.'",
    "COMMENT ON COLUMN prompt_templates.deleted_at IS 'When it was deleted; NULL: it is live.'",
    "COMMENT ON COLUMN prompt_templates.deleted_by IS 'Who deleted it.'",
    "ALTER TABLE prompt_templates ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON prompt_templates USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON prompt_templates FOR EACH ROW WHEN (OLD.usage_count = NEW.usage_count) EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON prompt_templates FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name OR OLD.description IS DISTINCT FROM NEW.description OR OLD.category IS DISTINCT FROM NEW.category OR OLD.visibility IS DISTINCT FROM NEW.visibility) EXECUTE FUNCTION atrium_revise()",
    "CREATE VIEW active_prompt_templates WITH (security_invoker = true) AS SELECT * FROM prompt_templates WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_prompt_templates IS 'The live rows of prompt_templates.'",
    "GRANT SELECT ON active_prompt_templates TO atrium_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON prompt_templates TO atrium_app",
    """
    CREATE TABLE prompt_template_versions (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        template_id UUID NOT NULL,
        version VARCHAR(50) NOT NULL,
        kind VARCHAR(20) DEFAULT 'text' NOT NULL,
        content JSONB NOT NULL,
        variables JSONB,
        model_config JSONB,
        changelog TEXT,
        content_hash VARCHAR(64) NOT NULL,
        created_by UUID,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_prompt_template_versions PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_prompt_template_versions_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_prompt_template_versions_tenant_id_template_id FOREIGN KEY(tenant_id, template_id) REFERENCES prompt_templates (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT uq_prompt_template_versions_version UNIQUE (tenant_id, template_id, version),
        CONSTRAINT ck_prompt_template_versions_kind CHECK (kind IN ('text', 'chat'))
    )
    """,
    "CREATE INDEX ix_prompt_template_versions_list ON prompt_template_versions (tenant_id, template_id, id DESC)",
    "COMMENT ON TABLE prompt_template_versions IS 'The states of prompts'' texts, which never change.'",
    "COMMENT ON COLUMN prompt_template_versions.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN prompt_template_versions.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN prompt_template_versions.template_id IS 'Whose version it is.'",
    "COMMENT ON COLUMN prompt_template_versions.version IS 'Its name, such as v1.0.'",
    "COMMENT ON COLUMN prompt_template_versions.kind IS 'text or chat.'",
    "COMMENT ON COLUMN prompt_template_versions.content IS 'The text, or the turns of a chat, each with role and content.'",
    "COMMENT ON COLUMN prompt_template_versions.variables IS 'What it is rendered with: name, type, required, default, description of each.'",
    "COMMENT ON COLUMN prompt_template_versions.model_config IS 'How a model is called with it, where the call leaves that open.'",
    "COMMENT ON COLUMN prompt_template_versions.changelog IS 'What changed, and why.'",
    "COMMENT ON COLUMN prompt_template_versions.content_hash IS 'SHA-256 of content, variables and settings.'",
    "COMMENT ON COLUMN prompt_template_versions.created_by IS 'Who made it; NULL: nobody in the tenant.'",
    "COMMENT ON COLUMN prompt_template_versions.created_at IS 'When it was made.'",
    "ALTER TABLE prompt_template_versions ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON prompt_template_versions USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON prompt_template_versions TO atrium_app",
    """
    CREATE TABLE prompt_labels (
        tenant_id UUID NOT NULL,
        template_id UUID NOT NULL,
        label VARCHAR(50) NOT NULL,
        version_id UUID NOT NULL,
        weight INTEGER DEFAULT 100 NOT NULL,
        protected BOOLEAN DEFAULT false NOT NULL,
        moved_by UUID,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_prompt_labels PRIMARY KEY (tenant_id, template_id, label, version_id),
        CONSTRAINT fk_prompt_labels_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_prompt_labels_tenant_id_template_id FOREIGN KEY(tenant_id, template_id) REFERENCES prompt_templates (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT fk_prompt_labels_tenant_id_version_id FOREIGN KEY(tenant_id, version_id) REFERENCES prompt_template_versions (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT ck_prompt_labels_weight CHECK (weight > 0)
    )
    """,
    "CREATE INDEX ix_prompt_labels_version_id ON prompt_labels (tenant_id, version_id)",
    "COMMENT ON TABLE prompt_labels IS 'Which version is to be used: a row for each that a label is split between.'",
    "COMMENT ON COLUMN prompt_labels.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN prompt_labels.template_id IS 'Whose label it is.'",
    "COMMENT ON COLUMN prompt_labels.label IS 'The label, such as production.'",
    "COMMENT ON COLUMN prompt_labels.version_id IS 'A version behind it.'",
    "COMMENT ON COLUMN prompt_labels.weight IS 'Its share beside others behind the label.'",
    "COMMENT ON COLUMN prompt_labels.protected IS 'Whether moving it takes a permission of its own; the same in all rows of a label.'",
    "COMMENT ON COLUMN prompt_labels.moved_by IS 'Who put it there; NULL: nobody in the tenant.'",
    "COMMENT ON COLUMN prompt_labels.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN prompt_labels.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE prompt_labels ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON prompt_labels USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON prompt_labels FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON prompt_labels TO atrium_app",
    """
    CREATE FUNCTION atrium_list_public_templates(before uuid, wanted text, most integer)
    RETURNS SETOF public.prompt_templates
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        SELECT found.* FROM public.tenants t CROSS JOIN LATERAL (
            SELECT p.* FROM public.prompt_templates p
            WHERE p.tenant_id = t.id AND p.visibility = 'public' AND p.deleted_at IS NULL AND p.id < before
              AND (wanted IS NULL OR p.category = wanted)
            ORDER BY p.id DESC LIMIT most
        ) found
        WHERE t.status = 'active'
        ORDER BY found.id DESC LIMIT most
    $$
    """,
    "COMMENT ON FUNCTION atrium_list_public_templates(uuid, text, integer) IS 'The public templates of active tenants, newest first.'",
    "REVOKE ALL ON FUNCTION atrium_list_public_templates(uuid, text, integer) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION atrium_list_public_templates(uuid, text, integer) TO atrium_app",
)
_DOWN = (
    "DROP FUNCTION atrium_list_public_templates(uuid, text, integer)",
    "DROP VIEW active_prompt_templates",
    "DROP TABLE prompt_labels",
    "DROP TABLE prompt_template_versions",
    "DROP TABLE prompt_templates",
    "ALTER TABLE usage_rollups DROP COLUMN latency_ms",
    "DELETE FROM permissions WHERE (resource, action) IN (('prompt_labels', 'manage'), ('public_templates', 'manage'), ('templates', 'read'))",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
