"""Tenants and their settings, and the few questions that are asked past their row security."""

from alembic import op

revision = "0002"
down_revision = "0001"

_STATEMENTS = (
    """
    CREATE TABLE tenants (
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        name VARCHAR(255) NOT NULL,
        slug VARCHAR(63) NOT NULL,
        status VARCHAR(20) DEFAULT 'active' NOT NULL,
        tier VARCHAR(20) DEFAULT 'free' NOT NULL,
        trial_ends_at TIMESTAMP WITH TIME ZONE,
        subscription_ends_at TIMESTAMP WITH TIME ZONE,
        contact_email VARCHAR(255),
        contact_phone VARCHAR(50),
        contact_person VARCHAR(100),
        industry VARCHAR(100),
        company_size VARCHAR(50),
        country VARCHAR(100),
        max_users INTEGER,
        max_workflows INTEGER,
        max_knowledge_bases INTEGER,
        quota_override JSONB,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        deleted_at TIMESTAMP WITH TIME ZONE,
        deleted_by VARCHAR(100),
        CONSTRAINT pk_tenants PRIMARY KEY (id),
        CONSTRAINT uq_tenants_slug UNIQUE (slug),
        CONSTRAINT ck_tenants_status CHECK (status IN ('active', 'suspended', 'deleted')),
        CONSTRAINT ck_tenants_tier CHECK (tier IN ('free', 'pro', 'enterprise')),
        CONSTRAINT ck_tenants_deleted CHECK ((status = 'deleted') = (deleted_at IS NOT NULL)),
        CONSTRAINT ck_tenants_slug CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
        CONSTRAINT ck_tenants_max_users CHECK (max_users >= 0),
        CONSTRAINT ck_tenants_max_workflows CHECK (max_workflows >= 0),
        CONSTRAINT ck_tenants_max_knowledge_bases CHECK (max_knowledge_bases >= 0)
    )
    """,
    "CREATE INDEX ix_tenants_created_at ON tenants (created_at DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_tenants_deleted ON tenants (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_tenants_live ON tenants (id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_tenants_status ON tenants (status, id DESC) WHERE deleted_at IS NULL",
    "COMMENT ON TABLE tenants IS 'The customers of the platform, and the platform itself.'",
    "COMMENT ON COLUMN tenants.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN tenants.name IS 'Its name, for people.'",
    "COMMENT ON COLUMN tenants.slug IS 'Its name in addresses and at sign-in: a DNS label.'",
    "COMMENT ON COLUMN tenants.status IS 'active, suspended or deleted.'",
    "COMMENT ON COLUMN tenants.tier IS 'What it pays for: free, pro, enterprise.'",
    "COMMENT ON COLUMN tenants.trial_ends_at IS 'When its trial ends.'",
    "COMMENT ON COLUMN tenants.subscription_ends_at IS 'When its subscription ends.'",
    "COMMENT ON COLUMN tenants.contact_email IS 'Whom to write to.'",
    "COMMENT ON COLUMN tenants.contact_phone IS 'Whom to ring.'",
    "COMMENT ON COLUMN tenants.contact_person IS 'Whom to ask for.'",
    "COMMENT ON COLUMN tenants.industry IS 'What it does.'",
    "COMMENT ON COLUMN tenants.company_size IS 'How large it is.'",
    "COMMENT ON COLUMN tenants.country IS 'Where it is.'",
    "COMMENT ON COLUMN tenants.max_users IS 'The most users it may have; NULL: its tier''s.'",
    "COMMENT ON COLUMN tenants.max_workflows IS 'The most workflows it may have; NULL: its tier''s.'",
    "COMMENT ON COLUMN tenants.max_knowledge_bases IS 'The most knowledge bases it may have; NULL: its tier''s.'",
    "COMMENT ON COLUMN tenants.quota_override IS 'Limits raised for a time, each with its end.'",
    "COMMENT ON COLUMN tenants.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN tenants.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN tenants.updated_at IS 'When it last changed; a trigger''s.'",
    "COMMENT ON COLUMN tenants.deleted_at IS 'When it was deleted; NULL: it is live.'",
    "COMMENT ON COLUMN tenants.deleted_by IS 'Who deleted it.'",
    "ALTER TABLE tenants ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON tenants USING (id = nullif(current_setting('app.tenant_id', true),"
    " '')::uuid) WITH CHECK (id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON tenants FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON tenants FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name"
    " OR OLD.slug IS DISTINCT FROM NEW.slug OR OLD.status IS DISTINCT FROM NEW.status OR OLD.tier IS "
    "DISTINCT FROM NEW.tier OR OLD.trial_ends_at IS DISTINCT FROM NEW.trial_ends_at OR "
    "OLD.subscription_ends_at IS DISTINCT FROM NEW.subscription_ends_at OR OLD.contact_email IS DISTINCT "
    "FROM NEW.contact_email OR OLD.contact_phone IS DISTINCT FROM NEW.contact_phone OR OLD.contact_person"
    " IS DISTINCT FROM NEW.contact_person OR OLD.industry IS DISTINCT FROM NEW.industry OR "
    "OLD.company_size IS DISTINCT FROM NEW.company_size OR OLD.country IS DISTINCT FROM NEW.country OR "
    "OLD.max_users IS DISTINCT FROM NEW.max_users OR OLD.max_workflows IS DISTINCT FROM NEW.max_workflows"
    " OR OLD.max_knowledge_bases IS DISTINCT FROM NEW.max_knowledge_bases OR OLD.quota_override IS "
    "DISTINCT FROM NEW.quota_override) EXECUTE FUNCTION atrium_revise()",
    "CREATE VIEW active_tenants WITH (security_invoker = true) AS SELECT * FROM tenants WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_tenants IS 'The live rows of tenants.'",
    "GRANT SELECT ON active_tenants TO atrium_app",
    "GRANT SELECT, INSERT, UPDATE ON tenants TO atrium_app",
    """
    CREATE TABLE tenant_configs (
        tenant_id UUID NOT NULL,
        default_model VARCHAR(100),
        max_tokens_per_request INTEGER DEFAULT 4096 NOT NULL,
        temperature NUMERIC(3, 2) DEFAULT 0.7 NOT NULL,
        default_embedding_model VARCHAR(100),
        vector_search_top_k INTEGER DEFAULT 10 NOT NULL,
        vector_search_threshold NUMERIC(3, 2),
        max_concurrent_workflows INTEGER DEFAULT 5 NOT NULL,
        workflow_timeout_seconds INTEGER DEFAULT 3600 NOT NULL,
        require_verified_email BOOLEAN DEFAULT false NOT NULL,
        soft_delete_retention_days INTEGER DEFAULT 30 NOT NULL,
        audit_retention_days INTEGER DEFAULT 365 NOT NULL,
        call_log_retention_days INTEGER DEFAULT 400 NOT NULL,
        execution_retention_days INTEGER DEFAULT 400 NOT NULL,
        query_log_retention_days INTEGER DEFAULT 90 NOT NULL,
        monthly_token_quota BIGINT,
        monthly_cost_quota_usd NUMERIC(18, 9),
        requests_per_minute INTEGER,
        tokens_per_minute INTEGER,
        store_prompts BOOLEAN DEFAULT false NOT NULL,
        extra_config JSONB,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_tenant_configs PRIMARY KEY (tenant_id),
        CONSTRAINT fk_tenant_configs_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_tenant_configs_temperature CHECK (temperature BETWEEN 0 AND 2),
        CONSTRAINT ck_tenant_configs_vector_search_threshold CHECK (vector_search_threshold BETWEEN 0 AND 1),
        CONSTRAINT ck_tenant_configs_max_tokens_per_request CHECK (max_tokens_per_request >= 0),
        CONSTRAINT ck_tenant_configs_vector_search_top_k CHECK (vector_search_top_k >= 0),
        CONSTRAINT ck_tenant_configs_max_concurrent_workflows CHECK (max_concurrent_workflows >= 0),
        CONSTRAINT ck_tenant_configs_workflow_timeout_seconds CHECK (workflow_timeout_seconds >= 0),
        CONSTRAINT ck_tenant_configs_soft_delete_retention_days CHECK (soft_delete_retention_days >= 0),
        CONSTRAINT ck_tenant_configs_audit_retention_days CHECK (audit_retention_days >= 0),
        CONSTRAINT ck_tenant_configs_call_log_retention_days CHECK (call_log_retention_days >= 0),
        CONSTRAINT ck_tenant_configs_execution_retention_days CHECK (execution_retention_days >= 0),
        CONSTRAINT ck_tenant_configs_query_log_retention_days CHECK (query_log_retention_days >= 0),
        CONSTRAINT ck_tenant_configs_monthly_token_quota CHECK (monthly_token_quota >= 0),
        CONSTRAINT ck_tenant_configs_monthly_cost_quota_usd CHECK (monthly_cost_quota_usd >= 0),
        CONSTRAINT ck_tenant_configs_requests_per_minute CHECK (requests_per_minute >= 0),
        CONSTRAINT ck_tenant_configs_tokens_per_minute CHECK (tokens_per_minute >= 0)
    )
    """,
    "COMMENT ON TABLE tenant_configs IS 'The settings of each tenant, one row a tenant.'",
    "COMMENT ON COLUMN tenant_configs.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN tenant_configs.default_model IS 'The model of a chat that names none.'",
    "COMMENT ON COLUMN tenant_configs.max_tokens_per_request IS 'The most tokens that one call may generate.'",
    "COMMENT ON COLUMN tenant_configs.temperature IS 'Of a chat that names none.'",
    "COMMENT ON COLUMN tenant_configs.default_embedding_model IS 'The model of an embedding that names none.'",
    "COMMENT ON COLUMN tenant_configs.vector_search_top_k IS 'How many passages a search returns.'",
    "COMMENT ON COLUMN tenant_configs.vector_search_threshold IS 'The least score of a passage, 0 to 1; NULL: none.'",
    "COMMENT ON COLUMN tenant_configs.max_concurrent_workflows IS 'How many workflows may run at once.'",
    "COMMENT ON COLUMN tenant_configs.workflow_timeout_seconds IS 'The longest that a workflow may run.'",
    "COMMENT ON COLUMN tenant_configs.require_verified_email IS 'Whether users must verify their e-mail "
    "address first.'",
    "COMMENT ON COLUMN tenant_configs.soft_delete_retention_days IS 'How long what is deleted is kept.'",
    "COMMENT ON COLUMN tenant_configs.audit_retention_days IS 'How long the audit log is kept.'",
    "COMMENT ON COLUMN tenant_configs.call_log_retention_days IS 'How long the records of model calls are kept.'",
    "COMMENT ON COLUMN tenant_configs.execution_retention_days IS 'How long workflow executions are kept.'",
    "COMMENT ON COLUMN tenant_configs.query_log_retention_days IS 'How long the records of searches are kept.'",
    "COMMENT ON COLUMN tenant_configs.monthly_token_quota IS 'The most tokens a month; NULL: no limit.'",
    "COMMENT ON COLUMN tenant_configs.monthly_cost_quota_usd IS 'The most USD a month; NULL: no limit.'",
    "COMMENT ON COLUMN tenant_configs.requests_per_minute IS 'The most calls to models a minute; NULL: no limit.'",
    "COMMENT ON COLUMN tenant_configs.tokens_per_minute IS 'The most tokens a minute; NULL: no limit.'",
    "COMMENT ON COLUMN tenant_configs.store_prompts IS 'Whether prompts and answers are kept.'",
    "COMMENT ON COLUMN tenant_configs.extra_config IS 'Whatever else the tenant keeps here.'",
    "COMMENT ON COLUMN tenant_configs.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN tenant_configs.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN tenant_configs.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE tenant_configs ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON tenant_configs USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON tenant_configs FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON tenant_configs FOR EACH ROW WHEN (OLD.default_model IS "
    "DISTINCT FROM NEW.default_model OR OLD.max_tokens_per_request IS DISTINCT FROM "
    "NEW.max_tokens_per_request OR OLD.temperature IS DISTINCT FROM NEW.temperature OR "
    "OLD.default_embedding_model IS DISTINCT FROM NEW.default_embedding_model OR OLD.vector_search_top_k "
    "IS DISTINCT FROM NEW.vector_search_top_k OR OLD.vector_search_threshold IS DISTINCT FROM "
    "NEW.vector_search_threshold OR OLD.max_concurrent_workflows IS DISTINCT FROM "
    "NEW.max_concurrent_workflows OR OLD.workflow_timeout_seconds IS DISTINCT FROM "
    "NEW.workflow_timeout_seconds OR OLD.require_verified_email IS DISTINCT FROM "
    "NEW.require_verified_email OR OLD.soft_delete_retention_days IS DISTINCT FROM "
    "NEW.soft_delete_retention_days OR OLD.audit_retention_days IS DISTINCT FROM NEW.audit_retention_days"
    " OR OLD.call_log_retention_days IS DISTINCT FROM NEW.call_log_retention_days OR "
    "OLD.execution_retention_days IS DISTINCT FROM NEW.execution_retention_days OR "
    "OLD.query_log_retention_days IS DISTINCT FROM NEW.query_log_retention_days OR "
    "OLD.monthly_token_quota IS DISTINCT FROM NEW.monthly_token_quota OR OLD.monthly_cost_quota_usd IS "
    "DISTINCT FROM NEW.monthly_cost_quota_usd OR OLD.requests_per_minute IS DISTINCT FROM "
    "NEW.requests_per_minute OR OLD.tokens_per_minute IS DISTINCT FROM NEW.tokens_per_minute OR "
    "OLD.store_prompts IS DISTINCT FROM NEW.store_prompts OR OLD.extra_config IS DISTINCT FROM "
    "NEW.extra_config) EXECUTE FUNCTION atrium_revise()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_configs TO atrium_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
    op.execute(
        """
        CREATE FUNCTION atrium_tenant_is_active() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
            SELECT EXISTS (
                SELECT FROM public.tenants
                WHERE id = nullif(current_setting('app.tenant_id', true), '')::uuid AND status = 'active'
            )
        $$
        """
    )
    op.execute(
        "COMMENT ON FUNCTION atrium_tenant_is_active() IS 'Whether the tenant in whose context it is asked is active.'"
    )
    op.execute(
        """
        CREATE FUNCTION atrium_find_tenant(wanted text) RETURNS TABLE (id uuid, status text)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
            SELECT t.id, t.status FROM public.tenants t WHERE t.slug = wanted
        $$
        """
    )
    op.execute(
        "COMMENT ON FUNCTION atrium_find_tenant(text) IS 'The tenant of a slug, for a sign-in that has no tenant yet.'"
    )
    op.execute(
        """
        CREATE FUNCTION atrium_list_tenants(before uuid, since uuid, wanted text, most integer) RETURNS SETOF public.tenants
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
            SELECT t.* FROM public.tenants t
            WHERE nullif(current_setting('app.tenant_id', true), '')::uuid = '00000000-0000-0000-0000-000000000000'
              AND t.deleted_at IS NULL AND t.id < before AND t.id >= since AND (wanted IS NULL OR t.status = wanted)
            ORDER BY t.id DESC LIMIT most
        $$
        """
    )
    op.execute(
        "COMMENT ON FUNCTION atrium_list_tenants(uuid, uuid, text, integer) IS "
        "'Live tenants, newest first; no row unless the platform asks.'"
    )
    for function in ("atrium_find_tenant(text)", "atrium_list_tenants(uuid, uuid, text, integer)"):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO atrium_app")


def downgrade() -> None:
    op.execute("DROP FUNCTION atrium_list_tenants(uuid, uuid, text, integer)")
    op.execute("DROP FUNCTION atrium_find_tenant(text)")
    op.execute("DROP FUNCTION atrium_tenant_is_active()")

    op.execute("DROP VIEW active_tenants")
    for table in ("tenant_configs", "tenants"):
        op.execute(f"DROP TABLE {table}")
