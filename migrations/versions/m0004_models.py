"""Models, prices, routes, credentials, the records of calls and what they use up."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    """
    CREATE TABLE models (
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        name VARCHAR(100) NOT NULL,
        provider VARCHAR(50) NOT NULL,
        model_type VARCHAR(20) NOT NULL,
        description TEXT,
        max_tokens INTEGER,
        dimensions INTEGER,
        supports_streaming BOOLEAN DEFAULT false NOT NULL,
        supports_function_calling BOOLEAN DEFAULT false NOT NULL,
        base_url TEXT,
        status VARCHAR(20) DEFAULT 'active' NOT NULL,
        deprecates_at TIMESTAMP WITH TIME ZONE,
        replacement_model_id UUID,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_models PRIMARY KEY (id),
        CONSTRAINT uq_models_name UNIQUE (name),
        CONSTRAINT fk_models_replacement_model_id FOREIGN KEY(replacement_model_id) REFERENCES models (id) ON DELETE RESTRICT,
        CONSTRAINT ck_models_provider CHECK (provider IN ('openai', 'anthropic', 'custom')),
        CONSTRAINT ck_models_model_type CHECK (model_type IN ('chat', 'embedding')),
        CONSTRAINT ck_models_status CHECK (status IN ('active', 'deprecated', 'disabled')),
        CONSTRAINT ck_models_max_tokens CHECK (max_tokens > 0),
        CONSTRAINT ck_models_dimensions CHECK (dimensions > 0)
    )
    """,
    "CREATE INDEX ix_models_replacement_model_id ON models (replacement_model_id)",
    "COMMENT ON TABLE models IS 'The models that every tenant can call.'",
    "COMMENT ON COLUMN models.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN models.name IS 'What calls name it by.'",
    "COMMENT ON COLUMN models.provider IS 'openai, anthropic or custom.'",
    "COMMENT ON COLUMN models.model_type IS 'chat or embedding.'",
    "COMMENT ON COLUMN models.description IS 'What it is good for.'",
    "COMMENT ON COLUMN models.max_tokens IS 'The most tokens of a call, read and written.'",
    "COMMENT ON COLUMN models.dimensions IS 'The length of its vectors, for an embedding model.'",
    "COMMENT ON COLUMN models.supports_streaming IS 'Whether it answers in parts.'",
    "COMMENT ON COLUMN models.supports_function_calling IS 'Whether it calls functions.'",
    "COMMENT ON COLUMN models.base_url IS 'Where it is reached; NULL: the provider''s own address.'",
    "COMMENT ON COLUMN models.status IS 'active, deprecated or disabled.'",
    "COMMENT ON COLUMN models.deprecates_at IS 'From when it should not be used any more.'",
    "COMMENT ON COLUMN models.replacement_model_id IS 'What to use in its place.'",
    "COMMENT ON COLUMN models.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN models.updated_at IS 'When it last changed; a trigger''s.'",
    "CREATE TRIGGER touch BEFORE UPDATE ON models FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE ON models TO atrium_app",
    """
    CREATE TABLE model_prices (
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        model_id UUID NOT NULL,
        input_cost_per_1k NUMERIC(18, 9) NOT NULL,
        output_cost_per_1k NUMERIC(18, 9) NOT NULL,
        cached_input_cost_per_1k NUMERIC(18, 9),
        effective_from TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_model_prices PRIMARY KEY (id),
        CONSTRAINT fk_model_prices_model_id FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE RESTRICT,
        CONSTRAINT ck_model_prices_input_cost_per_1k CHECK (input_cost_per_1k >= 0),
        CONSTRAINT ck_model_prices_output_cost_per_1k CHECK (output_cost_per_1k >= 0),
        CONSTRAINT ck_model_prices_cached_input_cost_per_1k CHECK (cached_input_cost_per_1k >= 0),
        CONSTRAINT uq_model_prices_model_id_effective_from UNIQUE (model_id, effective_from)
    )
    """,
    "COMMENT ON TABLE model_prices IS 'What models cost, and from when.'",
    "COMMENT ON COLUMN model_prices.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN model_prices.model_id IS 'Whose price it is.'",
    "COMMENT ON COLUMN model_prices.input_cost_per_1k IS 'USD per 1,000 tokens read.'",
    "COMMENT ON COLUMN model_prices.output_cost_per_1k IS 'USD per 1,000 tokens written.'",
    "COMMENT ON COLUMN model_prices.cached_input_cost_per_1k IS 'USD per 1,000 tokens read from the "
    "provider''s cache; NULL: as others.'",
    "COMMENT ON COLUMN model_prices.effective_from IS 'From when it is in force.'",
    "COMMENT ON COLUMN model_prices.created_at IS 'When it was made.'",
    "GRANT SELECT, INSERT, UPDATE ON model_prices TO atrium_app",
    """
    CREATE TABLE tenant_models (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        name VARCHAR(100) NOT NULL,
        provider VARCHAR(50) NOT NULL,
        model_type VARCHAR(20) NOT NULL,
        description TEXT,
        max_tokens INTEGER,
        dimensions INTEGER,
        supports_streaming BOOLEAN DEFAULT false NOT NULL,
        supports_function_calling BOOLEAN DEFAULT false NOT NULL,
        base_url TEXT,
        status VARCHAR(20) DEFAULT 'active' NOT NULL,
        deprecates_at TIMESTAMP WITH TIME ZONE,
        replacement_model_id UUID,
        input_cost_per_1k NUMERIC(18, 9) NOT NULL,
        output_cost_per_1k NUMERIC(18, 9) NOT NULL,
        cached_input_cost_per_1k NUMERIC(18, 9),
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_tenant_models PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_tenant_models_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT uq_tenant_models_name UNIQUE (tenant_id, name),
        CONSTRAINT ck_tenant_models_provider CHECK (provider IN ('openai', 'anthropic', 'custom')),
        CONSTRAINT ck_tenant_models_model_type CHECK (model_type IN ('chat', 'embedding')),
        CONSTRAINT ck_tenant_models_status CHECK (status IN ('active', 'deprecated', 'disabled')),
        CONSTRAINT ck_tenant_models_max_tokens CHECK (max_tokens > 0),
        CONSTRAINT ck_tenant_models_dimensions CHECK (dimensions > 0),
        CONSTRAINT ck_tenant_models_input_cost_per_1k CHECK (input_cost_per_1k >= 0),
        CONSTRAINT ck_tenant_models_output_cost_per_1k CHECK (output_cost_per_1k >= 0),
        CONSTRAINT ck_tenant_models_cached_input_cost_per_1k CHECK (cached_input_cost_per_1k >= 0)
    )
    """,
    "COMMENT ON TABLE tenant_models IS 'A tenant''s own models, which hide the platform''s of the same name.'",
    "COMMENT ON COLUMN tenant_models.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN tenant_models.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN tenant_models.name IS 'What calls name it by.'",
    "COMMENT ON COLUMN tenant_models.provider IS 'openai, anthropic or custom.'",
    "COMMENT ON COLUMN tenant_models.model_type IS 'chat or embedding.'",
    "COMMENT ON COLUMN tenant_models.description IS 'What it is good for.'",
    "COMMENT ON COLUMN tenant_models.max_tokens IS 'The most tokens of a call, read and written.'",
    "COMMENT ON COLUMN tenant_models.dimensions IS 'The length of its vectors, for an embedding model.'",
    "COMMENT ON COLUMN tenant_models.supports_streaming IS 'Whether it answers in parts.'",
    "COMMENT ON COLUMN tenant_models.supports_function_calling IS 'Whether it calls functions.'",
    "COMMENT ON COLUMN tenant_models.base_url IS 'Where it is reached; NULL: the provider''s own address.'",
    "COMMENT ON COLUMN tenant_models.status IS 'active, deprecated or disabled.'",
    "COMMENT ON COLUMN tenant_models.deprecates_at IS 'From when it should not be used any more.'",
    "COMMENT ON COLUMN tenant_models.replacement_model_id IS 'What to use in its place.'",
    "COMMENT ON COLUMN tenant_models.input_cost_per_1k IS 'USD per 1,000 tokens read.'",
    "COMMENT ON COLUMN tenant_models.output_cost_per_1k IS 'USD per 1,000 tokens written.'",
    "COMMENT ON COLUMN tenant_models.cached_input_cost_per_1k IS 'USD per 1,000 tokens read from the "
    "provider''s cache; NULL: as others.'",
    "COMMENT ON COLUMN tenant_models.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN tenant_models.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN tenant_models.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE tenant_models ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON tenant_models USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON tenant_models FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON tenant_models FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM "
    "NEW.name OR OLD.provider IS DISTINCT FROM NEW.provider OR OLD.model_type IS DISTINCT FROM "
    "NEW.model_type OR OLD.description IS DISTINCT FROM NEW.description OR OLD.max_tokens IS DISTINCT "
    "FROM NEW.max_tokens OR OLD.dimensions IS DISTINCT FROM NEW.dimensions OR OLD.supports_streaming IS "
    "DISTINCT FROM NEW.supports_streaming OR OLD.supports_function_calling IS DISTINCT FROM "
    "NEW.supports_function_calling OR OLD.base_url IS DISTINCT FROM NEW.base_url OR OLD.status IS "
    "DISTINCT FROM NEW.status OR OLD.deprecates_at IS DISTINCT FROM NEW.deprecates_at OR "
    "OLD.replacement_model_id IS DISTINCT FROM NEW.replacement_model_id OR OLD.input_cost_per_1k IS "
    "DISTINCT FROM NEW.input_cost_per_1k OR OLD.output_cost_per_1k IS DISTINCT FROM "
    "NEW.output_cost_per_1k OR OLD.cached_input_cost_per_1k IS DISTINCT FROM "
    "NEW.cached_input_cost_per_1k) EXECUTE FUNCTION atrium_revise()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_models TO atrium_app",
    """
    CREATE TABLE model_routes (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        alias VARCHAR(100) NOT NULL,
        targets JSONB NOT NULL,
        fallbacks JSONB,
        retry JSONB,
        cooldown_seconds INTEGER DEFAULT 0 NOT NULL,
        cache_ttl_seconds INTEGER,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_model_routes PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_model_routes_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT uq_model_routes_alias UNIQUE (tenant_id, alias),
        CONSTRAINT ck_model_routes_cooldown_seconds CHECK (cooldown_seconds >= 0),
        CONSTRAINT ck_model_routes_cache_ttl_seconds CHECK (cache_ttl_seconds >= 0)
    )
    """,
    "COMMENT ON TABLE model_routes IS 'Names behind which several models stand.'",
    "COMMENT ON COLUMN model_routes.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN model_routes.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN model_routes.alias IS 'What calls name it by.'",
    "COMMENT ON COLUMN model_routes.targets IS 'The models behind it, each with weight and priority.'",
    "COMMENT ON COLUMN model_routes.fallbacks IS 'What to try when a target fails, by the kind of failure.'",
    "COMMENT ON COLUMN model_routes.retry IS 'How often and how fast to try again.'",
    "COMMENT ON COLUMN model_routes.cooldown_seconds IS 'How long a failed target is left alone.'",
    "COMMENT ON COLUMN model_routes.cache_ttl_seconds IS 'How long an answer may be used again; NULL: never.'",
    "COMMENT ON COLUMN model_routes.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN model_routes.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN model_routes.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE model_routes ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON model_routes USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON model_routes FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON model_routes FOR EACH ROW WHEN (OLD.alias IS DISTINCT FROM "
    "NEW.alias OR OLD.targets IS DISTINCT FROM NEW.targets OR OLD.fallbacks IS DISTINCT FROM "
    "NEW.fallbacks OR OLD.retry IS DISTINCT FROM NEW.retry OR OLD.cooldown_seconds IS DISTINCT FROM "
    "NEW.cooldown_seconds OR OLD.cache_ttl_seconds IS DISTINCT FROM NEW.cache_ttl_seconds) EXECUTE "
    "FUNCTION atrium_revise()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON model_routes TO atrium_app",
    """
    CREATE TABLE tenant_keys (
        tenant_id UUID NOT NULL,
        wrapped_key BYTEA NOT NULL,
        key_id VARCHAR(64) NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_tenant_keys PRIMARY KEY (tenant_id),
        CONSTRAINT fk_tenant_keys_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
    )
    """,
    "COMMENT ON TABLE tenant_keys IS 'The key that each tenant''s secrets are kept under.'",
    "COMMENT ON COLUMN tenant_keys.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN tenant_keys.wrapped_key IS 'The tenant''s data key under the master key.'",
    "COMMENT ON COLUMN tenant_keys.key_id IS 'Which master key wrapped it.'",
    "COMMENT ON COLUMN tenant_keys.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN tenant_keys.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE tenant_keys ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON tenant_keys USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON tenant_keys FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_keys TO atrium_app",
    """
    CREATE TABLE provider_credentials (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        provider VARCHAR(50) NOT NULL,
        name VARCHAR(100) NOT NULL,
        base_url TEXT,
        ciphertext BYTEA NOT NULL,
        nonce BYTEA NOT NULL,
        key_id VARCHAR(64) NOT NULL,
        last_four VARCHAR(4) NOT NULL,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_provider_credentials PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_provider_credentials_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT uq_provider_credentials_name UNIQUE (tenant_id, provider, name),
        CONSTRAINT ck_provider_credentials_provider CHECK (provider IN ('openai', 'anthropic', 'custom'))
    )
    """,
    "COMMENT ON TABLE provider_credentials IS 'Tenants'' own keys to providers.'",
    "COMMENT ON COLUMN provider_credentials.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN provider_credentials.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN provider_credentials.provider IS 'openai, anthropic or custom.'",
    "COMMENT ON COLUMN provider_credentials.name IS 'Its name, for people.'",
    "COMMENT ON COLUMN provider_credentials.base_url IS 'The only address it is sent to; NULL: the provider''s own.'",
    "COMMENT ON COLUMN provider_credentials.ciphertext IS 'AES-256-GCM under the tenant''s data key, "
    "bound to tenant, row and column.'",
    "COMMENT ON COLUMN provider_credentials.nonce IS 'The nonce of the ciphertext.'",
    "COMMENT ON COLUMN provider_credentials.key_id IS 'Which master key wrapped the data key.'",
    "COMMENT ON COLUMN provider_credentials.last_four IS 'Its last characters, by which people know it.'",
    "COMMENT ON COLUMN provider_credentials.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN provider_credentials.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN provider_credentials.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE provider_credentials ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON provider_credentials USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON provider_credentials FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON provider_credentials FOR EACH ROW WHEN (OLD.name IS DISTINCT "
    "FROM NEW.name OR OLD.base_url IS DISTINCT FROM NEW.base_url OR OLD.ciphertext IS DISTINCT FROM "
    "NEW.ciphertext) EXECUTE FUNCTION atrium_revise()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON provider_credentials TO atrium_app",
    """
    CREATE TABLE model_call_logs (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        user_id UUID,
        api_key_id UUID,
        model_id UUID NOT NULL,
        prompt_template_version_id UUID,
        request_kind VARCHAR(20) NOT NULL,
        prompt_tokens INTEGER DEFAULT 0 NOT NULL,
        completion_tokens INTEGER DEFAULT 0 NOT NULL,
        cached_tokens INTEGER DEFAULT 0 NOT NULL,
        total_tokens INTEGER DEFAULT 0 NOT NULL,
        total_cost NUMERIC(18, 9),
        latency_ms INTEGER,
        time_to_first_token_ms INTEGER,
        status VARCHAR(20) NOT NULL,
        error_code VARCHAR(100),
        finish_reason VARCHAR(50),
        workflow_execution_id UUID,
        task_id UUID,
        trace_id VARCHAR(100),
        request_id VARCHAR(100),
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_model_call_logs PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_model_call_logs_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_model_call_logs_request_kind CHECK (request_kind IN ('chat', 'embedding')),
        CONSTRAINT ck_model_call_logs_status CHECK (status IN ('success', 'error', 'cancelled')),
        CONSTRAINT ck_model_call_logs_prompt_tokens CHECK (prompt_tokens >= 0),
        CONSTRAINT ck_model_call_logs_completion_tokens CHECK (completion_tokens >= 0),
        CONSTRAINT ck_model_call_logs_cached_tokens CHECK (cached_tokens >= 0),
        CONSTRAINT ck_model_call_logs_total_tokens CHECK (total_tokens >= 0),
        CONSTRAINT ck_model_call_logs_total_cost CHECK (total_cost >= 0),
        CONSTRAINT ck_model_call_logs_latency_ms CHECK (latency_ms >= 0)
    )
     PARTITION BY RANGE (id)
    """,
    "CREATE INDEX ix_model_call_logs_model_id ON model_call_logs (tenant_id, model_id, id DESC)",
    "CREATE INDEX ix_model_call_logs_trace_id ON model_call_logs (tenant_id, trace_id)",
    "CREATE INDEX ix_model_call_logs_user_id ON model_call_logs (tenant_id, user_id, id DESC)",
    "COMMENT ON TABLE model_call_logs IS 'The record of each call to a model.'",
    "COMMENT ON COLUMN model_call_logs.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN model_call_logs.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN model_call_logs.user_id IS 'Who called.'",
    "COMMENT ON COLUMN model_call_logs.api_key_id IS 'With which key.'",
    "COMMENT ON COLUMN model_call_logs.model_id IS 'What was called.'",
    "COMMENT ON COLUMN model_call_logs.prompt_template_version_id IS 'With which prompt.'",
    "COMMENT ON COLUMN model_call_logs.request_kind IS 'chat or embedding.'",
    "COMMENT ON COLUMN model_call_logs.prompt_tokens IS 'Tokens read.'",
    "COMMENT ON COLUMN model_call_logs.completion_tokens IS 'Tokens written.'",
    "COMMENT ON COLUMN model_call_logs.cached_tokens IS 'Tokens read from the provider''s cache, among those read.'",
    "COMMENT ON COLUMN model_call_logs.total_tokens IS 'Tokens read and written.'",
    "COMMENT ON COLUMN model_call_logs.total_cost IS 'USD, at the price in force when it ran; NULL: there was none.'",
    "COMMENT ON COLUMN model_call_logs.latency_ms IS 'How long it took.'",
    "COMMENT ON COLUMN model_call_logs.time_to_first_token_ms IS 'How long the first token took.'",
    "COMMENT ON COLUMN model_call_logs.status IS 'success, error or cancelled.'",
    "COMMENT ON COLUMN model_call_logs.error_code IS 'The reason of the failure, an ErrorReason.'",
    "COMMENT ON COLUMN model_call_logs.finish_reason IS 'Why the model stopped.'",
    "COMMENT ON COLUMN model_call_logs.workflow_execution_id IS 'For which workflow execution.'",
    "COMMENT ON COLUMN model_call_logs.task_id IS 'For which of its tasks.'",
    "COMMENT ON COLUMN model_call_logs.trace_id IS 'The trace that it was a part of.'",
    "COMMENT ON COLUMN model_call_logs.request_id IS 'The request that it was made for.'",
    "COMMENT ON COLUMN model_call_logs.created_at IS 'When it was made.'",
    "ALTER TABLE model_call_logs ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON model_call_logs USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE ON model_call_logs TO atrium_app",
    """
    CREATE TABLE usage_rollups (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        day DATE NOT NULL,
        model_id UUID NOT NULL,
        user_id UUID,
        api_key_id UUID,
        prompt_template_version_id UUID,
        calls BIGINT DEFAULT 0 NOT NULL,
        prompt_tokens BIGINT DEFAULT 0 NOT NULL,
        completion_tokens BIGINT DEFAULT 0 NOT NULL,
        cached_tokens BIGINT DEFAULT 0 NOT NULL,
        cost NUMERIC(18, 9) DEFAULT 0 NOT NULL,
        errors BIGINT DEFAULT 0 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_usage_rollups PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_usage_rollups_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT uq_usage_rollups_day UNIQUE NULLS NOT DISTINCT (tenant_id, day, model_id, user_id, api_key_id, prompt_template_version_id),
        CONSTRAINT ck_usage_rollups_calls CHECK (calls >= 0),
        CONSTRAINT ck_usage_rollups_prompt_tokens CHECK (prompt_tokens >= 0),
        CONSTRAINT ck_usage_rollups_completion_tokens CHECK (completion_tokens >= 0),
        CONSTRAINT ck_usage_rollups_cached_tokens CHECK (cached_tokens >= 0),
        CONSTRAINT ck_usage_rollups_cost CHECK (cost >= 0),
        CONSTRAINT ck_usage_rollups_errors CHECK (errors >= 0)
    )
    """,
    "COMMENT ON TABLE usage_rollups IS 'What was used, by day.'",
    "COMMENT ON COLUMN usage_rollups.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN usage_rollups.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN usage_rollups.day IS 'The day, in UTC.'",
    "COMMENT ON COLUMN usage_rollups.model_id IS 'What was called.'",
    "COMMENT ON COLUMN usage_rollups.user_id IS 'Who called.'",
    "COMMENT ON COLUMN usage_rollups.api_key_id IS 'With which key.'",
    "COMMENT ON COLUMN usage_rollups.prompt_template_version_id IS 'With which prompt.'",
    "COMMENT ON COLUMN usage_rollups.calls IS 'How many calls.'",
    "COMMENT ON COLUMN usage_rollups.prompt_tokens IS 'Tokens read.'",
    "COMMENT ON COLUMN usage_rollups.completion_tokens IS 'Tokens written.'",
    "COMMENT ON COLUMN usage_rollups.cached_tokens IS 'Tokens read from caches.'",
    "COMMENT ON COLUMN usage_rollups.cost IS 'USD.'",
    "COMMENT ON COLUMN usage_rollups.errors IS 'How many calls failed.'",
    "COMMENT ON COLUMN usage_rollups.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN usage_rollups.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE usage_rollups ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON usage_rollups USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON usage_rollups FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON usage_rollups TO atrium_app",
    """
    CREATE TABLE quota_ledger (
        tenant_id UUID NOT NULL,
        window_start TIMESTAMP WITH TIME ZONE NOT NULL,
        window_kind VARCHAR(20) NOT NULL,
        subject VARCHAR(100) NOT NULL,
        kind VARCHAR(20) NOT NULL,
        reserved NUMERIC(24, 9) DEFAULT 0 NOT NULL,
        used NUMERIC(24, 9) DEFAULT 0 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_quota_ledger PRIMARY KEY (tenant_id, window_kind, window_start, subject, kind),
        CONSTRAINT fk_quota_ledger_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_quota_ledger_window_kind CHECK (window_kind IN ('minute', 'month')),
        CONSTRAINT ck_quota_ledger_kind CHECK (kind IN ('requests', 'tokens', 'cost', 'parallel')),
        CONSTRAINT ck_quota_ledger_reserved CHECK (reserved >= 0),
        CONSTRAINT ck_quota_ledger_used CHECK (used >= 0)
    )
    """,
    "COMMENT ON TABLE quota_ledger IS 'What is used of each limit.'",
    "COMMENT ON COLUMN quota_ledger.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN quota_ledger.window_start IS 'When the window began.'",
    "COMMENT ON COLUMN quota_ledger.window_kind IS 'minute or month.'",
    "COMMENT ON COLUMN quota_ledger.subject IS 'Whose limit: the tenant''s, a key''s, a user''s.'",
    "COMMENT ON COLUMN quota_ledger.kind IS 'requests, tokens, cost or parallel.'",
    "COMMENT ON COLUMN quota_ledger.reserved IS 'Held for calls under way.'",
    "COMMENT ON COLUMN quota_ledger.used IS 'Used by calls that are over.'",
    "COMMENT ON COLUMN quota_ledger.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN quota_ledger.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE quota_ledger ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON quota_ledger USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON quota_ledger FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON quota_ledger TO atrium_app",
    """
    CREATE TABLE quota_reservations (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        window_start TIMESTAMP WITH TIME ZONE NOT NULL,
        window_kind VARCHAR(20) NOT NULL,
        subject VARCHAR(100) NOT NULL,
        kind VARCHAR(20) NOT NULL,
        amount NUMERIC(24, 9) NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        settled_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_quota_reservations PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_quota_reservations_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_quota_reservations_ledger FOREIGN KEY(tenant_id, window_kind, window_start, subject, kind) REFERENCES quota_ledger (tenant_id, window_kind, window_start, subject, kind) ON DELETE CASCADE,
        CONSTRAINT ck_quota_reservations_amount CHECK (amount >= 0)
    )
    """,
    "CREATE INDEX ix_quota_reservations_expires_at ON quota_reservations (tenant_id, expires_at) WHERE "
    "settled_at IS NULL",
    "CREATE INDEX ix_quota_reservations_ledger ON quota_reservations (tenant_id, window_kind, "
    "window_start, subject, kind)",
    "COMMENT ON TABLE quota_reservations IS 'Amounts held for calls under way.'",
    "COMMENT ON COLUMN quota_reservations.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN quota_reservations.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN quota_reservations.window_start IS 'When the window began.'",
    "COMMENT ON COLUMN quota_reservations.window_kind IS 'minute or month.'",
    "COMMENT ON COLUMN quota_reservations.subject IS 'Whose limit.'",
    "COMMENT ON COLUMN quota_reservations.kind IS 'requests, tokens, cost or parallel.'",
    "COMMENT ON COLUMN quota_reservations.amount IS 'How much is held.'",
    "COMMENT ON COLUMN quota_reservations.expires_at IS 'When it is given up, should its process have died.'",
    "COMMENT ON COLUMN quota_reservations.settled_at IS 'When the call was over; NULL: it is not.'",
    "COMMENT ON COLUMN quota_reservations.created_at IS 'When it was made.'",
    "ALTER TABLE quota_reservations ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON quota_reservations USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON quota_reservations TO atrium_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:

    for table in (
        "quota_reservations",
        "quota_ledger",
        "usage_rollups",
        "model_call_logs",
        "provider_credentials",
        "tenant_keys",
        "model_routes",
        "tenant_models",
        "model_prices",
        "models",
    ):
        op.execute(f"DROP TABLE {table}")
