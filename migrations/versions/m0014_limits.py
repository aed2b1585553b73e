"""Limits on calls to models, and sums of what was used that are fast to ask."""

from alembic import op

revision = "0014"
down_revision = "0013"

_UP = (
    "INSERT INTO permissions (resource, action, description) VALUES ('limits', 'manage', 'Manage what users and API keys may use of models') ON CONFLICT DO NOTHING",
    "INSERT INTO role_permissions (tenant_id, role_id, permission_id) SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p WHERE r.is_system AND r.code IN ('super_admin', 'admin') AND (p.resource, p.action) = ('limits', 'manage') ON CONFLICT DO NOTHING",
    "ALTER TABLE tenant_configs ADD COLUMN max_parallel_calls INTEGER",
    "ALTER TABLE tenant_configs ADD CONSTRAINT ck_tenant_configs_max_parallel_calls CHECK (max_parallel_calls >= 0)",
    "COMMENT ON COLUMN tenant_configs.max_parallel_calls IS 'The most calls to models at once; NULL: no limit.'",
    "ALTER TABLE tenant_configs ADD COLUMN prompt_retention_days INTEGER DEFAULT 30 NOT NULL",
    "ALTER TABLE tenant_configs ADD CONSTRAINT ck_tenant_configs_prompt_retention_days CHECK (prompt_retention_days >= 0)",
    "COMMENT ON COLUMN tenant_configs.prompt_retention_days IS 'How long prompts and answers are kept.'",
    "DROP TRIGGER revise ON tenant_configs",
    "CREATE TRIGGER revise BEFORE UPDATE ON tenant_configs FOR EACH ROW WHEN (OLD.default_model IS DISTINCT FROM NEW.default_model OR OLD.max_tokens_per_request IS DISTINCT FROM NEW.max_tokens_per_request OR OLD.temperature IS DISTINCT FROM NEW.temperature OR OLD.default_embedding_model IS DISTINCT FROM NEW.default_embedding_model OR OLD.vector_search_top_k IS DISTINCT FROM NEW.vector_search_top_k OR OLD.vector_search_threshold IS DISTINCT FROM NEW.vector_search_threshold OR OLD.max_concurrent_workflows IS DISTINCT FROM NEW.max_concurrent_workflows OR OLD.workflow_timeout_seconds IS DISTINCT FROM NEW.workflow_timeout_seconds OR OLD.require_verified_email IS DISTINCT FROM NEW.require_verified_email OR OLD.soft_delete_retention_days IS DISTINCT FROM NEW.soft_delete_retention_days OR OLD.audit_retention_days IS DISTINCT FROM NEW.audit_retention_days OR OLD.call_log_retention_days IS DISTINCT FROM NEW.call_log_retention_days OR OLD.execution_retention_days IS DISTINCT FROM NEW.execution_retention_days OR OLD.query_log_retention_days IS DISTINCT FROM NEW.query_log_retention_days OR OLD.monthly_token_quota IS DISTINCT FROM NEW.monthly_token_quota OR OLD.monthly_cost_quota_usd IS DISTINCT FROM NEW.monthly_cost_quota_usd OR OLD.requests_per_minute IS DISTINCT FROM NEW.requests_per_minute OR OLD.tokens_per_minute IS DISTINCT FROM NEW.tokens_per_minute OR OLD.max_parallel_calls IS DISTINCT FROM NEW.max_parallel_calls OR OLD.store_prompts IS DISTINCT FROM NEW.store_prompts OR OLD.prompt_retention_days IS DISTINCT FROM NEW.prompt_retention_days OR OLD.extra_config IS DISTINCT FROM NEW.extra_config) EXECUTE FUNCTION atrium_revise()",
    "ALTER TABLE model_call_logs ADD COLUMN reasoning_tokens INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE model_call_logs ADD CONSTRAINT ck_model_call_logs_reasoning_tokens CHECK (reasoning_tokens >= 0)",
    "COMMENT ON COLUMN model_call_logs.reasoning_tokens IS 'Tokens of thoughts, among those written.'",
    "COMMENT ON COLUMN model_call_logs.cached_tokens IS 'Tokens read from the provider''s cache, among those read.'",
    "ALTER TABLE usage_rollups ADD COLUMN grain VARCHAR(20) DEFAULT 'model' NOT NULL",
    "UPDATE usage_rollups SET grain = CASE WHEN prompt_template_version_id IS NOT NULL THEN 'prompt' WHEN api_key_id IS NOT NULL THEN 'api_key' WHEN user_id IS NOT NULL THEN 'user' ELSE 'model' END WHERE num_nonnulls(user_id, api_key_id, prompt_template_version_id) > 0",
    "ALTER TABLE usage_rollups ADD CONSTRAINT ck_usage_rollups_grain CHECK (grain IN ('model', 'user', 'api_key', 'prompt'))",
    "COMMENT ON COLUMN usage_rollups.grain IS 'By what beside day and model: model (nothing), user and so on.'",
    "COMMENT ON TABLE usage_rollups IS 'What was used, by day: each call counts once in every grain that it has a part in.'",
    "ALTER TABLE usage_rollups ADD COLUMN reasoning_tokens BIGINT DEFAULT 0 NOT NULL",
    "ALTER TABLE usage_rollups ADD CONSTRAINT ck_usage_rollups_reasoning_tokens CHECK (reasoning_tokens >= 0)",
    "COMMENT ON COLUMN usage_rollups.reasoning_tokens IS 'Tokens of thoughts, among those written.'",
    "ALTER TABLE usage_rollups DROP CONSTRAINT uq_usage_rollups_day",
    "ALTER TABLE usage_rollups ADD CONSTRAINT uq_usage_rollups_day UNIQUE NULLS NOT DISTINCT (tenant_id, grain, day, model_id, user_id, api_key_id, prompt_template_version_id)",
    """
    INSERT INTO usage_rollups (
        tenant_id, grain, day, model_id, user_id, api_key_id, prompt_template_version_id,
        calls, prompt_tokens, completion_tokens, cached_tokens, cost, errors
    )
    SELECT
        tenant_id, g.grain, (created_at AT TIME ZONE 'UTC')::date, model_id,
        CASE g.grain WHEN 'user' THEN user_id END,
        CASE g.grain WHEN 'api_key' THEN api_key_id END,
        CASE g.grain WHEN 'prompt' THEN prompt_template_version_id END,
        count(*), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(coalesce(total_cost, 0)),
        count(*) FILTER (WHERE status = 'error')
    FROM model_call_logs, (VALUES ('model'), ('user'), ('api_key'), ('prompt')) AS g (grain)
    WHERE CASE g.grain
        WHEN 'user' THEN user_id IS NOT NULL
        WHEN 'api_key' THEN api_key_id IS NOT NULL
        WHEN 'prompt' THEN prompt_template_version_id IS NOT NULL
        ELSE true
    END
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT DO NOTHING
    """,
    "COMMENT ON COLUMN quota_ledger.window_kind IS 'minute, month, or none for what counts at any moment.'",
    "COMMENT ON COLUMN quota_reservations.window_kind IS 'minute, month, or none for what counts at any moment.'",
    "ALTER TABLE quota_ledger DROP CONSTRAINT ck_quota_ledger_window_kind",
    "ALTER TABLE quota_ledger ADD CONSTRAINT ck_quota_ledger_window_kind CHECK (window_kind IN ('minute', 'month', 'none'))",
    "DROP INDEX ix_quota_reservations_expires_at",
    "DELETE FROM quota_reservations WHERE settled_at IS NOT NULL",
    "ALTER TABLE quota_reservations DROP COLUMN settled_at",
    "CREATE INDEX ix_quota_reservations_expires_at ON quota_reservations (tenant_id, expires_at)",
    "COMMENT ON COLUMN quota_reservations.expires_at IS 'When it is given up, unless its process keeps it.'",
    """
    CREATE TABLE model_limits (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        user_id UUID,
        api_key_id UUID,
        requests_per_minute INTEGER,
        tokens_per_minute BIGINT,
        monthly_tokens BIGINT,
        monthly_cost_usd NUMERIC(18, 9),
        parallel_calls INTEGER,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_model_limits PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_model_limits_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_model_limits_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT fk_model_limits_tenant_id_api_key_id FOREIGN KEY(tenant_id, api_key_id) REFERENCES api_keys (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT uq_model_limits_subject UNIQUE NULLS NOT DISTINCT (tenant_id, user_id, api_key_id),
        CONSTRAINT ck_model_limits_subject CHECK ((user_id IS NULL) <> (api_key_id IS NULL)),
        CONSTRAINT ck_model_limits_requests_per_minute CHECK (requests_per_minute >= 0),
        CONSTRAINT ck_model_limits_tokens_per_minute CHECK (tokens_per_minute >= 0),
        CONSTRAINT ck_model_limits_monthly_tokens CHECK (monthly_tokens >= 0),
        CONSTRAINT ck_model_limits_monthly_cost_usd CHECK (monthly_cost_usd >= 0),
        CONSTRAINT ck_model_limits_parallel_calls CHECK (parallel_calls >= 0)
    )
    """,
    "CREATE INDEX ix_model_limits_api_key_id ON model_limits (tenant_id, api_key_id)",
    "COMMENT ON TABLE model_limits IS 'The limits of users and API keys; the tenant''s own are among its settings.'",
    "COMMENT ON COLUMN model_limits.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN model_limits.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN model_limits.user_id IS 'Whose limits; NULL: a key''s.'",
    "COMMENT ON COLUMN model_limits.api_key_id IS 'Whose limits; NULL: a user''s.'",
    "COMMENT ON COLUMN model_limits.requests_per_minute IS 'The most calls a minute; NULL: no limit.'",
    "COMMENT ON COLUMN model_limits.tokens_per_minute IS 'The most tokens a minute; NULL: no limit.'",
    "COMMENT ON COLUMN model_limits.monthly_tokens IS 'The most tokens a month; NULL: no limit.'",
    "COMMENT ON COLUMN model_limits.monthly_cost_usd IS 'The most USD a month; NULL: no limit.'",
    "COMMENT ON COLUMN model_limits.parallel_calls IS 'The most calls at once; NULL: no limit.'",
    "COMMENT ON COLUMN model_limits.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN model_limits.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN model_limits.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE model_limits ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON model_limits USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON model_limits FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON model_limits FOR EACH ROW WHEN (OLD.requests_per_minute IS DISTINCT FROM NEW.requests_per_minute OR OLD.tokens_per_minute IS DISTINCT FROM NEW.tokens_per_minute OR OLD.monthly_tokens IS DISTINCT FROM NEW.monthly_tokens OR OLD.monthly_cost_usd IS DISTINCT FROM NEW.monthly_cost_usd OR OLD.parallel_calls IS DISTINCT FROM NEW.parallel_calls) EXECUTE FUNCTION atrium_revise()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON model_limits TO atrium_app",
)
_DOWN = (
    "DROP TABLE model_limits",
    "DROP INDEX ix_quota_reservations_expires_at",
    "ALTER TABLE quota_reservations ADD COLUMN settled_at TIMESTAMP WITH TIME ZONE",
    "COMMENT ON COLUMN quota_reservations.settled_at IS 'When the call was over; NULL: it is not.'",
    "COMMENT ON COLUMN quota_reservations.expires_at IS 'When it is given up, should its process have died.'",
    "CREATE INDEX ix_quota_reservations_expires_at ON quota_reservations (tenant_id, expires_at) WHERE settled_at IS NULL",
    "DELETE FROM quota_ledger WHERE window_kind = 'none'",
    "ALTER TABLE quota_ledger DROP CONSTRAINT ck_quota_ledger_window_kind",
    "ALTER TABLE quota_ledger ADD CONSTRAINT ck_quota_ledger_window_kind CHECK (window_kind IN ('minute', 'month'))",
    "COMMENT ON COLUMN quota_ledger.window_kind IS 'minute or month.'",
    "COMMENT ON COLUMN quota_reservations.window_kind IS 'minute or month.'",
    "DELETE FROM usage_rollups WHERE grain <> 'model'",
    "ALTER TABLE usage_rollups DROP COLUMN grain",
    "ALTER TABLE usage_rollups DROP COLUMN reasoning_tokens",
    "ALTER TABLE usage_rollups ADD CONSTRAINT uq_usage_rollups_day UNIQUE NULLS NOT DISTINCT (tenant_id, day, model_id, user_id, api_key_id, prompt_template_version_id)",
    "COMMENT ON TABLE usage_rollups IS 'What was used, by day.'",
    "ALTER TABLE model_call_logs DROP COLUMN reasoning_tokens",
    "DROP TRIGGER revise ON tenant_configs",
    "ALTER TABLE tenant_configs DROP COLUMN prompt_retention_days",
    "ALTER TABLE tenant_configs DROP COLUMN max_parallel_calls",
    "CREATE TRIGGER revise BEFORE UPDATE ON tenant_configs FOR EACH ROW WHEN (OLD.default_model IS DISTINCT FROM NEW.default_model OR OLD.max_tokens_per_request IS DISTINCT FROM NEW.max_tokens_per_request OR OLD.temperature IS DISTINCT FROM NEW.temperature OR OLD.default_embedding_model IS DISTINCT FROM NEW.default_embedding_model OR OLD.vector_search_top_k IS DISTINCT FROM NEW.vector_search_top_k OR OLD.vector_search_threshold IS DISTINCT FROM NEW.vector_search_threshold OR OLD.max_concurrent_workflows IS DISTINCT FROM NEW.max_concurrent_workflows OR OLD.workflow_timeout_seconds IS DISTINCT FROM NEW.workflow_timeout_seconds OR OLD.require_verified_email IS DISTINCT FROM NEW.require_verified_email OR OLD.soft_delete_retention_days IS DISTINCT FROM NEW.soft_delete_retention_days OR OLD.audit_retention_days IS DISTINCT FROM NEW.audit_retention_days OR OLD.call_log_retention_days IS DISTINCT FROM NEW.call_log_retention_days OR OLD.execution_retention_days IS DISTINCT FROM NEW.execution_retention_days OR OLD.query_log_retention_days IS DISTINCT FROM NEW.query_log_retention_days OR OLD.monthly_token_quota IS DISTINCT FROM NEW.monthly_token_quota OR OLD.monthly_cost_quota_usd IS DISTINCT FROM NEW.monthly_cost_quota_usd OR OLD.requests_per_minute IS DISTINCT FROM NEW.requests_per_minute OR OLD.tokens_per_minute IS DISTINCT FROM NEW.tokens_per_minute OR OLD.store_prompts IS DISTINCT FROM NEW.store_prompts OR OLD.extra_config IS DISTINCT FROM NEW.extra_config) EXECUTE FUNCTION atrium_revise()",
    "DELETE FROM permissions WHERE (resource, action) = ('limits', 'manage')",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
